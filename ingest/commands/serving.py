"""The command `serve`: an archive in a browser page."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.commands.options import AsJson, Options, Url, print_json, stop_on_signals, storage_options

if TYPE_CHECKING:
    from archive.store import Store

__all__ = ["serve"]

_RETRY_SECONDS, _STALL_SECONDS = 6, 10  # who looks at a page would rather hear of trouble soon


def serve(
    url: Url,
    *,
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65_535, help="0 takes a free one.")] = 8410,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; others than this let others look.")
    ] = "127.0.0.1",
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="A name that browsers may call it by.", show_default=False),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Show an archive in a browser page, until Ctrl-C: coverage, pictures, metadata, quarantine. Read-only.

    Example: `lightkeep serve s3://bucket/porotomo --open`
    """
    from ingest.serve.server import PageServer

    store = _store(url, options)
    server = PageServer(store, host, port, tuple(names or ()))
    _look(server)
    threading.Thread(target=_warm, daemon=True).start()
    stop_on_signals(lambda: threading.Thread(target=server.shutdown, daemon=True).start())
    if as_json:
        print_json({"url": server.url, "archive": store.url})
    else:
        typer.echo(f"{store.url} is shown at {server.url} (Ctrl-C ends it)")
    if open_page:
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()
    if not as_json:
        typer.echo("stopped")


def _store(url: str, options: list[str] | None) -> Store:
    from archive.store import open_store

    patience: dict[str, Any] = {"retry_seconds": _RETRY_SECONDS, "stall_seconds": _STALL_SECONDS}
    return open_store(url, storage_options={**patience, **storage_options(options)})


def _look(server: Any) -> None:
    """Look at the archive once, so that a wrong URL is said here; a store that is down is said in the page."""
    from archive.errors import LightkeepError, StoreTrouble

    try:
        server.views.newest()
    except StoreTrouble as error:
        typer.echo(f"lightkeep: {' '.join(str(error).split())} (the page says so, and can try again)", err=True)
    except LightkeepError:
        server.server_close()
        raise


def _warm() -> None:
    """Import what the first answers need, while the browser is still on its way; they say what is wrong with it."""
    with suppress(Exception):  # as when it is interrupted in the middle
        import ingest.run  # noqa: F401 - that it is there

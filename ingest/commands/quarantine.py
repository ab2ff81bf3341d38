"""Commands on refused sources: `quarantine ls`, `show` and `retry`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.commands.options import AsJson, Options, Url, print_json, storage_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archive.store import Store
    from ingest.quarantine import Report

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See refused sources, and take them in once they are mended.")

Everything = Annotated[bool, typer.Option("--all", help="Those that came in since, too.")]


@app.command("ls")
def ls(url: Url, *, everything: Everything = False, options: Options = None, as_json: AsJson = False) -> None:
    """List refused sources that have not come in since, the oldest first.

    Example: `lightkeep quarantine ls s3://bucket/porotomo`
    """
    store = _store(url, options)
    reports, still_open = _reports(store)
    waiting = {report.id for report in still_open}
    listed = reports if everything else still_open
    if as_json:
        print_json([{**report.to_json(), "open": report.id in waiting} for report in listed])
        return
    if not listed:
        typer.echo("nothing in quarantine")
    for report in listed:
        state = "" if report.id in waiting else "  (settled)"
        typer.echo(f"{report.id}  {_when(report)}  {report.url}{state}\n    {report.reason}")


@app.command("show")
def show(
    url: Url,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Its id or the start of it, or its name.")],
    *,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one refused source.

    Example: `lightkeep quarantine show s3://bucket/porotomo 3f2a9c`
    """
    from ingest.quarantine import chosen

    reports, still_open = _reports(_store(url, options))
    waiting = {report.id for report in still_open}
    documents = [{**report.to_json(), "open": report.id in waiting} for report in chosen(reports, [source])]
    if as_json:
        print_json(documents[-1])
        return
    for name, value in (documents[-1] | {"refused": _when(chosen(reports, [source])[-1])}).items():
        typer.echo(f"{name:<8}  {'-' if value is None else value}")


@app.command("retry")
def retry(
    url: Url,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE...]", help="Ids or names; all without.", show_default=False),
    ] = None,
    *,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Tasks that run at once.")] = 1,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Instead of the first time's.", show_default=False)
    ] = None,
    raw_format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Instead of the first time's.", show_default=False)
    ] = None,
    options: Options = None,
    source_options: Annotated[
        list[str] | None,
        typer.Option(
            "--source-option", metavar="NAME=VALUE", help="For the place of the raw files.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ingest refused sources again, as the first time. Those that come in are settled; the others stay, with the newest reason.

    Example: `lightkeep quarantine retry s3://bucket/porotomo`
    """  # noqa: E501 - the first line is the help's
    from ingest.quarantine import chosen

    store = _store(url, options)
    _, still_open = _reports(store)
    tried = chosen(still_open, sources) if sources else still_open
    overrides = {name: value for name, value in (("dataset", dataset), ("format", raw_format)) if value is not None}
    gone = _retried(store, tried, overrides, storage_options(source_options), jobs)
    after = {report.url: report for report in _reports(store)[1]}
    refused = [after[report.url] for report in tried if report.url in after and report.url not in gone]
    settled = [report.url for report in tried if report.url not in after]
    if as_json:
        print_json({"settled": settled, "refused": [report.to_json() for report in refused], "gone": gone})
    else:
        typer.echo(f"{len(settled)} of {len(tried)} refused files are in the archive now")
        for report in refused:
            typer.echo(f"  refused again: {report.reason}", err=True)
        for name in gone:
            typer.echo(f"  no longer there: {name}", err=True)
    if refused or gone:
        raise typer.Exit(1)


def _retried(
    store: Store, reports: Sequence[Report], overrides: dict[str, Any], options: dict[str, Any], jobs: int
) -> list[str]:
    """Ingest what reports tell of, and return the URLs where nothing is any more."""
    from ingest.metadata import Metadata
    from ingest.run import ingest_found
    from ingest.settings import Settings
    from ingest.sources import look_up
    from ingest.workers import Hiring

    gone: list[str] = []
    by_settings: dict[str, tuple[Settings, list[Any]]] = {}
    for report in reports:
        found = look_up(report.url, options)
        if found is None:
            gone.append(report.url)
        else:
            metadata = Metadata.from_json(report.metadata) if report.metadata is not None else None
            settings = Settings(
                dataset=report.dataset,
                format=report.format,
                codec=report.codec,
                metadata=metadata,
                options=options or None,
            )
            key = json.dumps([report.dataset, report.format, report.codec, report.metadata], sort_keys=True)
            by_settings.setdefault(key, (settings, []))[1].append(found)
    for settings, files in by_settings.values():
        ingest_found(store, files, replace(settings, **overrides), Hiring(jobs=jobs))
    return gone


def _store(url: str, options: list[str] | None) -> Store:
    from archive.store import open_store

    return open_store(url, storage_options=storage_options(options))


def _reports(store: Store) -> tuple[list[Report], list[Report]]:
    """Return the newest report of each state of each source, and those of sources that have not come in since."""
    from archive.view import open_view
    from ingest.quarantine import newest_reports, open_reports
    from ingest.run import read_ledger

    view = open_view(store)
    reports = newest_reports(store)
    return reports, open_reports(reports, read_ledger(view))


def _when(report: Report) -> str:
    from archive.times import ns_to_text

    return ns_to_text(round(report.refused) * 10**9)

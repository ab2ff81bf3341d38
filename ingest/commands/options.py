"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archive.spools import Spool
    from archive.store import Store

__all__ = [
    "AsJson",
    "AsOf",
    "DatasetName",
    "Distance",
    "Options",
    "TimeRange",
    "Url",
    "open_spool",
    "opened_store",
    "print_json",
    "stop_on_signals",
    "storage_options",
]

Url = Annotated[
    str, typer.Argument(metavar="URL", help="The archive: s3://bucket/prefix, a folder, ...", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="For the store: endpoint_url, region, profile, anonymous, ... Credentials come from the environment.",
        show_default=False,
    ),
]
DatasetName = Annotated[
    str | None, typer.Option("--dataset", "-d", metavar="NAME", help="One dataset.", show_default=False)
]
TimeRange = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--time", metavar="FROM TO", help="UTC, as in 2016-03-14T08:00; ... leaves an end open.", show_default=False
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="WHEN", help="As it was: a snapshot's number, a tag or a time.", show_default=False
    ),
]
Distance = Annotated[
    tuple[str, str] | None,
    typer.Option("--distance", metavar="FROM TO", help="Metres; ... leaves an end open.", show_default=False),
]


def storage_options(options: list[str] | None) -> dict[str, Any]:
    """Return options given as NAME=VALUE.

    Raises
    ------
    InvalidInput
        One is not of this form.
    """
    named: dict[str, Any] = {}
    for option in options or ():
        name, sign, value = option.partition("=")
        if not sign:
            raise InvalidInput("an --option without '=': write it as NAME=VALUE")  # it may be a secret: not shown
        named[name] = {"true": True, "false": False}.get(value.lower(), value)
    return named


def print_json(document: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str, indent=1) + "\n")
    sys.stdout.flush()  # who reads a pipe may wait for it while we go on


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Have the first SIGTERM or SIGINT stop what goes on; a second one ends the process at once, as without us."""
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def told(*_: Any) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop()

    for number in before:
        signal.signal(number, told)


def opened_store(url: str, options: list[str] | None) -> Store:
    """Return the store of an archive."""
    from archive.store import open_store

    return open_store(url, storage_options=storage_options(options))


def open_spool(
    url: str,
    options: list[str] | None,
    dataset: str | None,
    *,
    time: tuple[str, str] | None = None,
    distance: tuple[str, str] | None = None,
    as_of: str | None = None,
) -> Spool:
    """Return what the options select of an archive."""
    import archive as lk

    spool = lk.open(url, dataset=dataset, as_of=as_of, storage_options=storage_options(options))
    selectors: Mapping[str, Any] = {
        name: tuple(_bound(bound, number=name == "distance") for bound in bounds)
        for name, bounds in (("time", time), ("distance", distance))
        if bounds is not None
    }
    return spool.select(**selectors) if selectors else spool


def _bound(text: str, *, number: bool) -> Any:
    if text in {"...", "", "-"}:
        return None
    if not number:
        return text
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no distance in metres") from error

"""Commands that change what an archive holds, and look back: `compact`, `gc`, `rm`, `tag` and `log`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from archive.errors import InvalidInput
from ingest.commands.options import AsJson, Options, TimeRange, Url, opened_store, print_json

if TYPE_CHECKING:
    from ingest.keeping.collect import CollectReport

__all__ = ["compact", "gc", "log", "rm", "tag"]

_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SHOWN = 20


def compact(
    url: Url,
    *,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", "-d", metavar="NAME", help="Only these.", show_default=False)
    ] = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Merge small granules into large ones, and resolve overlaps. Older snapshots keep the small ones until gc.

    Example: `lightkeep compact s3://bucket/porotomo`
    """
    from archive.display import size_text
    from ingest.keeping.compact import compact as run

    report = run(opened_store(url, options), dataset)
    if as_json:
        print_json(report.to_json())
    elif not report.before:
        typer.echo("nothing to do: every window is one granule")
    else:
        hidden = f", {report.hidden} of them hidden by others" if report.hidden else ""
        typer.echo(
            f"{report.before} granules{hidden} are now {report.after} ({size_text(report.stored)}); "
            f"snapshot {report.snapshot}"
        )
    if report.given_up and not as_json:
        typer.echo(f"{report.given_up} groups were changed by somebody else meanwhile; run it again", err=True)


def gc(
    url: Url,
    *,
    retention: Annotated[
        str, typer.Option(metavar="TIME", help="How long a snapshot is kept after the next one: 7d, 36h, 0s.")
    ] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Remove what no kept snapshot, tag or young commit needs.

    Example: `lightkeep gc s3://bucket/porotomo --dry-run`
    """
    from ingest.keeping.collect import collect

    report = collect(opened_store(url, options), _duration(retention), dry_run=dry_run)
    if as_json:
        print_json(report.to_json())
    else:
        _print_collection(report)


def _print_collection(report: CollectReport) -> None:
    from archive.display import size_text

    verb = "would remove" if report.dry_run else "removed"
    typer.echo(
        f"{verb} {report.objects} objects ({size_text(report.size)}), {len(report.snapshots)} snapshots among them; "
        f"the oldest kept is {report.oldest}"
    )
    if report.dry_run:
        for key in report.keys[:_SHOWN]:
            typer.echo(f"  {key}")
        if len(report.keys) > _SHOWN:
            typer.echo(f"  and {len(report.keys) - _SHOWN} more; --json lists them all")
    if report.waiting:
        typer.echo(f"{report.waiting} objects that nothing refers to are too young to go")


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    try:
        return timedelta(seconds=float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise InvalidInput(f"--retention {text}: write it as 7d, 36h, 90m or 0s") from None


def rm(
    url: Url,
    *,
    dataset: Annotated[str, typer.Option("--dataset", "-d", metavar="NAME", help="The dataset.")],
    time: TimeRange = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Remove a dataset, or a span of it. Undone by opening the snapshot before with as_of, until gc.

    Example: `lightkeep rm s3://bucket/porotomo --dataset brady --time 2016-03-14T08:00 2016-03-14T09:00`
    """
    from archive.times import time_to_ns
    from ingest.keeping.remove import remove

    bounds = [None if text in {"...", ""} else time_to_ns(text) for text in time or ()]
    first, last = bounds or (None, None)
    if not yes:
        span = "all of it" if time is None else f"{time[0]} to {time[1]}"
        typer.confirm(f"remove {dataset} ({span}) from {url}?", abort=True)
    report = remove(opened_store(url, options), dataset, first, last)
    if as_json:
        print_json(report.to_json())
    else:
        typer.echo(
            f"removed {report.granules} granules and cut {report.cut}; {report.sources} files can be ingested again; "
            f"snapshot {report.snapshot}, undo with as_of={report.snapshot - 1}"
        )


def tag(
    url: Url,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The tag.", show_default=False)],
    *,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="WHEN", help="A snapshot, tag or time; now without.", show_default=False),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the tag instead.")] = False,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Name a snapshot, so that gc keeps it and as_of=NAME opens it.

    Example: `lightkeep tag s3://bucket/porotomo paper-2026`
    """
    from ingest.keeping.tags import tag as name_it
    from ingest.keeping.tags import untag

    store = opened_store(url, options)
    number = untag(store, name) if delete else name_it(store, name, as_of)
    if as_json:
        print_json({"tag": name, "snapshot": number, "deleted": delete})
    else:
        typer.echo(f"{name} no longer names snapshot {number}" if delete else f"{name} is snapshot {number}")


def log(url: Url, *, options: Options = None, as_json: AsJson = False) -> None:
    """List the snapshots, the newest first.

    Example: `lightkeep log s3://bucket/porotomo`
    """
    from ingest.keeping.tags import log as entries_of

    entries = entries_of(opened_store(url, options))
    if as_json:
        print_json(entries)
        return
    for entry in entries:
        tags = f"  [{', '.join(entry['tags'])}]" if entry["tags"] else ""
        gone = "" if entry["kept"] else "  (removed by gc)"
        typer.echo(f"{entry['snapshot']:>8}  {entry['created'][:19]}  {entry['note']}{tags}{gone}")

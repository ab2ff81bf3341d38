"""Commands that keep an archive whole: `verify` and `repair`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.errors import InvalidInput
from ingest.commands.options import AsJson, Options, Url, print_json, storage_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.checking.findings import Progress, Report

__all__ = ["repair", "verify"]

_DAMAGED = 3
SourceOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--source-option", metavar="NAME=VALUE", help="For the raw files, as fsspec takes them.", show_default=False
    ),
]


def verify(
    url: Url,
    *,
    full: Annotated[bool, typer.Option("--full", help="Read everything and compare every checksum.")] = False,
    sample: Annotated[
        float | None,
        typer.Option(
            "--sample", metavar="SHARE", help="Only a random share of granules, as in 0.01.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the random choice.")] = 0,
    sources: Annotated[
        bool,
        typer.Option("--sources", help="Compare with the raw files where they still are; with --full every sample."),
    ] = False,
    reseal: Annotated[
        bool, typer.Option("--reseal", help="After an archive was moved: check it and take over the new store's ETags.")
    ] = False,
    options: Options = None,
    source_options: SourceOptions = None,
    as_json: AsJson = False,
) -> None:
    """Check that every object of an archive is there and is what was written. Ends with 3 where damage is found.

    Example: `lightkeep verify s3://bucket/porotomo --full --sample 0.01`
    """
    from archive.store import open_store
    from ingest.checking.reseal import reseal as run_reseal
    from ingest.checking.verify import verify as run_verify

    if reseal and (sample is not None or sources or full):
        raise InvalidInput("--reseal checks all that it seals; leave out --full, --sample and --sources")
    store = open_store(url, storage_options=storage_options(options))
    with _bar("verifying", quiet=as_json) as progress:
        if reseal:
            report = run_reseal(store, progress)
        else:
            report = run_verify(
                store,
                "full" if full else "quick",
                sample=sample,
                seed=seed,
                sources=sources,
                options=storage_options(source_options),
                progress=progress,
            )
    print_json(report.to_json()) if as_json else _print_report(report)
    if report.damaged:
        raise typer.Exit(_DAMAGED)


def repair(
    url: Url,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Find damage by size and ETag; without, every checksum is compared.")
    ] = False,
    unproven: Annotated[
        bool,
        typer.Option("--unproven", help="Take back granules too that may have been removed, or never acknowledged."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    options: Options = None,
    source_options: SourceOptions = None,
    as_json: AsJson = False,
) -> None:
    """Mend an archive from what is left: index from older snapshots and granules, granules from raw files.

    Deletes nothing. Ends with 3 where something stays lost.

    Example: `lightkeep repair s3://bucket/porotomo --dry-run`
    """
    from archive.store import open_store
    from ingest.checking.repair import repair as run_repair

    store = open_store(url, storage_options=storage_options(options))
    with _bar("checking", quiet=as_json) as progress:
        report = run_repair(
            store,
            "quick" if quick else "full",
            unproven=unproven,
            dry_run=dry_run,
            options=storage_options(source_options),
            progress=progress,
        )
    if as_json:
        print_json(report.to_json())
    else:
        would = "would be: " if dry_run else ""
        for finding in report.done:
            typer.echo(f"{finding.key}: {would}{finding.what}")
        for finding in (*report.doubtful, *report.lost):
            typer.echo(str(finding), err=True)
        typer.echo(
            f"{len(report.done)} objects {'to be mended' if dry_run else 'mended'}, {len(report.doubtful)} in doubt, "
            f"{len(report.lost)} lost; snapshot {report.snapshot}"
        )
    if report.lost:
        raise typer.Exit(_DAMAGED)


@contextmanager
def _bar(title: str, *, quiet: bool) -> Iterator[Progress]:
    """Give what shows a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from ingest.checking.findings import Progress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bars:
        task: Any = bars.add_task(f"{title} granules", total=None)
        yield Progress(total=lambda count: bars.update(task, total=count), done=lambda count: bars.advance(task, count))


def _print_report(report: Report) -> None:
    from archive.display import size_text

    for finding in report.findings:
        typer.echo(str(finding) if finding.damage else f"{finding} (no damage)")
    said = f"{report.granules} granules, {report.objects} objects"
    if report.bytes:
        said += f", {size_text(report.bytes)} hashed"
    if report.compared or report.unreachable:
        said += f"; {report.compared} granules compared with their sources, {report.unreachable} whose sources are gone"
    damage = sum(finding.damage for finding in report.findings)
    typer.echo(f"{said}: {f'{damage} objects are damaged; run lightkeep repair' if damage else 'all right'}")

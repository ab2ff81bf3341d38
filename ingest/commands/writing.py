"""Commands that write: `init`, `ingest` and `metadata`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.errors import InvalidInput
from ingest.commands.options import AsJson, Options, Url, opened_store, print_json, stop_on_signals, storage_options

if TYPE_CHECKING:
    from ingest.plan import IngestPlan
    from ingest.run import IngestReport

__all__ = ["ingest", "init", "metadata"]

_SHOWN = 20


def init(url: Url, *, options: Options = None, as_json: AsJson = False) -> None:
    """Make an archive, after trying whether the store keeps its promises. Does nothing to one that exists.

    Example: `lightkeep init s3://bucket/porotomo`
    """
    from ingest.initialise import initialise

    store = opened_store(url, options)
    made = initialise(store)
    if as_json:
        print_json({"url": store.url, "made": made})
    else:
        typer.echo(f"{store.url}: {'a new, empty archive' if made else 'is an archive already; nothing to do'}")


def ingest(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... URL", help="Raw files, folders or globs; the last is the archive.", show_default=False
        ),
    ],
    *,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Put everything under one name.", show_default=False)
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Tasks that run at once.")] = 1,
    processes: Annotated[bool, typer.Option("--processes", help="In processes, not threads.")] = False,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            help="On the Dask cluster of this scheduler; local starts one here. "
            "Its workers take credentials from their own environment.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Read files again that the archive has, and replace what it made of them.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: take in files as they are finished, until SIGTERM or Ctrl-C.")
    ] = False,
    settle: Annotated[
        float, typer.Option("--settle", min=0, help="Seconds without a change after which a watched file is finished.")
    ] = 2.0,
    poll: Annotated[float, typer.Option("--poll", min=0.1, help="Seconds between listings of a watched URL.")] = 5.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    codec: Annotated[
        str, typer.Option("--codec", help="For new datasets: pcodec, or portable for any Zarr reader.")
    ] = "pcodec",
    layout: Annotated[
        str,
        typer.Option("--layout", help="Of frames in new datasets: balanced, or cut for whole frames or for pixels."),
    ] = "balanced",
    raw_format: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="Of the raw files, if not to be found out.", show_default=False),
    ] = None,
    metadata_file: Annotated[
        Path | None,
        typer.Option(
            "--metadata", metavar="FILE", help="FDSN DAS metadata (JSON), above what files say.", show_default=False
        ),
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
    """Put raw files into an archive. What is there already is left alone; what cannot be read is set aside.

    A file that has changed since it was ingested replaces what was made of it; older snapshots keep that until gc.

    With --watch it goes on: each file comes in once it is finished, as a granule of its own; frames that are finished
    together share granules.

    Example: `lightkeep ingest raw/2016-03-14 's3://landing/*.h5' s3://bucket/porotomo --jobs 4`
    """
    from archive.codec import CODECS
    from ingest.metadata import read_metadata
    from ingest.run import ingest as run_ingest
    from ingest.run import plan_ingest
    from ingest.settings import LAYOUTS, Settings
    from ingest.watch import Patience
    from ingest.workers import Hiring

    if len(places) < 2:  # noqa: PLR2004 - a source and an archive
        raise InvalidInput("ingest takes at least one SOURCE and then the archive's URL; see lightkeep ingest --help")
    if codec not in CODECS:
        raise InvalidInput(f"--codec {codec}: there are {' and '.join(CODECS)}")
    if layout not in LAYOUTS:
        raise InvalidInput(f"--layout {layout}: there are {', '.join(LAYOUTS)}")
    store = opened_store(places[-1], options)
    settings = Settings(
        dataset=dataset,
        codec=codec,
        format=raw_format,
        options=storage_options(source_options) or None,
        anew=replace,
        metadata=None if metadata_file is None else read_metadata(metadata_file),
        layout=layout,
    )
    if dry_run:
        plan, _, _ = plan_ingest(store, places[:-1], settings)
        print_json(_plan_json(plan)) if as_json else _print_plan(plan)
        return
    if watch:
        hiring = Hiring(jobs=jobs, processes=processes, dask=dask)
        report = _watch(store, places[:-1], settings, hiring, Patience(settle=settle, poll=poll), quiet=as_json)
        print_json(report.to_json()) if as_json else _print_report(report)
        return
    report = _with_progress(
        store, places[:-1], settings, partial(run_ingest, jobs=jobs, processes=processes, dask=dask), quiet=as_json
    )
    print_json(report.to_json()) if as_json else _print_report(report)
    if report.refusals:
        raise typer.Exit(1)


def _watch(store: Any, places: list[str], settings: Any, hiring: Any, patience: Any, *, quiet: bool) -> IngestReport:
    """Watch until the first SIGTERM or SIGINT; a second one ends it at once, as without us."""
    from ingest.watch import Watch

    def told(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    watched = Watch(store, places, settings, hiring, patience=patience, told=told)
    stop_on_signals(watched.stop)
    return watched.run()


def metadata(
    url: Url,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FDSN DAS metadata, as JSON.", show_default=False)],
    *,
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", metavar="NAME", help="The dataset it is of.", show_default=False)
    ],
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Give or correct the metadata of a dataset: one new snapshot, no data rewritten.

    Names are those of the FDSN DAS metadata standard; channel positions x, y and elevation become coordinates.

    Example: `lightkeep metadata s3://bucket/porotomo fdsn.json --dataset brady`
    """
    from ingest.keeping.correct import correct
    from ingest.metadata import read_metadata

    store = opened_store(url, options)
    changed = correct(store, dataset, read_metadata(file))
    if as_json:
        print_json({"url": store.url, "dataset": dataset, "changed": changed})
    else:
        typer.echo(f"{dataset}: {'has the metadata of' if changed else 'had all the metadata of'} {file}")


def _with_progress(store: Any, places: list[str], settings: Any, run: Any, *, quiet: bool) -> IngestReport:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ingest import run as runs

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bars:
        looked = bars.add_task("reading headers", total=None, rate="")
        planned_so_far = {"files": 0, "bytes": 0}
        taken = bars.add_task("ingesting", total=None, visible=False, rate="")

        def look(count: int) -> None:
            bars.update(looked, total=-count) if count < 0 else bars.advance(looked, count)

        def planned(files: int, size: int) -> None:
            planned_so_far["files"] += files
            planned_so_far["bytes"] += size
            bars.update(taken, total=planned_so_far["files"], visible=True)

        def done(count: int) -> None:
            bars.advance(taken, count)
            speed = (bars.tasks[1].speed or 0) * planned_so_far["bytes"] / max(planned_so_far["files"], 1)
            bars.update(taken, rate=f"{speed / 1e6:.0f} MB/s")

        report: IngestReport = run(
            store, places, settings, progress=runs.Progress(looked=look, planned=planned, done=done)
        )
    return report


def _plan_json(plan: IngestPlan) -> dict[str, Any]:
    return {
        "datasets": {name: dict(dataset.fingerprint) for name, dataset in plan.datasets.items()},
        "sources": plan.sources,
        "granules": len(plan.groups),
        "raw_bytes": plan.samples,
        "known": plan.known,
        "refusals": [{"url": refusal.found.url, "reason": refusal.reason} for refusal in plan.refusals],
        "ignored": list(plan.ignored),
    }


def _print_plan(plan: IngestPlan) -> None:
    from archive.display import size_text

    typer.echo(
        f"would read {plan.sources} files ({size_text(plan.samples)} of samples) "
        f"into about {len(plan.groups)} granules; "
        f"{plan.known} files are in the archive already"
    )
    for name, dataset in plan.datasets.items():
        if dataset.holds_frames:
            axes = zip(dataset.fingerprint["axes"], dataset.fingerprint["shape"], strict=False)
            typer.echo(f"  {name}: frames of {' x '.join(f'{n} {axis}' for axis, n in axes)}, {dataset.dtype}")
            continue
        shape = " x ".join(f"{size} {dim}" for dim, size in zip(dataset.dims[1:], dataset.widths, strict=True))
        typer.echo(f"  {name}: {shape}, {float(10**9 / dataset.step):g} Hz, {dataset.dtype}")
    _print_refusals(plan.refusals, plan.ignored)


def _print_report(report: IngestReport) -> None:
    from archive.display import size_text

    if not report.sources and not report.refusals:
        typer.echo(f"nothing to do: all {report.known} files are in the archive ({report.seconds:.1f} s)")
    else:
        speed = report.raw / max(report.seconds, 1e-9) / 1e6
        typer.echo(
            f"{report.sources} files in {report.granules} granules: {size_text(report.raw)} of samples as "
            f"{size_text(report.stored)}, {report.seconds:.1f} s, {speed:.0f} MB/s; "
            f"{report.known} were there already; snapshot {report.snapshot}"
        )
        for name in report.datasets:
            typer.echo(f"  {name}")
    _print_refusals(report.refusals, report.ignored)


def _print_refusals(refusals: Any, ignored: Any) -> None:
    for refusal in list(refusals)[:_SHOWN]:
        typer.echo(f"  refused: {refusal.reason}", err=True)
    if len(refusals) > _SHOWN:
        typer.echo(f"  and {len(refusals) - _SHOWN} more; their reports are under quarantine/ in the archive", err=True)
    if ignored:
        typer.echo(f"  {len(ignored)} files are no raw data and were left alone", err=True)

"""Commands that look: `ls`, `info`, `explain` and `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.errors import InvalidInput
from ingest.commands.options import AsJson, AsOf, DatasetName, Distance, Options, TimeRange, Url, open_spool, print_json

if TYPE_CHECKING:
    from archive.patch import Patch
    from archive.spools import Spool

__all__ = ["explain", "info", "ls", "plot"]


def ls(url: Url, *, as_of: AsOf = None, options: Options = None, as_json: AsJson = False) -> None:
    """List the datasets of an archive: what they cover and in how many runs.

    Example: `lightkeep ls s3://bucket/porotomo`
    """
    from archive.times import ns_to_text

    coverage = open_spool(url, options, None, as_of=as_of).coverage()
    if as_json:
        listed = {
            name: [[ns_to_text(first), ns_to_text(last)] for first, last in spans] for name, spans in coverage.items()
        }
        print_json(listed)
        return
    if not coverage:
        typer.echo(f"no data yet; put some in with: lightkeep ingest SOURCE {url}")
    for name, spans in coverage.items():
        if spans:
            runs = "1 run" if len(spans) == 1 else f"{len(spans)} runs"
            typer.echo(f"{name}  {ns_to_text(spans[0][0])} to {ns_to_text(spans[-1][1])}  {runs}")


def info(
    url: Url,
    *,
    dataset: DatasetName = None,
    leaves: Annotated[
        bool, typer.Option("--leaves", help="Name the Parquet leaves of the index, for DuckDB or Polars.")
    ] = False,
    as_of: AsOf = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Tell what an archive or one dataset holds.

    Example: `lightkeep info s3://bucket/porotomo --dataset brady`
    """
    spool = open_spool(url, options, dataset, as_of=as_of)
    document = _info(spool, leaves=leaves)
    if as_json:
        print_json(document)
        return
    typer.echo(f"{document['url']}: snapshot {document['snapshot']}, {document['young_commits']} young commits")
    for name, held in document["datasets"].items():
        typer.echo(f"\n{name}")
        for key, value in held.items():
            if key != "attrs":
                typer.echo(f"  {key:<12} {value}")
        for key, value in held["attrs"].items():
            typer.echo(f"    {key:<16} {value}")
    for leaf in document.get("leaves", ()):
        typer.echo(leaf)


def _info(spool: Spool, *, leaves: bool) -> dict[str, Any]:
    from archive.display import size_text
    from archive.spools import ArchiveRoot
    from archive.times import ns_to_text

    root = spool.root
    assert isinstance(root, ArchiveRoot)  # noqa: S101 - what lk.open gives
    view = root.view
    datasets = {}
    for name in spool.datasets:
        held, spans, entries = view.dataset(name), view.coverage(name), view.entries(name)
        datasets[name] = {
            "dims": ", ".join(
                ["time", *(f"{size} {dim}" for dim, size in zip(held.dims[1:], held.widths, strict=True))]
            ),
            "dtype": str(held.dtype),
            "rate_hz": float(10**9 / held.step),
            "codec": held.codec,
            "chunk": " x ".join(map(str, held.chunks)),
            "first": ns_to_text(spans[0][0]) if spans else None,
            "last": ns_to_text(spans[-1][1]) if spans else None,
            "runs": len(spans),
            "granules": sum(leaf.rows for leaf in entries),
            "stored": size_text(sum(leaf.stored for leaf in entries)),
            "attrs": dict(held.attrs),
        }
    document: dict[str, Any] = {
        "url": view.store.url,
        "snapshot": view.snapshot.number,
        "young_commits": len(view.commits),
        "sources": sum(entry.sources for entry in view.snapshot.ledger),
        "tags": dict(view.snapshot.tags),
        "datasets": datasets,
    }
    if leaves:
        names = set(datasets)
        document["leaves"] = [f"{view.store.url}/{leaf.key}" for leaf in view.snapshot.leaves if leaf.dataset in names]
    return document


def explain(
    url: Url,
    *,
    dataset: DatasetName = None,
    time: TimeRange = None,
    distance: Distance = None,
    as_of: AsOf = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Tell what reading a selection would cost: requests, bytes, seconds and dollars. Moves no sample.

    Example: `lightkeep explain s3://bucket/porotomo --time 2016-03-14T08:00 2016-03-14T09:00`
    """
    plan = open_spool(url, options, dataset, time=time, distance=distance, as_of=as_of).explain()
    if as_json:
        print_json(plan.to_json())
    else:
        typer.echo(str(plan))


def plot(
    url: Url,
    *,
    output: Annotated[Path, typer.Option("--output", "-O", help="Where the picture goes.")] = Path("waterfall.png"),
    dataset: DatasetName = None,
    time: TimeRange = None,
    distance: Distance = None,
    as_of: AsOf = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Draw a waterfall of a selection.

    Example: `lightkeep plot s3://bucket/porotomo --time 2016-03-14T08:00 2016-03-14T08:01 -O minute.png`
    """
    spool = open_spool(url, options, dataset, time=time, distance=distance, as_of=as_of)
    count = len(spool)
    if not count:
        raise InvalidInput("the selection holds no samples; see lightkeep ls for what there is")
    patch = max(spool, key=lambda patch: patch.size)
    draw(patch, output)
    if as_json:
        print_json({"output": str(output), "shape": patch.shape, "patches": count})
    else:
        more = f" (the largest of {count} runs; narrow it with --dataset or --time)" if count > 1 else ""
        typer.echo(f"{output}: {patch.shape[0]} samples of {patch.shape[-1]} channels{more}")


def draw(patch: Patch, output: Path) -> None:
    """Draw a Patch into a file."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(11, 6), layout="constrained")
    patch.viz.waterfall(ax=axes)
    try:
        figure.savefig(output, dpi=120)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{output}: the picture cannot be written ({error})") from error
    finally:
        plt.close(figure)

"""Commands that look: `ls`, `info`, `explain` and `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from archive.errors import InvalidInput
from ingest.commands.options import AsJson, AsOf, DatasetName, Distance, Options, TimeRange, Url, open_spool, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archive.patch import Patch
    from archive.spools import Spool

__all__ = ["explain", "framed", "info", "ls", "plot"]


def ls(url: Url, *, as_of: AsOf = None, options: Options = None, as_json: AsJson = False) -> None:
    """List the datasets of an archive: what they cover and in how many runs.

    Example: `lightkeep ls s3://bucket/porotomo`
    """
    from archive.times import ns_to_text

    spool = open_spool(url, options, None, as_of=as_of)
    coverage = spool.coverage()
    if as_json:
        listed = {
            name: [[ns_to_text(first), ns_to_text(last)] for first, last in spans] for name, spans in coverage.items()
        }
        print_json(listed)
        return
    if not coverage:
        typer.echo(f"no data yet; put some in with: lightkeep ingest SOURCE {url}")
    frames = framed(spool)
    for name, spans in coverage.items():
        if name in frames:
            typer.echo(f"{name}  {ns_to_text(spans[0][0])} to {ns_to_text(spans[-1][1])}  {_frames_text(frames[name])}")
        elif spans:
            runs = "1 run" if len(spans) == 1 else f"{len(spans)} runs"
            typer.echo(f"{name}  {ns_to_text(spans[0][0])} to {ns_to_text(spans[-1][1])}  {runs}")


def framed(spool: Spool) -> dict[str, list[Any]]:
    """Return the Cubes of each dataset of frames."""
    from archive.patch import Patch

    cubes: dict[str, list[Any]] = {}
    if spool.framed:
        for item in spool:
            if not isinstance(item, Patch):
                cubes.setdefault(item.attrs["dataset"], []).append(item)
    return cubes


def _frames_text(cubes: Sequence[Any]) -> str:
    missing = sum(len(cube.missing) for cube in cubes)
    tiles = f" in {len(cubes)} tiles" if len(cubes) > 1 else ""
    return f"{sum(len(cube.files) for cube in cubes)} frames{tiles}{f', {missing} missing' if missing else ''}"


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
    frames = framed(spool)
    for name in spool.datasets:
        if name in frames:
            datasets[name] = _frames_info(frames[name], view.entries(name), size_text)
            continue
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


def _frames_info(cubes: Sequence[Any], entries: Sequence[Any], size_text: Any) -> dict[str, Any]:
    """Return what is known of a dataset of frames: axes, world ranges, frames present and missing."""
    from archive.cube.coordinates import world_ranges

    first = cubes[0]
    names = first.wcs.pixel_axis_names[::-1]
    ranges: dict[str, Any] = {}
    for cube in cubes:
        for kind, low, high, unit in world_ranges(cube.wcs):
            before = ranges.get(kind, [low, high, unit])
            ranges[kind] = [min(before[0], low), max(before[1], high), unit]
    if "time" in ranges:
        times = [cube.times for cube in cubes]
        ranges["time"] = [str(min(one.min() for one in times)), str(max(one.max() for one in times)), "UTC"]
    told: dict[str, Any] = {
        "axes": ", ".join(f"{length} {name or 'pixels'}" for length, name in zip(first.shape, names, strict=True)),
        "dtype": f"{first.dtype} [{first.unit if first.unit is not None else ''}]",
        "frames": sum(len(cube.files) for cube in cubes),
        "missing": sum(len(cube.missing) for cube in cubes),
        "granules": sum(leaf.rows for leaf in entries),
        "stored": size_text(sum(leaf.stored for leaf in entries)),
        **{kind: f"{low} to {high} {unit}".rstrip() for kind, (low, high, unit) in ranges.items()},
    }
    if "mosaic" in first.meta:
        shape = " x ".join(map(str, first.meta["mosaic"]))
        told["tiles"] = f"{len(cubes)} of a mosaic of {shape}"
    return {**told, "attrs": {"instrument": first.attrs["instrument"]}}


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
    patch: Any = max(spool, key=lambda patch: patch.size)
    if hasattr(patch, "wcs"):
        patch = _draw_cube(patch, output)
    else:
        draw(patch, output)
    if as_json:
        print_json({"output": str(output), "shape": patch.shape, "patches": count})
    elif hasattr(patch, "wcs"):
        typer.echo(f"{output}: {' x '.join(map(str, patch.shape))} pixels of {patch.files[0]}")
    else:
        more = f" (the largest of {count} runs; narrow it with --dataset or --time)" if count > 1 else ""
        typer.echo(f"{output}: {patch.shape[0]} samples of {patch.shape[-1]} channels{more}")


def _draw_cube(cube: Any, output: Path) -> Any:
    """Draw the first image of a Cube on its coordinates, and return what was drawn."""
    import warnings

    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    image = cube.squeeze() if 1 in cube.shape else cube
    place = next((one for one in np.ndindex(image.shape[:-2]) if one not in image.missing), (0,) * (image.ndim - 2))
    image = image[place] if image.ndim > 2 else image  # noqa: PLR2004 - a picture has two axes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # WCSAxes divides by zero where an axis is the same everywhere
        axes = image.plot()
        try:
            axes.figure.savefig(output, dpi=120)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{output}: the picture cannot be written ({error})") from error
        finally:
            plt.close(axes.figure)
    return image


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

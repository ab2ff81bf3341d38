"""The command `export`: what an archive holds, as files of other formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archive.errors import InvalidInput, StoreTrouble
from ingest.commands.options import AsJson, AsOf, DatasetName, Distance, Options, TimeRange, Url, open_spool, print_json

if TYPE_CHECKING:
    from archive.patch import Patch

__all__ = ["export"]


def export(
    url: Url,
    *,
    name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="prodml, segy, miniseed, wav, netcdf or hdf5.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-O", help="A file, or a folder for several runs.", show_default=False)
    ],
    chunk: Annotated[
        float | None,
        typer.Option("--chunk", metavar="SECONDS", help="A file for every so many seconds.", show_default=False),
    ] = None,
    dataset: DatasetName = None,
    time: TimeRange = None,
    distance: Distance = None,
    as_of: AsOf = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Write a selection as files of another format: one for each contiguous run.

    Example: `lightkeep export s3://bucket/porotomo --dataset brady --chunk 60 --format segy -O minutes/`
    """
    spool = open_spool(url, options, dataset, time=time, distance=distance, as_of=as_of)
    if chunk is not None:
        spool = spool.chunk(time=chunk, keep_partial=True)
    count = len(spool)
    if not count:
        raise InvalidInput("the selection holds no samples; see lightkeep ls for what there is")
    if count > 1 and output.suffix and not output.is_dir():
        raise InvalidInput(f"{output}: the selection holds {count} runs; give a folder, or narrow it with --time")
    whole = count == 1 and not output.is_dir()
    written = []
    for patch in spool:
        path = output if whole else output / _name_of(patch, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreTrouble(f"{path.parent}: cannot be made ({error}); give another folder") from error
        written.append((patch.io.write(path, name), patch.shape))
        if not as_json:
            typer.echo(f"{path}: {' x '.join(map(str, patch.shape))} samples")
    if as_json:
        print_json([{"output": str(path), "format": name, "shape": shape} for path, shape in written])


def _name_of(patch: Patch, name: str) -> str:
    """Return what to call one file of several: by its dataset and its first sample."""
    from archive.export import FORMATS

    if name not in FORMATS:
        raise InvalidInput(f"{name!r}: no format to write; there are {', '.join(FORMATS)}")
    start = str(patch.coords["time"].min()).replace("-", "").replace(":", "").replace(".", "_")
    return f"{patch.attrs.get('dataset') or 'patch'}_{start}Z{FORMATS[name][2]}"

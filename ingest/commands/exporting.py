"""The command `export`: what an archive holds, as files of other formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.errors import InvalidInput, StoreTrouble
from ingest.commands.options import AsJson, AsOf, DatasetName, Distance, Options, TimeRange, Url, open_spool, print_json

if TYPE_CHECKING:
    from archive.patch import Patch
    from archive.spools import Spool

__all__ = ["export"]


def export(
    url: Url,
    *,
    name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="prodml, segy, miniseed, wav, netcdf or hdf5; fits or asdf for frames.",
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
    if name in {"fits", "asdf"}:
        _tell_frames(_frames(spool, name, output), as_json=as_json)
        return
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
        if hasattr(patch, "wcs"):
            raise InvalidInput(f"{patch.attrs['dataset']}: frames are exported as fits or asdf; give --format fits")
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


def _tell_frames(written: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(written)
    for line in () if as_json else written:
        typer.echo(f"{line['output']}: {line['files']} files of {line['dataset']}")


def _frames(spool: Spool, name: str, output: Path) -> list[dict[str, Any]]:
    """Write the files of each Cube byte for byte, or its asdf; several Cubes into folders of their own."""
    from archive.patch import Patch

    cubes: list[Any] = [item for item in spool if not isinstance(item, Patch)]
    if not cubes:
        raise InvalidInput(f"the selection holds no frames, which {name} is for; see lightkeep ls for what there is")
    written = []
    for cube in cubes:
        tile = "_".join(("", *map(str, cube.attrs.get("tile", ()))))
        label = f"{cube.attrs['dataset']}{tile}"
        try:
            if name == "fits":
                folder = output / label if len(cubes) > 1 else output
                files = len(cube.io.to_fits(folder))
                written.append({"output": str(folder), "dataset": label, "files": files})
            else:
                path = output if len(cubes) == 1 and output.suffix else output / f"{label}.asdf"
                path.parent.mkdir(parents=True, exist_ok=True)
                written.append({"output": str(cube.io.to_asdf(path)), "dataset": label, "files": 1})
        except OSError as error:
            raise StoreTrouble(f"{output}: cannot be written ({error}); give another folder") from error
    return written


def _name_of(patch: Patch, name: str) -> str:
    """Return what to call one file of several: by its dataset and its first sample."""
    from archive.export import FORMATS

    if name not in FORMATS:
        raise InvalidInput(f"{name!r}: no format to write; there are {', '.join(FORMATS)}")
    start = str(patch.coords["time"].min()).replace("-", "").replace(":", "").replace(".", "_")
    return f"{patch.attrs.get('dataset') or 'patch'}_{start}Z{FORMATS[name][2]}"

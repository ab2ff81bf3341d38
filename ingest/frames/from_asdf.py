"""The data centre's asdf of a dataset to a description of its frames."""

from __future__ import annotations

import io
import warnings
from types import MappingProxyType
from typing import Any

import numpy as np

from archive.cube.frames import Frames
from archive.errors import FormatError, MissingExtra
from ingest.frames.description import FrameSet, FrameTile

__all__ = ["describe_asdf"]

_COMMAND = "pip install 'lightkeep[frames]'"


def describe_asdf(content: bytes, name: str) -> FrameSet:
    """Return what an asdf says of its dataset; whether the files are there is not looked at.

    Parameters
    ----------
    content
        Of the `_metadata.asdf`.
    name
        Of the file, for messages.

    Raises
    ------
    FormatError
        This is no asdf of a dataset of frames, it is damaged, or of a newer schema than the libraries know.
    MissingExtra
        asdf or the schemas of DKIST are not installed.
    """
    try:
        import asdf
        import dkist  # noqa: F401 - its schemas are there
    except ModuleNotFoundError as error:
        raise MissingExtra(f"an asdf of frames needs {error.name}, which is not installed; {_COMMAND}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # older files than libraries
            with asdf.open(io.BytesIO(content), lazy_load=False, memmap=False) as file:
                return _frame_set(_dataset(file.tree, name), content, name)
    except FormatError:
        raise
    except Exception as error:  # asdf, yaml, jsonschema, gwcs and dkist each raise their own
        raise FormatError(f"{name}: damaged, or no asdf of frames: {error}; set it aside") from error


def _dataset(tree: Any, name: str) -> Any:
    import dkist

    dataset = tree.get("dataset")
    if not isinstance(dataset, (dkist.Dataset, dkist.TiledDataset)):
        what = getattr(dataset, "_tag", type(dataset).__name__)
        raise FormatError(
            f"{name}: holds a dataset of the kind {what}, which dkist {dkist.__version__} does not know; "
            "update dkist, or ingest the frames without the asdf"
        )
    return dataset


def _frame_set(dataset: Any, content: bytes, name: str) -> FrameSet:
    import dkist

    tiled = isinstance(dataset, dkist.TiledDataset)
    if tiled:
        places = [place for place in np.ndindex(dataset.shape) if not np.ma.getmaskarray(dataset._data)[place]]  # noqa: SLF001
        tiles = tuple(_tile(dataset._data[place], place, name) for place in places)  # noqa: SLF001 - a slice is checked
    else:
        tiles = (_tile(dataset, None, name),)
    if not tiles:
        raise FormatError(f"{name}: a mosaic without a tile; set it aside")
    frames = tiles[0].frames
    documents = {key: value for key, value in dataset.meta.items() if key != "headers"}
    inventory = dict(dataset.inventory or {})
    return FrameSet(
        name=str(frames.constant.get("DSETID") or inventory.get("datasetId") or name.partition(".")[0]),
        instrument=str(frames.constant.get("INSTRUME", "")),
        tiles=tiles,
        mosaic=tuple(dataset.shape) if tiled else (),
        documents=MappingProxyType({**documents, "inventory": inventory}),
        asdf=content,
    )


def _tile(dataset: Any, place: tuple[int, ...] | None, name: str) -> FrameTile:
    from archive.wcs.from_gwcs import UnknownTransform, from_gwcs

    uris = np.asarray(dataset.files.fileuri_array, dtype=object)
    table = dataset.headers
    if len(table) != uris.size:
        raise FormatError(f"{name}: {len(table)} headers for {uris.size} files; set it aside")
    there = [number for number, uri in enumerate(uris.ravel()) if uri is not None and not np.ma.is_masked(uri)]
    grid = np.full(uris.shape, -1, dtype=np.intp)
    grid.ravel()[there] = np.arange(len(there))
    columns = {key: table[key].tolist() for key in table.colnames}  # what is masked becomes None
    rows = [{key: column[number] for key, column in columns.items()} for number in there]
    try:
        wcs, gwcs = from_gwcs(dataset.wcs), None
    except UnknownTransform:
        wcs, gwcs = None, dataset.wcs
    return FrameTile(
        place=place,
        shape=tuple(dataset.data.shape),
        dtype=np.dtype(dataset.data.dtype).newbyteorder("="),
        unit=None if dataset.unit is None else str(dataset.unit),
        frames=Frames.from_headers([str(uris.ravel()[number]) for number in there], rows),
        grid=grid,
        axis_names=tuple(dataset.wcs.pixel_axis_names[::-1]),
        wcs=wcs,
        gwcs=gwcs,
    )

"""The headers of frames alone to a description of the cube that they make.

References
----------
SPEC-0214, dataset axes: DNAXIS, DNAXISn, DAAXES, DEAXES, DINDEXn; mosaics: MAXIS, MAXISn, MINDEXn.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.frames import Frames
from archive.errors import FormatError
from archive.fits.cards import integer
from archive.fits.image import Scaling
from ingest.frames.description import FrameSet, FrameTile, grid_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["TIMES", "describe_headers", "frame_shape", "mosaic_place", "pixel_type"]

type Header = Mapping[str, Any]

TIMES = ("DATE-AVG", "T_OBS", "DATE-OBS", "DATE_OBS", "DATE-BEG")


def describe_headers(files: Sequence[str], headers: Sequence[Header]) -> FrameSet:
    """Return what the headers of some frames say of the cube that they make.

    Frames of DKIST say where they lie. Any other images of one shape are a series, ordered by time.

    Parameters
    ----------
    files
        Names of the files.
    headers
        Values by keyword, as the files have them, in the same order.

    Raises
    ------
    FormatError
        A frame is of another dataset or shape, two claim one place, or a header lies.
    """
    if not headers:
        raise FormatError("no frames to describe")
    if all("DNAXIS" in header for header in headers):
        return _dataset(files, headers)
    if any("DNAXIS" in header for header in headers):
        alien = next(file for file, header in zip(files, headers, strict=True) if "DNAXIS" not in header)
        raise FormatError(f"{alien}: has no DNAXIS, other frames have; set it aside")
    return _series(files, headers)


def frame_shape(header: Header, name: str) -> tuple[int, ...]:
    """Return the shape of a frame's image in array order, compressed or not.

    Raises
    ------
    FormatError
        The header does not say.
    """
    prefix = "Z" if "ZNAXIS" in header else ""
    return tuple(
        integer(header, f"{prefix}NAXIS{axis}", name) for axis in range(integer(header, f"{prefix}NAXIS", name), 0, -1)
    )


def pixel_type(header: Header, name: str) -> np.dtype[Any]:
    """Return the type of a frame's values, native byte order.

    Raises
    ------
    FormatError
        The header does not say.
    """
    bitpix = integer(header, "ZBITPIX" if "ZBITPIX" in header else "BITPIX", name)
    scale, zero = float(header.get("BSCALE", 1.0)), float(header.get("BZERO", 0.0))
    return Scaling(bitpix=bitpix, scale=scale, zero=zero, blank=header.get("BLANK") if bitpix > 0 else None).dtype


def _same(files: Sequence[str], headers: Sequence[Header], keys: Sequence[str]) -> None:
    """Refuse a frame that differs from the first in what all frames share."""
    for key in keys:
        first = headers[0].get(key)
        for file, header in zip(files, headers, strict=True):
            if header.get(key) != first:
                raise FormatError(f"{file}: {key} is {header.get(key)!r}, but {first!r} in {files[0]}; set it aside")


def _same_images(files: Sequence[str], headers: Sequence[Header]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    shape, dtype = frame_shape(headers[0], files[0]), pixel_type(headers[0], files[0])
    for file, header in zip(files, headers, strict=True):
        if (frame_shape(header, file), pixel_type(header, file)) != (shape, dtype):
            other = frame_shape(header, file), pixel_type(header, file).name
            raise FormatError(f"{file}: an image of {other}, but {files[0]} is of {(shape, dtype.name)}; set it aside")
    return shape, dtype


# -- DKIST ----------------------------------------------------------------------------------------------------


def _dataset(files: Sequence[str], headers: Sequence[Header]) -> FrameSet:
    first, name = headers[0], files[0]
    axes = integer(first, "DNAXIS", name)
    inside = integer(first, "DAAXES", name)
    if not 0 < inside < axes:
        raise FormatError(f"{name}: DAAXES is {inside} of DNAXIS {axes}; its header lies, set it aside")
    lengths = [f"DNAXIS{axis}" for axis in range(1, axes + 1)]
    types = [f"DTYPE{axis}" for axis in range(1, axes + 1)]
    _same(files, headers, ["DSETID", "INSTRUME", "DNAXIS", "DAAXES", *lengths, *types, "MAXIS", "MAXIS1", "MAXIS2"])
    shape, dtype = _same_images(files, headers)
    cube = tuple(integer(first, key, name) for key in reversed(lengths))
    if tuple(length for length in shape if length != 1) != tuple(n for n in cube[axes - inside :] if n != 1):
        raise FormatError(f"{name}: an image of {shape} in a dataset of {cube}; its header lies, set it aside")
    groups: dict[tuple[int, ...] | None, list[int]] = defaultdict(list)
    for number, (file, header) in enumerate(zip(files, headers, strict=True)):
        groups[mosaic_place(header, file)].append(number)
    tiles = tuple(
        _tile(place, [files[n] for n in members], [headers[n] for n in members], cube, dtype)
        for place, members in sorted(groups.items(), key=lambda item: item[0] or ())
    )
    mosaic = tuple(integer(first, f"MAXIS{axis}", name) for axis in range(1, int(first.get("MAXIS") or 0) + 1))
    return FrameSet(
        name=str(first.get("DSETID") or name.partition(".")[0]),
        instrument=str(first.get("INSTRUME", "")),
        tiles=tiles,
        mosaic=mosaic,
    )


def mosaic_place(header: Header, name: str) -> tuple[int, ...] | None:
    """Return MINDEXn from 0: first MINDEX1, then MINDEX2, as the tiles of the data centre's asdf are indexed."""
    if not header.get("MAXIS"):
        return None
    place = []
    for axis in range(1, integer(header, "MAXIS", name) + 1):
        index, length = integer(header, f"MINDEX{axis}", name), integer(header, f"MAXIS{axis}", name)
        if not 1 <= index <= length:
            raise FormatError(f"{name}: MINDEX{axis} is {index} of {length}; its header lies, set it aside")
        place.append(index - 1)
    return tuple(place)


def _tile(
    place: tuple[int, ...] | None,
    files: Sequence[str],
    headers: Sequence[Header],
    cube: tuple[int, ...],
    dtype: np.dtype[Any],
) -> FrameTile:
    first = headers[0]
    axes, inside = int(first["DNAXIS"]), int(first["DAAXES"])
    across = range(axes, inside, -1)
    indices = [
        [integer(header, f"DINDEX{axis}", file) for axis in across] for file, header in zip(files, headers, strict=True)
    ]
    # Real data count from 1, simulated ones from 0: only one of the two fits a set that has either end.
    outer = cube[: axes - inside]
    start = 0 if any(0 in row for row in indices) else 1
    places = [tuple(index - start for index in row) for row in indices]
    return FrameTile(
        place=place,
        shape=cube,
        dtype=dtype,
        unit=None if first.get("BUNIT") is None else str(first["BUNIT"]),
        frames=Frames.from_headers(list(files), list(headers)),
        grid=grid_of(outer, places, files),
        axis_names=tuple(str(first.get(f"DPNAME{axis}", f"axis {axis}")) for axis in range(axes, 0, -1)),
    )


# -- other images ---------------------------------------------------------------------------------------------


def _series(files: Sequence[str], headers: Sequence[Header]) -> FrameSet:
    """Return images of one kind as a series in the order of their times."""
    _same(files, headers, ["TELESCOP", "INSTRUME", "WAVELNTH", "CTYPE1", "CTYPE2", "WCSAXES", "BUNIT"])
    shape, dtype = _same_images(files, headers)
    key = next((key for key in TIMES if all(isinstance(header.get(key), str) for header in headers)), None)
    if key is None:
        raise FormatError(f"{files[0]}: no time in {', '.join(TIMES)} of every frame; their order is not known")
    order = sorted(range(len(files)), key=lambda number: (_time(headers[number][key]), files[number]))
    for one, two in pairwise(order):
        if _time(headers[one][key]) == _time(headers[two][key]):
            raise FormatError(f"{files[one]} and {files[two]} are of one time; set one of them aside")
    first = headers[0]
    parts = [first.get(name) for name in ("TELESCOP", "INSTRUME", "WAVELNTH")]
    tile = FrameTile(
        shape=(len(files), *shape),
        dtype=dtype,
        unit=None if first.get("BUNIT") is None else str(first["BUNIT"]),
        frames=Frames.from_headers([files[number] for number in order], [headers[number] for number in order]),
        grid=np.arange(len(files), dtype=np.intp),
        axis_names=("time", *(f"axis {axis}" for axis in range(len(shape), 0, -1))),
    )
    name = "_".join(str(part).strip().replace("/", "-").replace(" ", "-") for part in parts if part is not None)
    return FrameSet(name=name or files[0].partition(".")[0], instrument=str(first.get("INSTRUME", "")), tiles=(tile,))


def _time(text: str) -> str:
    """Return a time as text that sorts: HMI writes `2017.09.06_11:59:57.63_TAI`, others ISO 8601."""
    return (
        text.strip()
        .removesuffix("Z")
        .removesuffix("_TAI")
        .removesuffix("_UTC")
        .replace(".", "-", 2 * ("_" in text))
        .replace("_", "T")
    )

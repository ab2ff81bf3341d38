"""What one frame's header says: which dataset it belongs to, and where in it it lies.

A pure function of one header, so that workers that see different frames of a dataset agree on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.table import core_of
from archive.errors import FormatError
from archive.fits.cards import integer
from archive.index.dataset import Dataset
from ingest.frames.from_headers import TIMES, frame_shape, mosaic_place, pixel_type

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FrameIdentity", "dataset_of_frames", "frames_per_granule", "identify_frame", "name_of", "window_of"]

_GRANULE_BYTES = 128 << 20  # raw
_TILES = 25  # of a small frame: as many requests as one whole frame may take
_GRANULE_FRAMES = 1024
_SECOND = Fraction(10**9)
# Frames in a chunk, and bytes of a chunk, raw.
_CHUNK = {"frames": (1, 1 << 20), "balanced": (8, 320 << 10), "pixels": (256, 256 << 10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameIdentity:
    """What a frame says of itself.

    Parameters
    ----------
    name
        Of its dataset: DSETID, or what tells a series of images from others.
    fingerprint
        What all frames of the dataset share.
    image
        Shape of the image in its file.
    time
        ns UTC.
    place
        DINDEXn, outermost axis first, as the header has it; empty in a series.
    tile
        Which tile of a mosaic, from 0.
    """

    name: str
    fingerprint: dict[str, Any]
    image: tuple[int, ...]
    time: int
    place: tuple[int, ...]
    tile: tuple[int, ...] | None


def identify_frame(header: Mapping[str, Any], name: str) -> FrameIdentity:
    """Return what a frame's header says.

    Raises
    ------
    FormatError
        It does not say, or contradicts itself.
    """
    try:
        return _dkist(header, name) if "DNAXIS" in header else _image(header, name)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{name}: its header cannot be understood ({error!r}); set it aside") from error


def _dkist(header: Mapping[str, Any], name: str) -> FrameIdentity:
    axes, inside = integer(header, "DNAXIS", name), integer(header, "DAAXES", name)
    if not 0 < inside < axes or axes > 9:  # noqa: PLR2004 - one digit a keyword
        raise FormatError(f"{name}: DAAXES is {inside} of DNAXIS {axes}; its header lies, set it aside")
    shape = tuple(integer(header, f"DNAXIS{axis}", name) for axis in range(axes, 0, -1))
    image = frame_shape(header, name)
    if min(shape) < 1 or core_of(image) != core_of(shape[axes - inside :]):
        raise FormatError(f"{name}: an image of {image} in a dataset of {shape}; its header lies, set it aside")
    identity = header.get("DSETID")
    if not isinstance(identity, str) or not identity.strip():
        raise FormatError(f"{name}: has no DSETID, so it is not known which dataset it belongs to; set it aside")
    place = tuple(integer(header, f"DINDEX{axis}", name) for axis in range(axes, inside, -1))
    if any(not 0 <= index <= length for index, length in zip(place, shape, strict=False)):
        raise FormatError(f"{name}: lies at {place} of a cube of {shape[: axes - inside]} frames; its header lies")
    numbers = range(axes, 0, -1)
    fingerprint: dict[str, Any] = {
        "kind": "frames",
        "id": identity.strip(),
        "instrument": str(header.get("INSTRUME", "")),
        "shape": list(shape),
        "inside": inside,
        "image": list(image),
        "pixels": pixel_type(header, name).name,
        "types": [str(header.get(f"DTYPE{axis}", "")) for axis in numbers],
        "axes": [str(header.get(f"DPNAME{axis}", f"axis {axis}")) for axis in numbers],
        "mosaic": [integer(header, f"MAXIS{axis}", name) for axis in range(1, int(header.get("MAXIS") or 0) + 1)],
        "time": _time_key(header, name),
    }
    return FrameIdentity(
        name=name_of(identity),
        fingerprint=fingerprint,
        image=image,
        time=_time(header, fingerprint["time"], name),
        place=place,
        tile=mosaic_place(header, name),
    )


def _image(header: Mapping[str, Any], name: str) -> FrameIdentity:
    image, key = frame_shape(header, name), _time_key(header, name)
    told = ("TELESCOP", "INSTRUME", "WAVELNTH", "CTYPE1", "CTYPE2", "BUNIT")
    fingerprint: dict[str, Any] = {
        "kind": "frames",
        "instrument": str(header.get("INSTRUME", "")),
        "image": list(image),
        "pixels": pixel_type(header, name).name,
        "shape": [],
        "mosaic": [],
        "axes": ["time", *(f"axis {axis}" for axis in range(len(image), 0, -1))],
        "time": key,
        "of": [header.get(word) for word in told],
    }
    parts = [str(header[word]) for word in told[:3] if header.get(word) is not None]
    digest = hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:8]
    return FrameIdentity(
        name=f"{name_of('_'.join(parts) or 'images')}-{digest}",
        fingerprint=fingerprint,
        image=image,
        time=_time(header, key, name),
        place=(),
        tile=None,
    )


def name_of(name: str) -> str:
    """Return a name that a dataset can have."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._")[:100] or "frames"


def _time_key(header: Mapping[str, Any], name: str) -> str:
    for key in TIMES:
        if isinstance(header.get(key), str) and header[key].strip():
            return key
    raise FormatError(f"{name}: no time in {', '.join(TIMES)}; set it aside")


def _time(header: Mapping[str, Any], key: str, name: str) -> int:
    """Return a header's time in ns UTC, whatever scale it is in.

    References
    ----------
    FITS Standard 4.0, section 9.1.1: ISO 8601; HMI's T_OBS is `2017.09.06_11:59:57.63_TAI`.
    """
    text = str(header[key]).strip()
    scale = str(header.get("TIMESYS") or "UTC").upper()
    if "_" in text:
        text, _, zone = text.rpartition("_") if text.count("_") > 1 else (text, "", scale)
        day, _, clock = text.partition("_")
        text, scale = f"{day.replace('.', '-')}T{clock}", zone.upper()
    try:
        stamp = int(np.datetime64(text.removesuffix("Z"), "ns").astype(np.int64))
    except ValueError as error:
        raise FormatError(f"{name}: {key} is {header[key]!r}, which is no time; set it aside") from error
    if scale in {"UTC", ""}:
        return stamp
    if scale not in {"TAI", "TT"}:
        raise FormatError(f"{name}: {key} is in {scale}, which is not read; set it aside")
    from astropy.time import Time

    utc = str(Time(text.removesuffix("Z"), scale=scale.lower(), precision=9).utc.isot)
    moment: int = int(np.datetime64(utc, "ns").astype(np.int64))
    return moment


def dataset_of_frames(
    found: FrameIdentity, *, name: str | None, codec: str, layout: str = "balanced", incarnation: int = 1
) -> Dataset:
    """Return the dataset of a frame, as the first worker that meets it proposes it.

    Parameters
    ----------
    name
        What the user calls it; `None` for the name that follows from the header.
    layout
        What chunks are cut for: `"frames"` one frame, `"pixels"` one pixel through all, `"balanced"` both.
    """
    pixel = np.dtype(found.fingerprint["pixels"])
    return Dataset(
        name=name or found.name,
        dims=("frame",),
        coords={},
        dtype=pixel,
        step=_SECOND,
        chunks=_chunk(core_of(found.image), max(pixel.itemsize // 2, 4), layout),
        codec=codec,
        window=10**9,
        attrs={"instrument_id": found.fingerprint["instrument"], "data_type": "frames", "layout": layout},
        fingerprint=found.fingerprint,
        incarnation=incarnation,
    )


def _chunk(core: tuple[int, ...], item: int, layout: str) -> tuple[int, ...]:
    """Return frames and pixels of a chunk: each axis of a frame in about as many parts as the others.

    Parameters
    ----------
    core
        Shape of a frame without axes of length one.
    item
        Bytes of a stored number.
    """
    frames, size = _CHUNK[layout]
    frames = max(min(frames, _GRANULE_BYTES // (prod(core) * item)), 1)  # large frames are few in a granule
    size = min(size, max(prod(core) * item * frames // _TILES, 64 << 10)) if layout == "balanced" else size
    parts = max(prod(core) * item * frames / size, 1.0)
    shape = list(core)
    if layout == "frames":
        shape[0] = max(round(core[0] / parts), 1)
        return (frames, *shape)
    cuts = parts ** (1 / len(core))
    return (frames, *(max(-(-length // round(max(cuts, 1))), 1) for length in shape))


def frames_per_granule(dataset: Dataset) -> int:
    """Return how many frames a granule holds: whole chunks, some 128 MB raw."""
    size: int = prod(dataset.fingerprint["image"]) * dataset.dtype.itemsize
    chunk = dataset.chunks[0]
    return max(min(_GRANULE_BYTES // max(size, 1), _GRANULE_FRAMES) // chunk, 1) * chunk


def window_of(tile: tuple[int, ...] | None, place: tuple[int, ...], dataset: Dataset) -> tuple[Any, ...]:
    """Return which granule a frame goes to, by its place, so that all workers agree."""
    # One place more along each axis, since it is not known here whether they are counted from 0 or from 1.
    lengths = [length + 1 for length in dataset.fingerprint["shape"][: len(place)]]
    return (tile, int(np.ravel_multi_index(place, lengths)) // frames_per_granule(dataset))

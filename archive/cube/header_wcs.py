"""World coordinates of frames that came without an asdf: from their headers alone.

Time is that of each frame; Stokes, wavelength and the sky are taken where the headers say them plainly. Wavelength and
sky follow the FITS convention: the pixel CRPIX counts from 1.

References
----------
FITS Standard 4.0, section 8 (world coordinates); Calabretta and Greisen 2002, A&A 395, 1077; Thompson 2006, A&A 449,
791 (helioprojective coordinates).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.wcs.axes import SkyFrame, WorldAxis
from archive.wcs.sky import VaryingSky
from archive.wcs.steps import Beside, Chain, Line, Pick
from archive.wcs.tables import Ravel, Table
from archive.wcs.value import WorldCoordinates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.cube.frames import Frames
    from archive.wcs.steps import Step

__all__ = ["wcs_of_headers"]

_STOKES = {"I": 1.0, "Q": 2.0, "U": 3.0, "V": 4.0}
_DEGREES = {"deg": 1.0, "arcsec": 1 / 3600, "arcmin": 1 / 60}
_WAVELENGTHS = {"m": 1e9, "nm": 1.0, "um": 1e3, "Angstrom": 0.1, "angstrom": 0.1}

type _Part = tuple[list[WorldAxis], tuple[int, ...], Step]
"""World axes, the pixel axes that they hang on, and how."""


def wcs_of_headers(
    frames: Frames, grid: NDArray[np.intp], frame_shape: tuple[int, ...], names: tuple[str, ...]
) -> WorldCoordinates:
    """Return the coordinates that the headers of frames tell.

    Parameters
    ----------
    grid
        Number of the frame at each place, -1 where one is missing, shape of the axes across frames.
    frame_shape
        Of a frame in the cube.
    names
        Of the axes, in array order.
    """
    count = grid.ndim + len(frame_shape)
    image = _image_axes(frames, frame_shape)
    assert frames.times is not None  # noqa: S101 - those of an archive have them
    epoch = int(frames.times.min())
    parts = [part for part in (_spectral(frames, image), _sky(frames, grid, image, count)) if part is not None]
    parts.append(_time(frames.times, epoch, grid, count))
    stokes = _stokes(frames, grid, count)
    parts += [] if stokes is None else [stokes]
    pixels = tuple(axis for _, axes, _ in parts for axis in axes)
    sky = _sky_frame(frames, epoch) if any(axis.kind == "celestial" for part in parts for axis in part[0]) else None
    return WorldCoordinates(
        pixel_names=tuple(names[::-1]) if len(names) == count else tuple(f"axis {n}" for n in range(1, count + 1)),
        axes=tuple(axis for axes, _, _ in parts for axis in axes),
        sky=sky,
        epoch=_epoch(epoch),
        forward=Chain((Pick(pixels, count), Beside(tuple(step for _, _, step in parts)))),
    )


def _epoch(nanoseconds: int) -> dict[str, Any]:
    from astropy.time import Time

    time = Time(np.datetime64(nanoseconds, "ns"), scale="utc")
    return {"time": [float(time.jd1), float(time.jd2), "utc", "isot"]}


def _image_axes(frames: Frames, frame_shape: tuple[int, ...]) -> dict[int, int]:
    """Return the pixel axis (in APE 14's order) that each FITS axis of the image is, by its number from 1.

    Axes of length one that the cube does not have are left out.
    """
    prefix = "Z" if "ZNAXIS" in frames.constant else ""
    total = frames.constant.get(f"{prefix}NAXIS")
    lengths = [frames.constant.get(f"{prefix}NAXIS{axis}") for axis in range(1, int(total or 0) + 1)]
    wanted = list(frame_shape[::-1])
    if lengths == wanted:
        return {axis: axis - 1 for axis in range(1, len(lengths) + 1)}
    found: dict[int, int] = {}
    places = [place for place, length in enumerate(wanted) if length != 1]
    longer = [axis for axis, length in enumerate(lengths, 1) if length != 1]
    if len(places) == len(longer):
        found = dict(zip(longer, places, strict=True))
    return found


def _number(frames: Frames, key: str, default: float | None = None) -> NDArray[np.float64] | None:
    """Return a number of each frame."""
    count = len(frames.files)
    if key in frames.varying:
        values = [default if value is None else value for value in frames.varying[key].tolist()]
    else:
        values = [frames.constant.get(key, default)] * count
    if any(value is None or isinstance(value, (str, bool)) for value in values):
        return None
    return np.array(values, dtype=float)


def _spectral(frames: Frames, image: dict[int, int]) -> _Part | None:
    for axis, pixel in image.items():
        kind, unit = str(frames.constant.get(f"CTYPE{axis}", "")), str(frames.constant.get(f"CUNIT{axis}", "m"))
        if kind not in {"WAVE", "AWAV"} or unit not in _WAVELENGTHS:
            continue
        values = [_number(frames, key) for key in (f"CRVAL{axis}", f"CDELT{axis}", f"CRPIX{axis}")]
        if any(value is None or (value != value[0]).any() for value in values):
            continue
        start, step, reference = (float(value[0]) for value in values if value is not None)
        factor = _WAVELENGTHS[unit]
        name = WorldAxis(kind="spectral", part=0, physical_type="em.wl", unit="nm", name="wavelength")
        return [name], (pixel,), Line(step * factor, (start + (1 - reference) * step) * factor)
    return None


def _sky(frames: Frames, grid: NDArray[np.intp], image: dict[int, int], count: int) -> _Part | None:
    """Return the sky where both of its axes lie in the image: by a table with an entry for each frame."""
    axes = [
        [axis for axis in image if str(frames.constant.get(f"CTYPE{axis}", "")).startswith(start)]
        for start in ("HPLN-TAN", "HPLT-TAN")
    ]
    if any(len(found) != 1 for found in axes):
        return None
    lon, lat = axes[0][0], axes[1][0]
    units = [_DEGREES.get(str(frames.constant.get(f"CUNIT{axis}", "deg"))) for axis in (lon, lat)]
    columns = {key: [_number(frames, f"{key}{axis}") for axis in (lon, lat)] for key in ("CRPIX", "CRVAL", "CDELT")}
    turned = _number(frames, f"CROTA{lat}", 0.0)
    flat = [column for pair in columns.values() for column in pair]
    if any(column is None for column in flat) or turned is None or None in units:
        return None
    factors = np.array([unit for unit in units if unit is not None])
    crpix, crval, cdelt = (np.stack([c for c in pair if c is not None], -1) for pair in columns.values())
    if (cdelt != cdelt[0]).any():
        return None
    pc = _rotation(frames, lon, lat, turned, cdelt)
    outer = tuple(count - 1 - axis for axis in range(grid.ndim))
    full = grid.clip(min=0)
    step = VaryingSky(
        crpix=(crpix - 1)[full],
        pc=pc[full],
        crval=(crval * factors)[full],
        cdelt=cdelt[0] * factors,
        pole=float(frames.constant.get("LONPOLE") or 180.0),
    )
    told = [
        WorldAxis(
            kind="celestial",
            part=part,
            physical_type=f"custom:pos.helioprojective.{name}",
            unit="arcsec",
            name=f"helioprojective {long}",
        )
        for part, (name, long) in enumerate((("lon", "longitude"), ("lat", "latitude")))
    ]
    seconds = Beside((Line(3600.0), Line(3600.0)))
    return told, (image[lon], image[lat], *outer), Chain((step, seconds))


def _rotation(
    frames: Frames, lon: int, lat: int, turned: NDArray[np.float64], cdelt: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return PCi_j of each frame, shape `(frames, 2, 2)`: as the headers have it, else by CROTA."""
    pairs = [[_number(frames, f"PC{i}_{j}", float(i == j)) for j in (lon, lat)] for i in (lon, lat)]
    given = any(f"PC{i}_{j}" in frames.names for i in (lon, lat) for j in (lon, lat))
    if given and all(one is not None for row in pairs for one in row):
        return np.stack([np.stack([one for one in row if one is not None], -1) for row in pairs], -2)
    angle, ratio = np.radians(turned), cdelt[:, 1] / cdelt[:, 0]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin * ratio], -1), np.stack([sin / ratio, cos], -1)], -2)


def _time(times: NDArray[np.int64], epoch: int, grid: NDArray[np.intp], count: int) -> _Part:
    """Return the time of each frame in seconds since the first: by the axes along which it changes."""
    there = grid >= 0
    values = np.where(there, (times[grid.clip(min=0)] - epoch) / 1e9, np.nan)
    along = [axis for axis in range(grid.ndim) if _changes(values, axis)] or [0]
    axis = WorldAxis(kind="temporal", part=0, physical_type="time", unit="s", name="time")
    return [axis], *_table(values, along, count)


def _stokes(frames: Frames, grid: NDArray[np.intp], count: int) -> _Part | None:
    letters = frames.varying.get("STOKES")
    if letters is None or any(letter not in _STOKES for letter in letters.tolist()):
        return None
    numbers = np.array([_STOKES[letter] for letter in letters.tolist()])
    values = np.where(grid >= 0, numbers[grid.clip(min=0)], np.nan)
    along = [axis for axis in range(grid.ndim) if _changes(values, axis)]
    if len(along) != 1:
        return None
    axis = WorldAxis(kind="stokes", part=0, physical_type="phys.polarization.stokes", unit="", name="stokes")
    return [axis], *_table(values, along, count, nearest=True)


def _changes(values: NDArray[np.float64], axis: int) -> bool:
    """Return whether values differ along an axis, missing ones left out."""
    if values.shape[axis] == 1 or np.isnan(values).all():
        return False
    lowest = np.where(np.isnan(values), np.inf, values).min(axis=axis)
    highest = np.where(np.isnan(values), -np.inf, values).max(axis=axis)
    return bool((highest > lowest).any())


def _table(
    values: NDArray[np.float64], along: Sequence[int], count: int, *, nearest: bool = False
) -> tuple[tuple[int, ...], Step]:
    """Return the pixel axes and the table of values that change along some axes; means over the others."""
    others = tuple(axis for axis in range(values.ndim) if axis not in along)
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=others)
    flat = (total / np.maximum(known.sum(axis=others), 1)).ravel()
    flat = _bridged(flat, known.any(axis=others).ravel())
    table = Table(np.arange(flat.size, dtype=float), flat, nearest)
    pixels = tuple(count - 1 - axis for axis in along)
    if len(along) == 1:
        return pixels, table
    return pixels, Chain((Ravel(tuple(values.shape[axis] for axis in along)), table))


def _bridged(flat: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values with those of missing frames on the line between their neighbours."""
    places = np.arange(flat.size)
    return flat if known.all() else np.interp(places, places[known], flat[known])


def _sky_frame(frames: Frames, epoch: int) -> SkyFrame:
    """Return the helioprojective frame of the first frame's time, seen from where its header says."""
    time = _epoch(epoch)
    said = [
        frames.column(key)[:1].tolist() if key in frames.names else [None]
        for key in ("HGLN_OBS", "HGLT_OBS", "DSUN_OBS")
    ]
    values: list[Any] = [one[0] for one in said]
    observer: Any = "earth"
    if all(isinstance(value, (int, float)) for value in values):
        place = [{"quantity": [float(value), unit]} for value, unit in zip(values, ("deg", "deg", "m"), strict=True)]
        observer = {"stonyhurst": ["spherical", place, time, {"quantity": [695700.0, "km"]}]}
    return SkyFrame(name="Helioprojective", attributes={"obstime": time, "observer": observer})

"""What readers make of header values: coordinates, attributes, windows."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Coord, Linear, TimeAxis, values_from_array
from archive.errors import FormatError, InvalidInput
from archive.times import time_to_ns
from archive.units import get_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.model import Scalar

__all__ = [
    "attrs_from",
    "channel_coord",
    "distance_coord",
    "float_of",
    "in_units",
    "nanoseconds",
    "number",
    "plain",
    "ranges_of",
    "recorded_times",
    "slow_times",
    "steady_time",
    "symbol",
    "term",
    "text",
    "time_of",
    "units_of",
    "values_coord",
]

_MICROSECOND = 1000  # ns
_LAST_STAMP = 1 << 62  # ns, in the year 2116
_NANO = 10**9
_NO_SAMPLES = "the file holds no samples; set it aside"
_UNITS = {  # what it is in, and how much of that
    "m": ("m", 1.0),
    "cm": ("m", 0.01),
    "mm": ("m", 0.001),
    "km": ("m", 1000.0),
    "ft": ("m", 0.3048),
    "Hz": ("Hz", 1.0),
    "kHz": ("Hz", 1e3),
    "MHz": ("Hz", 1e6),
    "ns": ("ns", 1.0),
    "us": ("ns", 1e3),
    "ms": ("ns", 1e6),
    "s": ("ns", 1e9),
}
_SPELLINGS = {
    "meter": "m",
    "meters": "m",
    "metre": "m",
    "metres": "m",
    "feet": "ft",
    "hertz": "Hz",
    "nanoseconds": "ns",
    "seconds": "s",
}
_UNIT_TEXT = re.compile(r"[\w°%.()/*^ +-]{1,60}")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?")


def plain(value: Any) -> Any:
    """Return a header value as Python has it: numbers, text, lists, `None`; nothing is rounded."""
    if isinstance(value, np.ndarray):
        return plain(value.item()) if value.ndim == 0 else [plain(item) for item in value]
    if isinstance(value, np.void):
        names = value.dtype.names
        return bytes(value).hex() if names is None else {name: plain(value[name]) for name in names}
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, np.generic) and not isinstance(value, np.str_):
        value = value.item()
    if value is None or type(value).__name__ == "Empty":  # h5py's null dataspace
        return None
    # A text with half a surrogate pair could not be stored again.
    return value if isinstance(value, (bool, int, float)) else _decoded(str(value).encode("utf-8", "replace"))


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def number(header: Mapping[str, Any], name: str, *, positive: bool = False) -> float:
    """Return a finite number of the header, also where it is written as text.

    Raises
    ------
    FormatError
        It is missing, no finite number, or not positive where it must be.
    """
    value = header.get(name)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise FormatError(f"{name}: {header.get(name)!r} in the header is no finite number; set the file aside")
    if positive and not value > 0:
        raise FormatError(f"{name}: {value} in the header is not positive; set the file aside")
    return value


def text(value: Any) -> str | None:
    """Return the text of a header value, `None` where it says nothing."""
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value)
    return str(value).strip() or None if value is not None else None


def term(value: Any) -> str | None:
    """Return a text as a term: lower case, words joined by underscores."""
    found = text(value)
    return None if found is None else "_".join(found.lower().split())


def in_units(value: Any, have: Any, want: str) -> float | None:
    """Return a header's quantity in the units that the field uses, `None` where it says nothing.

    Parameters
    ----------
    value
        The number, or the text of one.
    have
        The units that the header names; without any, `want` is what the format prescribes.
    want
        The units wanted: those of `_UNITS` whose factor is 1.
    """
    kind, factor = _UNITS.get(symbol(have) or want, ("", 1.0))
    found = float_of(value)
    return found * factor if found is not None and kind == want else None


def float_of(value: Any) -> float | None:
    """Return a finite number, also where it is written as text or alone in a list, else `None`."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def symbol(value: Any) -> str | None:
    """Return the symbol of a unit that a header may spell out."""
    found = text(value)
    return None if found is None else _SPELLINGS.get(found.lower(), found)


def units_of(value: Any) -> str | None:
    """Return units as the header writes them, `None` where nobody knows such units."""
    found = text(value)
    if found is None or not _UNIT_TEXT.fullmatch(found):
        return None
    try:
        get_quantity(found)
    except InvalidInput:
        return None
    return found


def time_of(value: Any) -> int | None:
    """Return a header's ISO 8601 date and time in ns since 1970 UTC, `None` where it is none."""
    found = text(value) or ""
    if not _ISO_TIME.fullmatch(found):
        return None
    try:
        return time_to_ns(found)
    except (InvalidInput, OverflowError):  # NumPy's, for years that nanoseconds cannot tell
        return None


def attrs_from(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return those attributes that the header says something of."""
    kept: dict[str, Scalar] = {}
    for name, value in values.items():
        if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
            continue
        kept[name] = value if isinstance(value, (str, bool, int, float)) else str(value)
    return kept


def nanoseconds(values: NDArray[np.float64], unit: int = _NANO) -> NDArray[np.int64]:
    """Return float times as the nearest integer nanoseconds, shape kept.

    Parameters
    ----------
    values
        Since 1970, in some unit.
    unit
        Of the values, ns; seconds without.

    Raises
    ------
    FormatError
        A value is no point in time since 1970.
    """
    values = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(values) & (values >= 0) & (values < _LAST_STAMP / unit)).all():
        raise FormatError("the file's stamps are no times since 1970; it is damaged, set it aside")
    whole = np.floor(values)
    # The fraction of seconds since 1970 has at most 23 bits, so that its product with 10⁹ is exact.
    return whole.astype(np.int64) * unit + np.rint((values - whole) * unit).astype(np.int64)


def steady_time(start: int, hertz: float, size: int) -> Coord:
    """Return the time coordinate of a constant rate that a header names.

    Parameters
    ----------
    start
        Time of the first sample, ns since 1970.
    hertz
        Samples a second, positive.
    size
        Number of samples.

    Raises
    ------
    FormatError
        There are no samples, or the rate or the times are out of any range.
    """
    if not size:
        raise FormatError(_NO_SAMPLES)
    if hertz > _NANO or not 0 <= start < start + size / Fraction(hertz) * _NANO < _LAST_STAMP:
        found = f"{size} samples at {hertz} Hz from {start} ns"
        raise FormatError(f"{found}: no times of a recording; set the file aside")
    return _time(TimeAxis.from_rate(start, hertz, size))


def _time(axis: TimeAxis) -> Coord:
    return Coord(dims=("time",), values=axis, units="s")


def recorded_times(stamps: NDArray[np.int64], hertz: float | None = None) -> dict[str, Coord]:
    """Return `time`, and `time_recorded` where the stamps differ from its line by more than 1 µs.

    Parameters
    ----------
    stamps
        What the file holds, ns.
    hertz
        The rate that the header names, taken where every stamp lies within 1 µs of it: stamps that were
        rounded to microseconds do not tell a step as well as that.

    Raises
    ------
    FormatError
        There are no stamps, they do not rise, or are no times since 1970.
    """
    if not len(stamps):
        raise FormatError(_NO_SAMPLES)
    if stamps.min() < 0 or stamps.max() >= _LAST_STAMP:
        raise FormatError("the file's stamps are not within 1970 to 2116; it is damaged, set it aside")
    if hertz is not None and 0 < hertz <= _NANO and len(stamps) * _NANO / hertz < _LAST_STAMP:
        axis = TimeAxis.from_rate(int(stamps[0]), hertz, len(stamps))
        if np.abs(axis.to_ns() - stamps).max() <= _MICROSECOND:
            return {"time": _time(axis)}
    axis = TimeAxis.from_stamps(stamps)
    if axis.pieces > 1 and (np.diff(stamps) <= 0).any():
        raise FormatError("the file's stamps lie on no line and do not rise; set the file aside")
    coords = {"time": _time(axis)}
    if np.abs(axis.to_ns() - stamps).max() > _MICROSECOND:
        coords["time_recorded"] = _time(TimeAxis.exact(stamps))
    return coords


def slow_times(stamps: NDArray[np.int64]) -> dict[str, Coord]:
    """Return `time` of an instrument that takes seconds for a sample: stamps off their line are the time itself.

    A line through stamps that are 20 s apart, give or take some milliseconds, would save nothing and hide those.

    Raises
    ------
    FormatError
        As `recorded_times`; or the stamps do not rise.
    """
    coords = recorded_times(stamps)
    if "time_recorded" not in coords:
        return coords
    if (np.diff(stamps) <= 0).any():
        raise FormatError("the file's stamps do not rise; set the file aside")
    return {"time": coords["time_recorded"]}


def distance_coord(*, start: float, step: float, size: int, units: str | None = "m", offset: int = 0) -> Coord:
    """Return the distance coordinate of evenly spaced channels.

    Raises
    ------
    FormatError
        A number is not finite, the spacing is zero, or there are no channels.
    """
    if not size:
        raise FormatError(_NO_SAMPLES)
    if not (math.isfinite(start) and math.isfinite(step) and math.isfinite(step * (abs(offset) + size))) or not step:
        raise FormatError(f"channels from {start} every {step} {units}: no distances; set the file aside")
    return Coord(dims=("distance",), values=Linear(start=start, step=step, size=size, offset=offset), units=units)


def channel_coord(size: int) -> Coord:
    """Return the numbers of channels whose distances the file does not tell.

    Raises
    ------
    FormatError
        There are no channels.
    """
    if not size:
        raise FormatError(_NO_SAMPLES)
    return Coord(dims=("channel",), values=Linear(start=0, step=1, size=size))


def values_coord(values: NDArray[Any], dim: str = "distance", units: str | None = "m") -> Coord:
    """Return a coordinate along a dim from its values, shape `(size,)`.

    Raises
    ------
    FormatError
        There are none, or one is not finite.
    """
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise FormatError(f"{dim}: {values.shape} values in the file that are none, or not finite; set it aside")
    return Coord(dims=(dim,), values=values_from_array(values.astype(values.dtype.newbyteorder("="))), units=units)


def ranges_of(window: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return a window as plain half-open ranges inside a shape; dims left out are whole.

    Raises
    ------
    InvalidInput
        The window has more dims than the shape, or a step.
    """
    if len(window) > len(shape):
        raise InvalidInput(f"a window of {len(window)} dims for samples of {len(shape)}")
    ranges = []
    for key, size in zip((*window, *(slice(None),) * (len(shape) - len(window))), shape, strict=True):
        start, stop, step = key.indices(size)
        if step != 1:
            raise InvalidInput(f"{key}: a window has no step")
        ranges.append(slice(start, max(start, stop)))
    return tuple(ranges)

"""Times as the CF conventions write them: numbers since a moment that the units name.

References
----------
CF conventions 1.12, section 4.4 (time coordinate).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import FormatError
from ingest.formats.fields import text, time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["is_time", "times_of"]

_SINCE = re.compile(r"(\w+) since (\d{4})-(\d\d?)-(\d\d?)(?:[T ](\d\d?):(\d\d)(?::(\d\d(?:\.\d{1,9})?))?)?(?: ?(.*))?")
_UNITS = {  # ns
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1),
    **dict.fromkeys(("us", "microsecond", "microseconds"), 10**3),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 10**6),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 10**9),
    **dict.fromkeys(("min", "minute", "minutes"), 60 * 10**9),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600 * 10**9),
    **dict.fromkeys(("d", "day", "days"), 86_400 * 10**9),
}
_CALENDARS = {None, "standard", "gregorian", "proleptic_gregorian"}
_UTC = {"", "Z", "UTC", "GMT"}
_LAST = 1 << 62  # ns


def is_time(said: Mapping[str, Any]) -> bool:
    """Return whether the attributes of a variable make its values times."""
    return _SINCE.fullmatch(text(said.get("units")) or "") is not None


def times_of(values: NDArray[Any], said: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return times in ns since 1970 UTC, shape kept; whole numbers stay exact.

    Parameters
    ----------
    values
        As they are stored.
    said
        The attributes of the variable: `units`, and `calendar` where it is not the usual one.

    Raises
    ------
    FormatError
        The units or the calendar are none that are read, or a value lies outside of 1970 to 2116.
    """
    unit, epoch = _unit_and_epoch(said)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (np.abs(values) >= _LAST / unit).any():
            raise FormatError("a stamp is no time; the file is damaged, set it aside")
        whole = np.floor(values.astype(np.float64))
        since = whole.astype(np.int64) * unit + np.rint((values - whole) * unit).astype(np.int64)
    else:
        if len(values) and max(abs(int(values.min())), abs(int(values.max()))) >= _LAST // unit:
            raise FormatError("a stamp is no time since 1970; the file is damaged, set it aside")
        since = values.astype(np.int64) * unit
    return np.asarray(since + epoch)


def _unit_and_epoch(said: Mapping[str, Any]) -> tuple[int, int]:
    """Return the unit in ns, and the moment that is counted from, ns since 1970."""
    units = text(said.get("units")) or ""
    match = _SINCE.fullmatch(units)
    if match is None or match[1] not in _UNITS or (match[8] or "").strip() not in _UTC:
        raise FormatError(
            f"{units!r}: no units of time that are read, such as 'seconds since 1970-01-01'; set it aside"
        )
    calendar = text(said.get("calendar"))
    if (calendar.lower() if calendar else None) not in _CALENDARS:
        raise FormatError(f"{calendar!r}: no calendar of recordings; set the file aside")
    year, month, day, hour, minute = (int(match[n] or 0) for n in range(2, 7))
    moment = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{match[7] or '00'}"
    epoch = time_of(moment)
    if epoch is None or abs(epoch) >= _LAST:
        raise FormatError(f"{moment}: no moment to count from; set the file aside")
    return _UNITS[match[1]], epoch

"""What users write for times and durations, as integer nanoseconds."""

from __future__ import annotations

import datetime as dt
import re
from fractions import Fraction
from typing import Any

import numpy as np

from archive.errors import InvalidInput
from archive.units import is_quantity, seconds_of

__all__ = ["duration_to_ns", "ns_to_text", "time_to_ns"]

_SECOND = 10**9
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_INT64 = 1 << 63
# What NumPy reads, finer than datetime does; anything behind it makes NumPy warn of time zones.
_PLAIN = re.compile(r"-?\d+([-/]\d\d([-/]\d\d([T ]\d\d(:\d\d(:\d\d(\.\d+)?)?)?Z?)?)?)?")


def time_to_ns(value: Any) -> int:
    """Return a point in time as nanoseconds since 1970-01-01 UTC.

    Parameters
    ----------
    value
        A text in ISO 8601 (UTC unless it names an offset), a datetime, datetime64 or pandas Timestamp, or
        a number or quantity of seconds since 1970.

    Raises
    ------
    InvalidInput
        The value is no time, or lies outside the years 1678 to 2262.
    """
    if isinstance(value, str):
        return _in_range(_text_to_ns(value), value)
    if isinstance(value, np.datetime64):
        return _datetime64_to_ns(value)
    if isinstance(value, dt.datetime):
        extra = int(getattr(value, "nanosecond", 0))  # a pandas Timestamp has them
        return _in_range(_datetime_to_ns(value) + extra, value)
    if isinstance(value, dt.date):
        return _in_range(_text_to_ns(value.isoformat()), value)
    return _in_range(_seconds_to_ns(value, "time"), value)


def duration_to_ns(value: Any) -> int:
    """Return a length of time in nanoseconds.

    Parameters
    ----------
    value
        A number or quantity of seconds, a timedelta or timedelta64.

    Raises
    ------
    InvalidInput
        The value is no length of time.
    """
    if isinstance(value, np.timedelta64):
        if np.isnat(value):
            raise InvalidInput("NaT is no length of time")
        unit, count = np.datetime_data(value.dtype)
        if unit in {"Y", "M", "generic"}:
            raise InvalidInput(f"{value!r} has no fixed length; give it in days or seconds")
        return int(value.astype(f"timedelta64[{count}{unit}]") / np.timedelta64(1, "ns"))
    if isinstance(value, dt.timedelta):
        return (value.days * 86_400 + value.seconds) * _SECOND + value.microseconds * 1000
    return _seconds_to_ns(value, "length of time")


def ns_to_text(nanoseconds: int) -> str:
    """Return a stamp as ISO 8601 without needless zeros, such as `2016-03-14T08:00:00.5`."""
    text = str(np.datetime64(nanoseconds, "ns"))
    return text.rstrip("0").rstrip(".") if "." in text else text


def _seconds_to_ns(value: Any, what: str) -> int:
    if is_quantity(value):
        return round(seconds_of(value) * _SECOND)
    if isinstance(value, (bool, np.bool_)):
        raise InvalidInput(f"{value!r} is no {what}")
    if isinstance(value, (int, np.integer)):
        return int(value) * _SECOND
    if isinstance(value, Fraction):
        return round(value * _SECOND)
    if isinstance(value, (float, np.floating)) and np.isfinite(value):
        return round(Fraction(repr(float(value))) * _SECOND)
    raise InvalidInput(f"{value!r} is no {what}; give a text such as '2016-03-14T08:00', a datetime64, or seconds")


def _text_to_ns(text: str) -> int:
    try:
        if _PLAIN.fullmatch(text.strip()):
            return _datetime64_to_ns(np.datetime64(text.strip().removesuffix("Z").replace("/", "-")))
    except ValueError:
        pass
    try:
        return _datetime_to_ns(dt.datetime.fromisoformat(text.strip()))
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no time; write it as in '2016-03-14T08:00:00'") from error


def _datetime_to_ns(value: dt.datetime) -> int:
    """Return a datetime in ns; without a time zone it is taken as UTC."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=dt.UTC)
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1000


def _datetime64_to_ns(value: np.datetime64) -> int:
    if np.isnat(value):
        raise InvalidInput("NaT is no time")
    unit, _ = np.datetime_data(value.dtype)
    if unit in {"ps", "fs", "as"}:
        raise InvalidInput(f"{value!r} is finer than a nanosecond")
    try:
        nanoseconds = value.astype("datetime64[ns]")
        same = nanoseconds.astype(f"datetime64[{unit}]") == value.astype(f"datetime64[{unit}]")
    except OverflowError:  # some versions of NumPy wrap around instead
        same = False
    if not same:
        raise InvalidInput(f"{value!r} lies outside the years 1678 to 2262, which nanoseconds can tell")
    return int(nanoseconds.astype(np.int64))


def _in_range(nanoseconds: int, value: object) -> int:
    if not -_INT64 < nanoseconds < _INT64:
        raise InvalidInput(f"{value!r} lies outside the years 1678 to 2262, which nanoseconds can tell")
    return nanoseconds

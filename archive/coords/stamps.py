"""The time axis: exact integer nanoseconds, piece by piece on straight lines."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["TimeAxis", "simplest_ratio"]

type _Column = Sequence[int] | NDArray[np.int64]

_RATIO_TOLERANCE = Fraction(1, 10**12)
_JITTER_LIMIT = 1.5  # steps off the line, beyond which stamps are kept one by one
_INT64_ROOM = 1 << 62


def simplest_ratio(value: Fraction, tolerance: Fraction = _RATIO_TOLERANCE) -> Fraction:
    """Return the fraction with the smallest denominator within a relative tolerance.

    Parameters
    ----------
    value
        A positive number, such as a step in nanoseconds.
    tolerance
        Relative; the default keeps 10⁹ samples within a thousandth of a step.

    References
    ----------
    Graham, Knuth, Patashnik, *Concrete Mathematics*, section 4.5 (Stern-Brocot tree).
    """
    low, high = value * (1 - tolerance), value * (1 + tolerance)
    whole: list[int] = []
    while True:
        floor = low.numerator // low.denominator
        if floor + 1 <= high or low == floor:
            whole.append(floor if low == floor else floor + 1)
            break
        whole.append(floor)
        low, high = 1 / (high - floor), 1 / (low - floor)
    result = Fraction(whole.pop())
    while whole:
        result = whole.pop() + 1 / result
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """The columns of an axis: one entry a piece, all int64 and of one length."""

    origin: NDArray[np.int64]
    num: NDArray[np.int64]
    den: NDArray[np.int64]
    phase: NDArray[np.int64]
    size: NDArray[np.int64]

    def stamps(self, piece: Any, offset: Any) -> NDArray[np.int64]:
        """Return the stamps of samples `offset` of pieces `piece`, ns."""
        index = self.phase[piece] + offset
        return np.asarray(_stamp(self.origin[piece], self.num[piece], self.den[piece], index), dtype=np.int64)


def _stamp(origin: Any, num: Any, den: Any, index: Any) -> Any:
    """Return `origin + round(index · num / den)` in integers, half upwards, without overflow."""
    whole, rest = divmod(index, den)
    return origin + whole * num + (rest * num + den // 2) // den


class TimeAxis:
    """Stamps in int64 nanoseconds UTC, as a sequence of straight pieces.

    Stamp `i` of a piece is `origin + round((phase + i) · num / den)`, so that a part of a line keeps the
    line's rounding. A file with an even rate is one piece; files put together are one piece each, unless
    they lie on one line exactly; stamps on no line are pieces of one sample with `num` 0. Nothing is
    ever refitted, and no dense array is made until `to_numpy`.

    Parameters
    ----------
    origin
        Origin of each piece, ns since 1970-01-01 as datetime64 counts them (no leap seconds).
    num, den
        Step of each piece in ns, as a ratio; `num · den` stays below 2⁶².
    phase
        Samples from the origin to the piece's first, taken modulo `den`.
    size
        Samples in each piece, all positive.
    """

    def __init__(self, origin: _Column, num: _Column, den: _Column, phase: _Column, size: _Column) -> None:
        o, n, d, p, s = (np.asarray(column, dtype=np.int64) for column in (origin, num, den, phase, size))
        self._pieces = _Pieces(o + p // d * n, n, d, p % d, s)

    # -- making ---------------------------------------------------------------------------------

    @classmethod
    def line(cls, start: int, step: Fraction, size: int) -> Self:
        """Return the axis of `size` samples from `start` (ns) at an exact `step` (ns).

        Raises
        ------
        InvalidInput
            The step is not positive, or too long a ratio for 64-bit arithmetic.
        """
        if size < 0 or step < 0:
            raise InvalidInput(f"a time axis needs a positive step and size, not {step} ns and {size}")
        if step.numerator * step.denominator >= _INT64_ROOM:
            step = step.limit_denominator(max(_INT64_ROOM // max(step.numerator, 1) // 2, 1))
        if size == 0:
            return cls.empty()
        return cls([start], [step.numerator], [step.denominator], [0], [size])

    @classmethod
    def empty(cls) -> Self:
        """Return the axis without samples."""
        return cls([], [], [], [], [])

    @classmethod
    def from_rate(cls, start: int, hertz: float | Fraction, size: int) -> Self:
        """Return the axis of a constant rate, the float taken as the simplest ratio within 1e-12."""
        if not hertz > 0 or hertz == float("inf"):
            raise InvalidInput(f"a sampling rate must be positive, not {hertz!r} Hz")
        return cls.line(start, simplest_ratio(10**9 / Fraction(hertz)), size)

    @classmethod
    def from_step(cls, start: int, seconds: float | Fraction, size: int) -> Self:
        """Return the axis of a constant step in seconds, taken as the simplest ratio within 1e-12."""
        if not seconds > 0 or seconds == float("inf"):
            raise InvalidInput(f"a time step must be positive, not {seconds!r} s")
        return cls.line(start, simplest_ratio(10**9 * Fraction(seconds)), size)

    @classmethod
    def from_stamps(cls, stamps: NDArray[np.int64]) -> Self:
        """Return the line through the first and last stamp, or the stamps themselves where they stray.

        A line is taken if every stamp lies within 1.5 steps of it; see `deviates` for what is then
        kept beside it.
        """
        stamps = np.asarray(stamps).astype(np.int64, copy=False)
        size = len(stamps)
        span = int(stamps[-1]) - int(stamps[0]) if size > 1 else 0
        if span > 0:
            axis = cls.line(int(stamps[0]), simplest_ratio(Fraction(span, size - 1)), size)
            if np.abs(axis.to_ns() - stamps).max() <= _JITTER_LIMIT * span / (size - 1):
                return axis
        return cls.exact(stamps)

    @classmethod
    def exact(cls, stamps: NDArray[np.int64]) -> Self:
        """Return the axis that holds each stamp by itself."""
        stamps = np.asarray(stamps).astype(np.int64, copy=False)
        zeros, ones = np.zeros(len(stamps), dtype=np.int64), np.ones(len(stamps), dtype=np.int64)
        return cls(stamps, zeros, ones, zeros, ones)

    @classmethod
    def from_regular(cls, stamps: NDArray[np.int64]) -> Self:
        """Return the line if the stamps lie on one to the nanosecond, else the stamps themselves."""
        axis = cls.from_stamps(stamps)
        return axis if np.array_equal(axis.to_ns(), stamps) else cls.exact(stamps)

    @classmethod
    def concatenate(cls, axes: Iterable[TimeAxis]) -> Self:
        """Return the axes one after the other; a piece that continues the last one's line joins it."""
        parts = [axis.columns() for axis in axes if axis.size]
        if not parts:
            return cls.empty()
        origin, num, den, phase, size = (np.concatenate(column) for column in zip(*parts, strict=True))
        following = phase + size
        joins = (
            (num[:-1] == num[1:])
            & (den[:-1] == den[1:])
            & (num[1:] > 0)
            & (following[:-1] % den[:-1] == phase[1:])
            & (origin[:-1] + following[:-1] // den[:-1] * num[:-1] == origin[1:])
        )
        heads = np.flatnonzero(np.concatenate(([True], ~joins)))
        return cls(origin[heads], num[heads], den[heads], phase[heads], np.add.reduceat(size, heads))

    # -- what it is -----------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[np.datetime64]:
        """The type of a stamp at the user's face."""
        return np.dtype("datetime64[ns]")

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """The number of the sample after each piece."""
        return np.cumsum(self._pieces.size)

    @cached_property
    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first and the last stamp of each piece, ns."""
        every = slice(None)
        return self._pieces.stamps(every, 0), self._pieces.stamps(every, self._pieces.size - 1)

    @cached_property
    def rising(self) -> bool:
        """Whether no stamp is earlier than the one before it."""
        firsts, lasts = self.bounds
        return bool((firsts[1:] >= lasts[:-1]).all())

    @cached_property
    def size(self) -> int:
        """Number of samples."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __len__(self) -> int:
        return self.size

    @property
    def pieces(self) -> int:
        """Number of straight pieces."""
        return len(self._pieces.size)

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """Return origin, num, den, phase and size of the pieces, as they are stored."""
        pieces = self._pieces
        return pieces.origin, pieces.num, pieces.den, pieces.phase, pieces.size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TimeAxis):
            return NotImplemented
        return all(np.array_equal(a, b) for a, b in zip(self.columns(), other.columns(), strict=True))

    def __hash__(self) -> int:
        return hash(tuple(column.tobytes() for column in self.columns()))

    def __repr__(self) -> str:
        if not self.size:
            return "TimeAxis(empty)"
        return f"TimeAxis({self[0]} to {self[-1]}, {self.size} samples, {self.pieces} pieces)"

    @cached_property
    def step(self) -> Fraction | None:
        """The step in ns where all pieces share one, else None."""
        pieces = self._pieces
        if not len(pieces.num) or pieces.num[0] == 0:
            return None
        if (pieces.num != pieces.num[0]).any() or (pieces.den != pieces.den[0]).any():
            return None
        return Fraction(int(pieces.num[0]), int(pieces.den[0]))

    @cached_property
    def typical_step(self) -> Fraction | None:
        """The step in ns, or the median distance of the stamps where there is no single one."""
        if self.step is not None:
            return self.step
        if self.size < 2:  # noqa: PLR2004 - a distance needs two stamps
            return None
        if self.pieces == self.size:
            return Fraction(int(np.median(np.abs(np.diff(self._pieces.origin))))) or None
        longest = int(np.argmax(self._pieces.size))
        return Fraction(int(self._pieces.num[longest]), int(self._pieces.den[longest])) or None

    def at(self, index: int) -> int:
        """Return one stamp in ns.

        Raises
        ------
        InvalidInput
            The index lies outside the axis.
        """
        if not -self.size <= index < self.size:
            raise InvalidInput(f"index {index} is outside an axis of {self.size} samples")
        if self.pieces > 1:
            return int(self.take(np.array([index]))[0])
        origin, num, den, phase, size = self._line  # Python integers: ten times as fast as arrays of one
        return int(_stamp(origin, num, den, phase + index % size))

    @cached_property
    def _line(self) -> list[int]:
        """The columns of the first piece."""
        return [int(column[0]) for column in self.columns()]

    @cached_property
    def first(self) -> int:
        """First stamp, ns."""
        return self.at(0)

    @cached_property
    def last(self) -> int:
        """Last stamp, ns."""
        return self.at(-1)

    def to_ns(self) -> NDArray[np.int64]:
        """Return every stamp, shape `(size,)`, ns."""
        pieces = self._pieces
        if self.pieces == 1:
            return pieces.stamps(0, np.arange(self.size, dtype=np.int64))
        piece = np.repeat(np.arange(self.pieces), pieces.size)
        return pieces.stamps(piece, np.arange(self.size, dtype=np.int64) - (self._ends - pieces.size)[piece])

    def to_numpy(self) -> NDArray[np.datetime64]:
        """Return every stamp, shape `(size,)`, datetime64[ns]."""
        return self.to_ns().view("datetime64[ns]")

    # -- taking parts ---------------------------------------------------------------------------

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> np.datetime64: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any]) -> Self: ...
    def __getitem__(self, key: int | np.integer[Any] | slice | NDArray[Any]) -> np.datetime64 | Self:
        if isinstance(key, slice):
            start, stop, step = key.indices(self.size)
            if step == 1:
                return self.cut(start, stop)
            key = np.arange(start, stop, step)
        if isinstance(key, np.ndarray):
            return type(self).from_regular(self.take(key))
        return np.datetime64(self.at(int(key)), "ns")

    def take(self, index: NDArray[Any]) -> NDArray[np.int64]:
        """Return the stamps of some samples (numbers, or a mask), ns."""
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        index = np.where(index < 0, index + self.size, index)
        if len(index) and (index.min() < 0 or index.max() >= self.size):
            raise InvalidInput(f"a sample number is outside an axis of {self.size} samples")
        piece = np.searchsorted(self._ends, index, side="right")
        return self._pieces.stamps(piece, index - (self._ends - self._pieces.size)[piece])

    def cut(self, start: int, stop: int) -> Self:
        """Return samples `start` to `stop` (half-open, clamped), stamps unchanged."""
        start, stop = max(start, 0), min(stop, self.size)
        if start >= stop:
            return type(self).empty()
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = int(np.searchsorted(self._ends, stop - 1, side="right")) + 1
        origin, num, den, phase, size = (column[first:last].copy() for column in self.columns())
        skipped = start - int(self._ends[first] - self._pieces.size[first])
        phase[0] += skipped
        size[0] -= skipped
        size[-1] -= int(self._ends[last - 1]) - stop
        return type(self)(origin, num, den, phase, size)

    def shifted(self, nanoseconds: int) -> Self:
        """Return the axis moved in time as a whole."""
        origin, num, den, phase, size = self.columns()
        return type(self)(origin + nanoseconds, num, den, phase, size)

    def find(self, stamp: int, side: str = "left") -> int:
        """Return how many samples lie before `stamp` (ns); with side "right", before or on it.

        The axis must rise, as that of any recording does.
        """
        firsts, lasts = self.bounds
        piece = int(np.searchsorted(lasts, stamp, side="left" if side == "left" else "right"))
        if piece == self.pieces:
            return self.size
        begin = int(self._ends[piece]) - int(self._pieces.size[piece])
        if stamp < int(firsts[piece]):
            return begin
        origin, num, den, phase, size = (int(column[piece]) for column in self.columns())
        if num == 0:
            return begin + (stamp > origin or (side == "right" and stamp == origin))
        guess = (stamp - origin) * den // num - phase
        guess = min(max(guess - 1, 0), size)
        # Rounding moves a stamp by half a nanosecond at most, so the guess is off by one or two.
        while guess < size:
            value = int(_stamp(origin, num, den, phase + guess))
            if value > stamp or (side == "left" and value == stamp):
                break
            guess += 1
        return begin + guess

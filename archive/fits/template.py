"""Headers as differences from a template: some hundred bytes instead of some ten thousand.

A difference is a list of steps from left to right over the template: keep so many bytes, drop so many, put
in these. It starts with a version byte; numbers are LEB128, as in Protocol Buffers.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np

from archive.errors import DamagedData
from archive.fits.cards import CARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["HeaderTemplate"]

_VERSION = 1
_KEYWORD = 8  # bytes of a card
_NEAR = 3  # equal bytes between two changes that are cheaper to repeat than to skip

type Step = tuple[int, int, bytes]
"""Where in the template it starts, how many of its bytes it drops, and what it puts in."""


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """The header that others are told as differences from.

    Parameters
    ----------
    template
        All bytes of one header, padding included; any bytes will do.
    """

    template: bytes

    def difference(self, header: bytes) -> bytes:
        """Return what makes `header` of the template."""
        out, done = bytearray([_VERSION]), 0
        for start, dropped, inserted in self._steps(header):
            _put(out, start - done)
            _put(out, dropped)
            _put(out, len(inserted))
            out += inserted
            done = start + dropped
        return bytes(out)

    def header(self, difference: bytes) -> bytes:
        """Return the header that a difference was taken of.

        Raises
        ------
        DamagedData
            The difference is not one of this template's.
        """
        if not difference or difference[0] != _VERSION:
            raise DamagedData("a header's difference is of no version that is known; run lightkeep verify")
        out, done, at = bytearray(), 0, 1
        while at < len(difference):
            kept, at = _get(difference, at)
            dropped, at = _get(difference, at)
            size, at = _get(difference, at)
            if done + kept + dropped > len(self.template) or at + size > len(difference):
                raise DamagedData("a header's difference reaches beyond its template; run lightkeep verify")
            out += self.template[done : done + kept] + difference[at : at + size]
            done, at = done + kept + dropped, at + size
        return bytes(out + self.template[done:])

    def _steps(self, header: bytes) -> Iterator[Step]:
        if len(header) == len(self.template):
            differ = _differing(self.template, header)
            if not (differ % CARD < _KEYWORD).any():
                yield from _changes(differ, header, 0)
                return
        # Cards were put in or taken out: line them up by keyword, then compare what stands in the place of what.
        old, new = _cards(self.template), _cards(header)
        keywords = [card[:_KEYWORD] for card in old], [card[:_KEYWORD] for card in new]
        for _, i1, i2, j1, j2 in SequenceMatcher(None, *keywords, autojunk=False).get_opcodes():
            before, after = b"".join(old[i1:i2]), b"".join(new[j1:j2])
            if len(before) == len(after):
                yield from _changes(_differing(before, after), after, i1 * CARD)
            else:
                yield i1 * CARD, len(before), after


def _cards(header: bytes) -> list[bytes]:
    return [header[start : start + CARD] for start in range(0, len(header), CARD)]


def _differing(before: bytes, after: bytes) -> NDArray[np.intp]:
    """Return where two texts of one length differ."""
    return np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8))


def _changes(differ: NDArray[np.intp], after: bytes, offset: int) -> Iterator[Step]:
    """Yield the stretches around the bytes that differ."""
    if not differ.size:
        return
    breaks = np.flatnonzero(np.diff(differ) > _NEAR)
    firsts = differ[np.concatenate(([0], breaks + 1))].tolist()
    lasts = differ[np.concatenate((breaks, [-1]))].tolist()
    for first, last in zip(firsts, lasts, strict=True):
        yield offset + first, last + 1 - first, after[first : last + 1]


def _put(out: bytearray, value: int) -> None:
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _get(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
    raise DamagedData("a header's difference ends within a number; run lightkeep verify")

"""Recursive filters compiled by Numba, many channels at a time in the lanes of the processor.

Every sample goes through the same sums in the same order as in `scipy.signal.sosfiltfilt`: the results are the same,
bit by bit. Numba comes with the extra `fast`; this module is imported by who wants to use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["forward_backward"]

LANES = 32  # channels side by side: each sum waits for the one before it, so a core works on four registers in turn
TILE = 64  # samples; times the lanes 16 kB, of which a core's first cache holds two
BLOCK = 16 * TILE  # samples; times the lanes 256 kB, which a core's second cache holds


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled at its first call, and kept on disk where there is a place to write."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # nowhere to write
        return numba.njit(nogil=True)(function)


@_compiled
def _filter(held: Any, places: range, sections: Any, states: Any) -> None:
    """Filter some rows of all lanes in place, in rising or falling order."""
    for number in range(sections.shape[0]):
        b0, b1, b2 = sections[number, 0], sections[number, 1], sections[number, 2]
        a1, a2 = sections[number, 4], sections[number, 5]
        first, second = states[number, 0], states[number, 1]
        for place in places:
            row = held[place]
            for lane in range(LANES):
                given = row[lane]
                made = b0 * given + first[lane]
                first[lane] = b1 * given - a1 * made + second[lane]
                second[lane] = b2 * given - a2 * made
                row[lane] = made


@_compiled
def _settle(states: Any, steady: Any, row: Any) -> None:
    """Set the states to those that a filter has after an endless row of the same samples."""
    for number in range(steady.shape[0]):
        for lane in range(LANES):
            states[number, 0, lane] = steady[number, 0] * row[lane]
            states[number, 1, lane] = steady[number, 1] * row[lane]


@_compiled
def _load(samples: Any, channel: int, start: int, stop: int, held: Any) -> None:
    """Put samples of each lane's channel into rows; lanes without a channel of their own repeat the last."""
    for lane in range(LANES):
        line = samples[min(channel + lane, samples.shape[0] - 1)]
        for place in range(start, stop):
            held[place - start, lane] = line[place]


@_compiled
def _forward(samples: Any, corner: Any, held: Any, sections: Any, states: Any) -> None:
    """Filter a block forward, into rows; its corner is its first channel and its first sample."""
    channel, first = corner
    last = min(first + BLOCK, samples.shape[1])
    for start in range(first, last, TILE):
        stop = min(start + TILE, last)
        _load(samples, channel, start, stop, held[start - first :])
        _filter(held, range(start - first, stop - first, 1), sections, states)


@_compiled
def _forward_backward(samples: Any, out: Any, sections: Any, steady: Any, rooms: Any) -> None:
    channels, size = samples.shape
    begin, end, held = rooms
    edge = begin.shape[0]
    states = np.empty((sections.shape[0], 2, LANES))
    at_block = np.empty((-(-size // BLOCK), *states.shape))
    for channel in range(0, channels, LANES):
        for lane in range(LANES):
            line = samples[min(channel + lane, channels - 1)]
            first, last = np.float64(line[0]), np.float64(line[size - 1])
            for place in range(edge):
                begin[place, lane] = 2 * first - np.float64(line[edge - place])
                end[place, lane] = 2 * last - np.float64(line[size - 2 - place])
        _settle(states, steady, begin[0])
        _filter(begin, range(0, edge, 1), sections, states)
        for number in range(at_block.shape[0]):
            at_block[number] = states
            _forward(samples, (channel, number * BLOCK), held, sections, states)
        _filter(end, range(0, edge, 1), sections, states)
        _settle(states, steady, end[edge - 1])
        _filter(end, range(edge - 1, -1, -1), sections, states)
        for number in range(at_block.shape[0] - 1, -1, -1):
            base = number * BLOCK
            _forward(samples, (channel, base), held, sections, at_block[number])
            for stop in range(min(BLOCK, size - base), 0, -TILE):
                start = max(stop - TILE, 0)
                _filter(held, range(stop - 1, start - 1, -1), sections, states)
                for lane in range(min(LANES, channels - channel)):
                    made = out[channel + lane]
                    for place in range(start, stop):
                        made[base + place] = held[place, lane]


def forward_backward(
    sections: NDArray[np.float64], steady: NDArray[np.float64], samples: NDArray[Any], edge: int, out: NDArray[Any]
) -> None:
    """Filter samples forward and backward along the last dim, in float64 between.

    What the way forward makes is not kept, since that takes twice the memory of the samples, and memory is what
    cores wait for: only its states at the begin of each block are. On the way back each block goes forward again.

    Parameters
    ----------
    sections
        Second-order sections, shape `(sections, 6)`.
    steady
        Their states under an endless row of ones, shape `(sections, 2)`; see `scipy.signal.sosfilt_zi`.
    samples
        float32 or float64, shape `(channels, size)`, in any order in memory.
    edge
        Samples that are made up beyond each end, by turning what is there about the end; fewer than `size`.
    out
        Array for the result, of the same shape and type; the samples themselves will do.
    """
    rooms = tuple(np.empty((rows, LANES)) for rows in (edge, edge, BLOCK))
    _forward_backward(samples, out, sections, steady, rooms)

"""What of a stretch of time a dataset covers: shares, gaps and overlaps, few enough for a page at any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.index.runs import overlaps_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.serve.pinned import Pinned, Spans

__all__ = ["Overlaps", "coverage", "covered", "gaps", "overlaps"]

_LISTED = 200  # gaps and overlaps that one answer names
_LEAVES = 64  # leaves that are looked through for overlaps


def covered(spans: Spans, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return which share of the time between neighbouring edges has samples.

    Parameters
    ----------
    spans
        The runs; a sample stands for the time until the next.
    edges
        ns, rising, shape `(n + 1,)`.
    """
    if not len(spans):
        return np.zeros(len(edges) - 1)
    lengths = spans.last - spans.first + spans.step
    before = np.concatenate([[0], np.cumsum(lengths)])
    place = np.searchsorted(spans.first, edges, side="right") - 1
    held = np.maximum(place, 0)
    # Runs are in order, and may touch: none counts for longer than until the next begins.
    inside = np.clip(edges - spans.first[held], 0, lengths[held])
    total = np.where(place < 0, 0, before[held] + inside)
    share: NDArray[np.float64] = np.clip(np.diff(total) / np.maximum(np.diff(edges), 1), 0, 1)
    return share


def gaps(spans: Spans, first: int, last: int) -> tuple[list[tuple[int, int]], int, int]:
    """Return the longest gaps that touch a window (from the last sample to the next, ns), how many, and their time."""
    if len(spans) < 2:  # noqa: PLR2004 - a gap has two sides
        return [], 0, 0
    begins, ends = spans.last[:-1], spans.first[1:]
    touching = np.flatnonzero((ends > first) & (begins < last))
    lengths = ends[touching] - begins[touching] - spans.step
    longest = np.sort(touching[np.argsort(-lengths, kind="stable")[:_LISTED]])
    listed = [(int(begins[number]), int(ends[number])) for number in longest]
    return listed, len(touching), int(lengths.sum())


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Times that several granules hold.

    Parameters
    ----------
    spans
        First and last stamp of each, ns, in order, joined where they touch.
    exact
        Whether every leaf that may have some was looked through.
    """

    spans: tuple[tuple[int, int], ...]
    exact: bool


def overlaps(pinned: Pinned, name: str) -> Overlaps:
    """Return the times that several granules of a dataset hold; only leaves that say so are looked through."""
    view, dataset = pinned.view, pinned.dataset(name)
    if dataset.holds_frames:
        return Overlaps((), exact=True)
    leaves = sorted(view.entries(name), key=lambda leaf: leaf.first)
    windows: list[tuple[int, int]] = []
    reached = None
    for leaf in leaves:
        if leaf.overlapping:
            windows.append((leaf.first, leaf.last))
        elif reached is not None and leaf.first <= reached:
            windows.append((leaf.first, min(leaf.last, reached)))
        reached = leaf.last if reached is None else max(reached, leaf.last)
    young = [row.time for commit in view.commits for row in commit.rows if row.dataset == name]
    windows.extend((time.first, time.last) for time in young)
    found: list[tuple[int, int]] = []
    for first, last in windows[:_LEAVES]:
        for table in view.tables([name], first, last):
            found.extend((low, high) for _, _, low, high in overlaps_of(table.spans, dataset.step))
    return Overlaps(tuple(_joined(sorted(found))), exact=len(windows) <= _LEAVES)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def coverage(pinned: Pinned, name: str, first: int, last: int, bins: int) -> dict[str, Any]:
    """Return what of a window is covered, as JSON: a share for each bin, and the longest gaps and overlaps.

    Parameters
    ----------
    first, last
        The window, ns, half-open.
    bins
        Into how many parts it is cut.
    """
    spans, twice = pinned.spans(name), overlaps(pinned, name)
    edges = np.array([first + (last - first) * number // bins for number in range(bins + 1)], dtype=np.int64)
    framed = pinned.dataset(name).holds_frames
    listed, count, missing = ([], 0, 0) if framed else gaps(spans, first, last)
    inside = [(low, high) for low, high in twice.spans if high >= first and low < last]
    return {
        "from": str(first),
        "to": str(last),
        "bins": [round(float(share), 4) for share in covered(spans, edges)],
        "runs": len(spans),
        "gaps": [[str(low), str(high)] for low, high in listed],
        "gap_count": count,
        "missing_ns": str(missing),
        "overlaps": [[str(low), str(high)] for low, high in inside[:_LISTED]],
        "overlap_count": len(inside),
        "overlaps_exact": twice.exact,
    }

"""What the page tells in words: the archive, its datasets, and what was refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from ingest.serve.coverage import covered
from ingest.serve.frames import cube_info
from ingest.serve.waterfall import finest_level, vertical

if TYPE_CHECKING:
    from archive.coords import Coord
    from archive.index.dataset import Dataset
    from ingest.serve.pinned import Pinned

__all__ = ["archive_info", "dataset_info", "quarantine_info", "without_secrets"]

_BAR = 64
_POSITIONS = 20_000  # values of a coordinate that are told one by one
_REPORTS = 500


def archive_info(pinned: Pinned) -> dict[str, Any]:
    """Return the archive and its datasets in short, from CURRENT and the young commits alone."""
    view = pinned.view
    return {
        "state": pinned.token,
        "url": view.store.url,
        "snapshot": view.snapshot.number,
        "created": str(view.snapshot.created),
        "young_commits": len(view.commits),
        "complete": view.complete,
        "sources": sum(entry.sources for entry in view.snapshot.ledger),
        "tags": dict(view.snapshot.tags),
        "datasets": [_in_short(pinned, name, dataset) for name, dataset in view.datasets().items()],
    }


def _in_short(pinned: Pinned, name: str, dataset: Dataset) -> dict[str, Any]:
    entries = pinned.view.entries(name)
    young = [row for commit in pinned.view.commits for row in commit.rows if row.dataset == name]
    short: dict[str, Any] = {
        "name": name,
        "kind": "frames" if dataset.holds_frames else "samples",
        "granules": sum(leaf.rows for leaf in entries) + len(young),
        "stored": sum(leaf.stored for leaf in entries) + sum(row.data.size for row in young),
    }
    if dataset.holds_frames:
        spans = pinned.view.coverage(name)
        ends = (spans[0][0], spans[-1][1]) if spans else None
        return {**short, "first": str(ends[0]) if ends else None, "last": str(ends[1]) if ends else None}
    held = pinned.spans(name)
    if not len(held):
        return {**short, "first": None, "last": None}
    first, last = int(held.first[0]), int(held.last[-1])
    edges = np.array([first + (last + held.step - first) * n // _BAR for n in range(_BAR + 1)], dtype=np.int64)
    bar = [round(float(share), 3) for share in covered(held, edges)]
    return {**short, "first": str(first), "last": str(last), "runs": len(held), "bar": bar}


def dataset_info(pinned: Pinned, name: str) -> dict[str, Any]:
    """Return all that the page needs to draw a dataset, and to tell of it."""
    dataset = pinned.dataset(name)
    attrs = {key: value for key, value in {**dataset.attrs, **dataset.given}.items() if value is not None}
    info: dict[str, Any] = {
        **_in_short(pinned, name, dataset),
        "codec": dataset.codec,
        "chunk": list(dataset.chunks),
        "attrs": {key: without_secrets(value) if isinstance(value, str) else value for key, value in attrs.items()},
    }
    if dataset.holds_frames:
        cubes = pinned.cubes(name)
        spans = pinned.spans(name)
        if len(spans):
            info.update(first=str(int(spans.first[0])), last=str(int(spans.last[-1])))
        return {
            **info,
            "instrument": dataset.fingerprint.get("instrument", ""),
            "cubes": [cube_info(cube) for cube in cubes],
        }
    dim = vertical(dataset)
    coords = {**dataset.coords, **dataset.positions}
    return {
        **info,
        "dims": ["time", *dataset.dims[1:]],
        "widths": list(dataset.widths),
        "dtype": str(dataset.dtype),
        "step": str(round(dataset.step)),
        "rate_hz": float(10**9 / dataset.step),
        "finest": finest_level(dataset),
        "vertical": None if dim is None else {"name": dim, **_positions(coords[dim])},
        "coords": {key: {"dims": list(coord.dims), "units": coord.units} for key, coord in coords.items()},
    }


def _positions(coord: Coord) -> dict[str, Any]:
    """Return where the channels lie: all of them, or every so many where there are too many for a page."""
    values = coord.to_numpy()
    told: dict[str, Any] = {"size": len(values), "units": coord.units}
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        return {**told, "numbers": None, "values": None}
    numbers = np.unique(np.linspace(0, len(values) - 1, min(len(values), _POSITIONS)).round().astype(int))
    return {**told, "numbers": numbers.tolist(), "values": values[numbers].astype(float).tolist()}


def quarantine_info(pinned: Pinned) -> dict[str, Any]:
    """Return the newest reports of refused sources, and whether each is still open."""
    from ingest.quarantine import newest_reports, open_reports
    from ingest.run import read_ledger

    view = pinned.view
    if not view.store.can_list:
        return {"listed": False, "count": 0, "open": 0, "reports": []}
    reports = newest_reports(view.store)
    if not reports:
        return {"listed": True, "count": 0, "open": 0, "reports": []}
    waiting = {report.id for report in open_reports(reports, read_ledger(view))}
    listed = [
        {
            "id": report.id,
            "url": without_secrets(report.url),
            "size": report.size,
            "reason": without_secrets(report.reason),
            "error": report.error,
            "refused": str(round(report.refused * 1e9)),
            "open": report.id in waiting,
        }
        for report in reports[::-1]
    ]
    listed.sort(key=lambda one: not one["open"])
    return {"listed": True, "count": len(listed), "open": len(waiting), "reports": listed[:_REPORTS]}


def without_secrets(text: str) -> str:
    """Return a text without the users, passwords and signed queries of the URLs in it."""
    return re.sub(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>]+", lambda found: _plain_url(found[0]), text)


def _plain_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a URL)"
    host = parts.netloc if parts.scheme in {"abfs", "abfss"} else parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?...' if parts.query else ''}"

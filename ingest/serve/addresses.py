"""What each address answers."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput
from ingest.serve.coverage import coverage
from ingest.serve.describing import archive_info, dataset_info, quarantine_info
from ingest.serve.frames import ImageOf, frame_info, frame_tile
from ingest.serve.parameters import NANOSECONDS, Parameters
from ingest.serve.reducing import REDUCERS
from ingest.serve.tile import MEDIA_TYPE
from ingest.serve.waterfall import LEVELS, TileOf, waterfall_tile

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.serve.pinned import Pinned, Views

__all__ = ["ADDRESSES", "JSON", "Answer", "page_files"]

type Answer = tuple[str, bytes]
"""Media type and body."""

JSON = "application/json; charset=utf-8"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_LARGE = (1 << 31) - 1
_BINS = 4096
_COARSEST_ROWS = 24


def page_files() -> dict[str, Answer]:
    """Return the files of the page by their address; nothing else of the disk is ever given out."""
    found = {}
    for file in resources.files("ingest.serve").joinpath("page").iterdir():
        kind = next((media for end, media in _KINDS.items() if file.name.endswith(end)), None)
        if kind is not None:
            found[f"/{file.name}"] = (kind, file.read_bytes())
    found["/"] = found.pop("/index.html")
    return found


def _json(document: Any) -> Answer:
    return JSON, json.dumps(document, ensure_ascii=False, default=str, allow_nan=False).encode()


def _archive(views: Views, _: Parameters) -> Answer:
    return _json(archive_info(views.newest()))


def _dataset(views: Views, asked: Parameters) -> Answer:
    return _json(dataset_info(_state(views, asked), asked.text("dataset")))


def _coverage(views: Views, asked: Parameters) -> Answer:
    first = asked.integer("from", *NANOSECONDS)
    last = asked.integer("to", *NANOSECONDS)
    bins = asked.integer("bins", 1, _BINS, 512)
    if last <= first:
        raise InvalidInput("to: must be after from")
    return _json(coverage(_state(views, asked), asked.text("dataset"), first, last, bins))


def _quarantine(views: Views, asked: Parameters) -> Answer:
    return _json(quarantine_info(_state(views, asked)))


def _tile(views: Views, asked: Parameters) -> Answer:
    of = TileOf(
        dataset=asked.text("dataset"),
        level=asked.integer("level", *LEVELS),
        column=asked.integer("x", -(1 << 62), 1 << 62),
        rows=asked.integer("rows", 0, _COARSEST_ROWS, 0),
        row=asked.integer("y", 0, _LARGE, 0),
        how=asked.choice("reduce", REDUCERS),
    )
    if not NANOSECONDS[0] <= of.start < of.stop <= NANOSECONDS[1]:
        raise InvalidInput("x: this tile lies outside the years 1678 to 2262, which nanoseconds can tell")
    return MEDIA_TYPE, waterfall_tile(_state(views, asked), of).to_bytes()


def _frame(views: Views, asked: Parameters) -> Answer:
    of = _image_of(asked)
    return _json(frame_info(_state(views, asked), of))


def _frame_tile(views: Views, asked: Parameters) -> Answer:
    of, level = _image_of(asked), asked.integer("level", 0, _COARSEST_ROWS)
    place = (asked.integer("x", 0, _LARGE), asked.integer("y", 0, _LARGE))
    how = asked.choice("reduce", REDUCERS)
    return MEDIA_TYPE, frame_tile(_state(views, asked), of, level, place, how).to_bytes()


def _image_of(asked: Parameters) -> ImageOf:
    return ImageOf(dataset=asked.text("dataset"), cube=asked.integer("cube", 0, _LARGE, 0), at=asked.integers("at"))


def _state(views: Views, asked: Parameters) -> Pinned:
    return views.at(asked.text("state"))


ADDRESSES: dict[str, tuple[Callable[[Views, Parameters], Answer], tuple[str, ...], bool]] = {
    "/api/archive": (_archive, (), False),
    "/api/dataset": (_dataset, ("state", "dataset"), True),
    "/api/coverage": (_coverage, ("state", "dataset", "from", "to", "bins"), True),
    "/api/quarantine": (_quarantine, ("state",), False),
    "/api/tile": (_tile, ("state", "dataset", "level", "x", "rows", "y", "reduce"), True),
    "/api/frame": (_frame, ("state", "dataset", "cube", "at"), True),
    "/api/frame-tile": (_frame_tile, ("state", "dataset", "cube", "at", "level", "x", "y", "reduce"), True),
}
"""What answers, the parameters that it takes, and whether the answer stays the same for ever."""

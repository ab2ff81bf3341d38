"""What samples are, without reading them: from which source samples they come, and by which operations.

The same samples have the same identity whatever granules they lie in, before and after a `compact`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import TimeAxis
from archive.errors import InvalidInput
from archive.index.dataset import coord_to_json
from archive.index.rows import joined_sources
from archive.lazy import AxisArray, Constant, Indexed, InMemory, Joined, RawPart, StoredPart, Transposed
from archive.operations.applying import Applied
from archive.reading import LazyValues
from archive.stored import RunArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archive.coords import Coord
    from archive.lazy import Lazy, Window
    from archive.operations.operation import Operation
    from archive.operations.outline import Outline

__all__ = ["digest_of", "identity_of", "named", "operations_named"]


def digest_of(document: Any) -> str:
    """Return the SHA-256 (hex) of a JSON document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def identity_of(lazy: Lazy) -> Any:
    """Return as JSON which samples these are; those in memory are hashed, others not read.

    Raises
    ------
    InvalidInput
        They come from an array of another kind.
    """
    match lazy:
        case Joined():
            return ["joined", lazy.axis, [identity_of(part) for part in lazy.parts]]
        case Transposed():
            return ["transposed", list(lazy.order), identity_of(lazy.base)]
        case Indexed():
            return ["indexed", lazy.axis, lazy.numbers.tolist(), identity_of(lazy.base)]
        case Applied():
            source = lazy.operation.source(lazy.given, lazy.target)
            given = [_window(source), _window(lazy.target), named(lazy.given.cut(source))]
            return ["applied", _stated(lazy.operation), given, identity_of(lazy.base.cut(source))]
    return _origin(lazy)


def _origin(lazy: Lazy) -> Any:
    """Return as JSON where samples come from that are made of no others."""
    match lazy:
        case RunArray():
            rows = zip(lazy.view.rows(lazy.table, lazy.run.rows), lazy.run.start, lazy.run.stop, strict=True)
            ranges = [part for row, start, stop in rows for part in row.sources_of(int(start), int(stop))]
            return ["rows", [list(part) for part in joined_sources(ranges)], _window(lazy.window)]
        case StoredPart():
            return ["object", lazy.array.sha256, _window(lazy.window)]
        case RawPart():
            return ["raw", _stated(lazy.source), lazy.block, _window(lazy.window)]
        case InMemory():
            data = np.ascontiguousarray(lazy.array)
            return ["memory", list(data.shape), data.dtype.str, hashlib.sha256(data.data).hexdigest()]
        case Constant():
            return ["constant", repr(lazy.value), list(lazy.shape), lazy.dtype.str]
        case AxisArray():
            return ["axis", [column.tolist() for column in lazy.axis.columns()]]
    raise InvalidInput(f"samples of {type(lazy).__name__} have no name; load() them first")


def named(outline: Outline) -> Any:
    """Return as JSON what is known of samples beside where they come from."""
    coords = {name: _coord(coord) for name, coord in outline.coords.items()}
    attrs = {name: _value(value) for name, value in outline.attrs.items()}
    return [list(outline.dims), outline.dtype.str, coords, attrs]


def operations_named(operations: tuple[Operation, ...]) -> Any:
    """Return a chain of operations as JSON, every parameter to the last bit."""
    return [_stated(one) for one in operations]


def _coord(coord: Coord) -> Any:
    values = coord.values
    if isinstance(values, LazyValues):  # stored beside the samples, from the same sources
        return ["stored", list(coord.dims), coord.size]
    if isinstance(values, TimeAxis):  # where a piece begins follows from what was cut off
        return ["time", values.first if values.size else 0, values.last if values.size else 0, values.size]
    return coord_to_json(coord)


def _stated(value: Any) -> Any:
    """Return a frozen value as JSON by its fields; those that it does not show, such as options, are no part of it."""
    shown: Mapping[str, Any] = {one.name: _value(getattr(value, one.name)) for one in fields(value) if one.repr}
    return [type(value).__name__, shown]


def _value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [value.dtype.str, list(value.shape), hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()]
    if isinstance(value, (tuple, list)):
        return [_value(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _stated(value)
    return value if isinstance(value, (str, int, bool, type(None))) else repr(value)


def _window(window: Window) -> list[list[int]]:
    return [[part.start, part.stop] for part in window]

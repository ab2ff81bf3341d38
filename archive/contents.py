"""Tables of what a Spool holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import TimeAxis
from archive.framed import line_of
from archive.index.runs import overlaps_of
from archive.lazy import StoredPart
from archive.patch import Patch
from archive.reading import load_many

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from archive.index.rows import Row
    from archive.view import View

__all__ = ["contents", "gaps", "overlaps"]


def contents(patches: Sequence[Patch]) -> pd.DataFrame:
    """Return a table with a line for each Patch."""
    import pandas as pd

    lines = []
    for number in range(len(patches)):
        patch = patches[number]
        if not isinstance(patch, Patch):
            lines.append(line_of(patch))
            continue
        line: dict[str, Any] = {"dims": ",".join(patch.dims), "shape": patch.shape, "dtype": str(patch.dtype)}
        for name in patch.dims:
            coord = patch.coords[name]
            line.update({f"{name}_min": coord.min(), f"{name}_max": coord.max(), f"{name}_step": coord.step})
            line[f"{name}_units"] = coord.units
        lines.append({**line, **patch.attrs})
    return pd.DataFrame(lines)


def gaps(patches: Sequence[Patch]) -> pd.DataFrame:
    """Return a table of the gaps between Patches of the same dataset."""
    import pandas as pd

    columns = ["dataset", "time_min", "time_max", "samples"]
    lines = []
    last: dict[str, TimeAxis] = {}
    for number in range(len(patches)):
        patch = patches[number]
        axis = patch.coords["time"].values
        name = str(patch.attrs.get("dataset", ""))
        if not isinstance(axis, TimeAxis) or not axis.size:
            continue
        before = last.get(name)
        if before is not None and axis.typical_step and axis.first > before.last:
            step = axis.typical_step
            missing = max(round((axis.first - before.last) / step) - 1, 0)
            if missing:
                first, final = before.last + round(step), axis.first - round(step)
                lines.append((name, np.datetime64(first, "ns"), np.datetime64(final, "ns"), missing))
        last[name] = axis
    return pd.DataFrame(lines, columns=columns)


def overlaps(view: View, names: Sequence[str], first: int, last: int, *, compare: bool) -> pd.DataFrame:
    """Return a table of the times that several granules of a dataset hold."""
    import pandas as pd

    columns = ["dataset", "time_min", "time_max", "serves", "hidden", "same_sources", *(["differ"] if compare else [])]
    lines: list[tuple[Any, ...]] = []
    for table in view.tables(names, first, last):
        for serves, hidden, low, high in overlaps_of(table.spans, table.dataset.step):
            one, other = view.rows(table, [serves, hidden])
            same = {source.sha256 for source in other.sources} <= {source.sha256 for source in one.sources}
            times = (np.datetime64(low, "ns"), np.datetime64(high, "ns"))
            line: tuple[Any, ...] = (table.dataset.name, *times, one.key, other.key, same)
            lines.append((*line, _differ(view, one, other, low, high)) if compare else line)
    return pd.DataFrame(lines, columns=columns)


def _differ(view: View, one: Row, other: Row, first: int, last: int) -> bool:
    """Return whether the samples of two granules between two stamps are not the same."""
    parts = []
    for row in (one, other):
        along = slice(row.time.find(first), row.time.find(last, "right"))
        window = (along, *(slice(0, length) for length in row.data.shape[1:]))
        parts.append(StoredPart(view.store, row.data, window))
    left, right = load_many(parts)
    return left.shape != right.shape or not np.array_equal(left, right, equal_nan=left.dtype.kind in "fc")

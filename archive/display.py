"""How Patches and Spools present themselves, in a terminal and in a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.times import ns_to_text

if TYPE_CHECKING:
    from archive.coords import Coord
    from archive.patch import Patch
    from archive.spools import Spool

__all__ = ["patch_html", "patch_text", "size_text", "spool_html", "spool_text"]

_SHOWN = 12


def size_text(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000:  # noqa: PLR2004 - powers of a thousand
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} PB"


def _value(value: Any) -> str:
    if isinstance(value, np.datetime64):
        return "NaT" if np.isnat(value) else ns_to_text(int(value.astype("datetime64[ns]").astype(np.int64)))
    if isinstance(value, np.timedelta64):
        return f"{value / np.timedelta64(1, 's'):g} s"
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def _coord_line(name: str, coord: Coord) -> list[str]:
    step = "" if coord.step is None else _value(coord.step)
    units = "" if coord.units is None or coord.is_time else coord.units
    return [name, str(coord.size), _value(coord.min()), _value(coord.max()), step, units]


def _patch_parts(patch: Patch) -> tuple[str, list[list[str]], list[list[str]]]:
    shape = " x ".join(f"{length} {dim}" for dim, length in zip(patch.dims, patch.shape, strict=True))
    state = "in memory" if patch.loaded else "not read yet"
    head = f"Patch: {shape}, {patch.dtype}, {size_text(patch.nbytes)}, {state}"
    coords = [_coord_line(name, coord) for name, coord in patch.coords.items()]
    return head, coords, [[name, str(value)] for name, value in patch.attrs.items()]


def patch_text(patch: Patch) -> str:
    """Return a Patch as text."""
    head, coords, attrs = _patch_parts(patch)
    lines = [head, "coordinates", *_columns([["", "size", "first", "last", "step", "units"], *coords])]
    if attrs:
        lines += ["attributes", *_columns(attrs)]
    return "\n".join(lines)


def patch_html(patch: Patch) -> str:
    """Return a Patch as HTML."""
    head, coords, attrs = _patch_parts(patch)
    return (
        f"<div><b>{html.escape(head)}</b>"
        + _table(["", "size", "first", "last", "step", "units"], coords)
        + (f"<details><summary>{len(attrs)} attributes</summary>{_table([], attrs)}</details>" if attrs else "")
        + "</div>"
    )


def _spool_parts(spool: Spool) -> tuple[str, list[list[str]]]:
    coverage = spool.coverage()
    count = sum(len(spans) for spans in coverage.values())
    pinned = "" if spool.snapshot is None else f", snapshot {spool.snapshot}"
    head = f"Spool: {count} {'patch' if count == 1 else 'patches'}{pinned}"
    if not spool.complete:
        head += " (this store cannot list: what was committed after the snapshot is not seen)"
    lines = []
    for name, spans in coverage.items():
        if spans:
            runs = "1 run" if len(spans) == 1 else f"{len(spans)} runs"
            lines.append(
                [name or "-", runs, ns_to_text(min(s[0] for s in spans)), ns_to_text(max(s[1] for s in spans))]
            )
    if len(lines) > _SHOWN:
        lines = [*lines[:_SHOWN], [f"and {len(lines) - _SHOWN} more", "", "", ""]]
    return head, lines


def spool_text(spool: Spool) -> str:
    """Return a Spool as text."""
    head, lines = _spool_parts(spool)
    return "\n".join([head, *_columns([["dataset", "", "first", "last"], *lines])]) if lines else head


def spool_html(spool: Spool) -> str:
    """Return a Spool as HTML."""
    head, lines = _spool_parts(spool)
    return f"<div><b>{html.escape(head)}</b>{_table(['dataset', '', 'first', 'last'], lines)}</div>"


def _columns(lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    ]


def _table(head: list[str], lines: list[list[str]]) -> str:
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"

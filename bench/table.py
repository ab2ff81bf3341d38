"""What was measured, as a table and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["markdown", "save"]

_FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"


def markdown(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records of the same fields as a Markdown table, numbers to the right."""
    if not records:
        return ""
    names = list(records[0])
    cells = [["" if record.get(name) is None else str(record[name]) for name in names] for record in records]
    right = [all(isinstance(record.get(name), int | float | None) for record in records) for name in names]
    widths = [max(len(text) for text in column) for column in zip(names, *cells, strict=True)]
    rule = ["-" * (width - 1) + ":" if to_right else "-" * width for width, to_right in zip(widths, right, strict=True)]

    def line(texts: Sequence[str]) -> str:
        padded = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(texts, widths, right, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    return "\n".join(line(texts) for texts in [names, rule, *cells])


def save(name: str, text: str, figures: Mapping[str, Any]) -> None:
    """Write a page and its figures to `docs/benchmarks`."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    (_FOLDER / f"{name}.md").write_text(text)
    (_FOLDER / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")

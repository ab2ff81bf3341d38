"""Writes docs/formats.md from the table of formats, the words of each reader, and the samples of the tests."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from ingest.formats import FORMATS  # noqa: E402 - of this very folder

if TYPE_CHECKING:
    from archive.model import Format

HEAD = """\
# Raw formats

Written by `make formats` from the table in `ingest/formats` and the words of each reader; edit those.

`lightkeep identify FILE...` tells which of these a file is, by its content; names decide nothing. Of every format
the times, the channels and the samples are read as they stand in the file. The header is kept verbatim with each
granule; what it says in the terms of the field (gauge length, pulse rate, units, instrument and so on) becomes
attributes. Samples are never scaled. Where there is a real file, its samples and times are held against those that
another library reads.

- A format that only DASCore reads comes in with `--format dascore:NAME`, where DASCore is installed
  (`pip install 'lightkeep[dascore]'`). Its detection is never asked, and readers of it that unpickle are refused.
- Another package brings a format by an entry point of the group `lightkeep.formats`: an `archive.model.Format` that
  names its module. `archive.testing.check_reader` holds the reader to the contract of those below.

"""


def samples() -> dict[str, int]:
    """Return how many real files the tests hold each format against."""
    spec = importlib.util.spec_from_file_location("formats_samples", ROOT / "tests/formats/conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    held = list(module.REAL.values())
    return {fmt: held.count(fmt) for fmt in set(held)}


def words(fmt: Format) -> str:
    """Return what a reader says of itself, without its references."""
    told = inspect.getdoc(import_module(fmt.module)) or ""
    return told.partition("\n\nReferences\n")[0].strip()


def page() -> str:
    """Return the page."""
    real = samples()
    lines = ["| format | name | versions | files are called | proven by |", "| --- | --- | --- | --- | --- |"]
    parts = []
    for fmt in sorted(FORMATS, key=lambda one: one.title.lower()):
        proof = "real and made files" if fmt.name in real else "files made to the layout"
        suffixes = ", ".join(f"`{suffix}`" for suffix in fmt.suffixes)
        lines.append(f"| {fmt.title} | `{fmt.name}` | {', '.join(fmt.versions)} | {suffixes} | {proof} |")
        several = "\n\nChannels in files of their own are read as one recording." if fmt.by_channel else ""
        parts.append(f"## {fmt.title}\n\n{words(fmt)}{several}\n")
    return HEAD + "\n".join(lines) + "\n\n" + "\n".join(parts)


if __name__ == "__main__":
    (ROOT / "docs/formats.md").write_text(page())

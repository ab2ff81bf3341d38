"""Which files make one source: the channels of a recording, and samples beside their header."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ingest.naming import time_of
from ingest.sources import Found, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from archive.model import Description
    from ingest.formats import Format

__all__ = ["Loose", "channel_groups", "join_beside", "join_channels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose:
    """A file that may be only a part of a source.

    Parameters
    ----------
    description
        What it holds by itself; `None` for a header whose samples lie beside it.
    """

    found: Found
    kind: Format
    description: Description | None


@dataclass(slots=True)
class _Group:
    start: int
    stop: int
    names: set[str]
    files: list[Loose]


def channel_groups(files: Iterable[Loose]) -> list[list[Loose]]:
    """Return the files of each recording together, sorted by their names.

    Files belong together that lie in one folder, are of one format, hold channels of different names, and
    overlap for at least half of the shorter one. So the next hour of a recording is the next source, and a
    copy of a channel stands by itself.
    """
    folders: dict[tuple[str, str], list[tuple[int, int, set[str], Loose]]] = defaultdict(list)
    for file in files:
        start, stop, names = _extent(file)
        folders[file.found.url.rpartition("/")[0], file.kind.name].append((start, stop, names, file))
    groups: list[_Group] = []
    for members in folders.values():
        open_groups: list[_Group] = []
        for start, stop, names, file in sorted(members, key=lambda one: (one[0], one[3].found.url)):
            open_groups = [group for group in open_groups if group.stop >= start]
            home = next((group for group in open_groups if _belongs(group, start, stop, names)), None)
            if home is None:
                home = _Group(start, stop, set(), [])
                open_groups.append(home)
                groups.append(home)
            home.names |= names
            home.files.append(file)
    return [sorted(group.files, key=lambda file: file.found.url) for group in groups]


def _belongs(group: _Group, start: int, stop: int, names: set[str]) -> bool:
    shared = min(group.stop, stop) - max(group.start, start)
    shorter = min(group.stop - group.start, stop - start)
    return bool(names) and bool(group.names) and not names & group.names and 0 <= shorter <= 2 * shared


def _extent(file: Loose) -> tuple[int, int, set[str]]:
    """Return the first and the last stamp of a file, ns, and the names of its channels."""
    names: set[str] = set()
    times = []
    for block in file.description.blocks if file.description is not None else ():
        times.append(time_of(block))
        for coord in block.coords.values():
            if coord.dtype.kind == "U":
                names |= set(coord.to_numpy().tolist())
    return min(time.first for time in times), max(time.last for time in times), names


def join_channels(group: Sequence[Loose]) -> Found:
    """Return the files of a recording as one source, called after the first of them."""
    return join(f"{group[0].found.url}#channels", [file.found for file in group])


def join_beside(head: Loose, files: Iterable[Found]) -> list[Found]:
    """Return a source for each file of samples that lies beside a header, called as that file is."""
    folder = head.found.url.rpartition("/")[0]
    return [
        join(file.url, [head.found, file])
        for file in files
        if file.url.rpartition("/")[0] == folder and PurePosixPath(file.url).suffix.lower() == head.kind.beside
    ]

"""Looking at a raw file: what it says of itself, and which datasets its samples go to."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any

from archive.errors import FormatError, NotFound
from ingest.formats import format_named, identify, known_formats
from ingest.formats.edge import without_header
from ingest.gather import Loose, channel_groups, join_beside, join_channels
from ingest.index.ledger import Ledger
from ingest.naming import check_same, dataset_of, time_of
from ingest.settings import Settings
from ingest.sources import Found, look_up, open_source, scan
from ingest.task import Refusal, TaskSource, refusal_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from archive.index.commits import Source
    from archive.index.dataset import Dataset
    from ingest.sources import Opener

__all__ = ["Described", "Finder", "Looker", "gathered", "waits_for_others"]


@dataclass(frozen=True, slots=True)
class Described:
    """A source that can be taken: its datasets, the window that it starts in, and the bytes of its samples."""

    source: TaskSource
    datasets: Mapping[str, Dataset]
    window: tuple[str, int]
    samples: int


@dataclass(frozen=True, slots=True)
class Looker:
    """What is known while files are looked at.

    Parameters
    ----------
    lives
        Incarnation of each dataset that is not in its first.
    """

    ledger: Ledger
    settings: Settings
    lives: Mapping[str, int]

    def look(self, file: Found) -> Loose | Refusal | str:
        """Return what a file says of itself, why it is refused, or its URL if nothing suggests that it is raw data."""
        with without_header():  # of very many files that are looked at ahead
            return self.look_by(open_source, file)

    def look_by(self, opener: Opener, file: Found) -> Loose | Refusal | str:
        """Look at a file, opened by what keeps it open for the reading."""
        try:
            with opener(file, self.settings.options, digest=False) as opened:
                named = self.settings.format
                kind = format_named(named) if named else identify(opened.file, file.url)
                alone = kind.beside is not None and not file.parts
                description = None if alone else opened.description(kind)
        except FormatError as error:
            suffix = PurePosixPath(file.url).suffix.lower()
            known = any(suffix in kind.suffixes for kind in known_formats())
            return refusal_of(file, error, self._earlier(file)) if file.named or known else file.url
        return Loose(found=file, kind=kind, description=description)

    def propose(self, look: Loose) -> Described | Refusal:
        """Return the datasets and the window of a source."""
        file, kind, description = look.found, look.kind, look.description
        if description is None:
            error = FormatError(f"{file.url}: no {kind.beside} file lies beside it; name its whole folder")
            return refusal_of(file, error, self._earlier(file))
        proposed: dict[str, Dataset] = {}
        names: list[str] = []
        for block in description.blocks:
            dataset = dataset_of(block, kind.name, name=self.settings.dataset, codec=self.settings.codec)
            dataset = dataset.reborn(self.lives.get(dataset.name, 1))
            if self.settings.metadata is not None:
                dataset = self.settings.metadata.applied(dataset)
            names.append(dataset.name)
            check_same(proposed.setdefault(dataset.name, dataset), dataset)
        blocks = [block for block in description.blocks if block.shape[0]]
        if not blocks:
            return refusal_of(file, FormatError(f"{file.url}: holds no samples; set it aside"), self._earlier(file))
        home = proposed[names[description.blocks.index(blocks[0])]]
        return Described(
            source=TaskSource(
                found=file,
                format=kind.name,
                datasets=tuple(names),
                copies=self.ledger.hashes_of_size(file.size),
                earlier=self._earlier(file),
                others=self.ledger.others(file.url),
                anew=self.settings.anew,
            ),
            datasets=proposed,
            window=(home.name, time_of(blocks[0]).first // home.window),
            samples=sum(prod(block.shape) * block.dtype.itemsize for block in blocks),
        )

    def _earlier(self, file: Found) -> str | None:
        earlier = self.ledger.earlier(file.url)
        return None if earlier is None else earlier.sha256


def waits_for_others(look: Loose | Refusal | str) -> bool:
    """Return whether a file may be a part of a source that other files belong to."""
    if isinstance(look, Loose):
        return look.kind.by_channel or look.kind.beside is not None
    suffix = PurePosixPath(look if isinstance(look, str) else look.found.url).suffix.lower()
    return any(kind.beside == suffix for kind in known_formats())


def gathered(
    looks: Sequence[tuple[Found, Loose | Refusal | str]],
) -> tuple[list[Loose | Refusal | str], list[Found]]:
    """Return what stands by itself of files that waited for others, and the sources that are made of several."""
    loose = [look for _, look in looks if isinstance(look, Loose)]
    groups = channel_groups(file for file in loose if file.kind.by_channel)
    alone: list[Loose | Refusal | str] = [group[0] for group in groups if len(group) == 1]
    joined = [join_channels(group) for group in groups if len(group) > 1]
    unclaimed = [file for file, look in looks if not isinstance(look, Loose)]
    for head in loose:
        if head.kind.beside:
            pairs = join_beside(head, unclaimed)
            joined += pairs
            alone += [] if pairs else [head]
    parts = {part.url for file in joined for part in file.parts}
    alone += [look for file, look in looks if not isinstance(look, Loose) and file.url not in parts]
    return alone, joined


class Finder:
    """Finds sources of an archive where they lie, with all files that they are made of.

    Parameters
    ----------
    options
        For the places of raw files, as fsspec takes them.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._joined: dict[tuple[str, str], dict[str, Found]] = {}  # by folder and format
        self._lock = Lock()  # one listing and look for all threads that ask for files of one folder

    def __call__(self, source: Source) -> Found | None:
        """Return a source as it lies there, `None` if it is gone.

        Raises
        ------
        StoreTrouble
            Its place cannot be asked.
        """
        kind = next((kind for kind in known_formats() if kind.name == source.format), None)
        if kind is not None and (kind.by_channel or kind.beside is not None):
            folder = source.url.rpartition("/")[0]
            with self._lock:
                if (folder, kind.name) not in self._joined:
                    self._joined[folder, kind.name] = self._join(folder, kind.name)
                found = self._joined[folder, kind.name].get(source.url)
            if found is not None:
                return found
        return look_up(source.url, self._options)

    def _join(self, folder: str, kind: str) -> dict[str, Found]:
        try:
            files = [file for file in scan([folder], self._options) if file.url.rpartition("/")[0] == folder]
        except NotFound:
            return {}
        looker = Looker(Ledger(()), Settings(options=self._options), {})
        looks = [(file, looker.look(file)) for file in files]
        _, joined = gathered(
            [(file, look) for file, look in looks if not isinstance(look, Loose) or look.kind.name == kind]
        )
        return {file.url: file for file in joined}

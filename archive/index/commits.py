"""Commits: the rows that become visible together, and the sources that they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archive.index import layout
from archive.index.dataset import Dataset
from archive.index.rows import Row
from archive.index.sealed import seal, unseal
from archive.index.snapshot import check_version

if TYPE_CHECKING:
    from collections.abc import Buffer, Mapping

__all__ = ["DERIVED", "Commit", "Source"]

DERIVED = "lightkeep:process"  # format of a source that is no file, but a part of a result of processing


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A raw file that came in.

    Parameters
    ----------
    url, size, stamp
        Where it lay, its bytes, and its etag or time of change: what recognises it unread.
    sha256
        Its content (hex): what recognises it under any name.
    format, version
        As it was read.
    dataset
        Where its samples went.
    rows
        Ids of the rows made of it.
    """

    url: str
    size: int
    stamp: str
    sha256: str
    format: str
    version: str
    dataset: str
    rows: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the source as JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"rows": list(self.rows)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Source:
        """Return the source that JSON holds."""
        return cls(**{**data, "rows": tuple(data["rows"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One object that makes rows visible, all or none.

    Parameters
    ----------
    key
        Its own key, never used twice.
    created
        ns UTC by the writer's clock.
    rows, sources, datasets
        What it adds: only ever adds.
    """

    key: str
    created: int
    rows: tuple[Row, ...]
    sources: tuple[Source, ...] = ()
    datasets: Mapping[str, Dataset] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the bytes of the commit."""
        document = {
            "format": layout.FORMAT_VERSION,
            "created": self.created,
            "rows": [row.to_json() for row in self.rows],
            "sources": [source.to_json() for source in self.sources],
            "datasets": [dataset.to_json() for dataset in self.datasets.values()],
        }
        return seal(self.key, document)

    @classmethod
    def decode(cls, key: str, data: Buffer) -> Commit:
        """Return the commit that bytes hold.

        Raises
        ------
        DamagedData
            The bytes were altered, or are another object's.
        """
        held = unseal(key, data)
        check_version(held["format"])
        datasets = [Dataset.from_json(item) for item in held["datasets"]]
        return cls(
            key=key,
            created=held["created"],
            rows=tuple(Row.from_json(row) for row in held["rows"]),
            sources=tuple(Source.from_json(source) for source in held["sources"]),
            datasets={dataset.name: dataset for dataset in datasets},
        )

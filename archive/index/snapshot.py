"""A snapshot: the folded state of the index that CURRENT holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from archive.errors import NewerVersion
from archive.index import layout
from archive.index.dataset import Dataset
from archive.index.leaves import LeafEntry
from archive.index.sealed import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Buffer, Mapping

    from archive.index.rows import Row

__all__ = ["REMOVED_DIGITS", "LedgerEntry", "Snapshot"]

REMOVED_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One segment of the ledger of sources."""

    key: str
    size: int
    sha256: str
    sources: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One numbered state of the index.

    Parameters
    ----------
    number
        Rises by one with every swap of CURRENT.
    nonce
        Random; tells a writer whether the CURRENT it finds is its own.
    created
        When it was made, ns UTC, by its writer's clock.
    note
        What made it: `init`, `fold`, ...
    datasets
        What is fixed for each dataset.
    leaves
        All leaves, by dataset and time.
    ledger
        The segments of the ledger.
    tags
        Names for snapshot numbers.
    incarnations
        The life that each removed dataset would come back in; rows of an earlier one are dead.
    removed
        Ids of rows that were removed lately while their dataset stayed, first 16 digits each, by when (ns)
        they were: a delayed copy of their commit does not bring them back.
    oldest
        The oldest snapshot that is kept besides the tagged ones.
    history
        Number, time and note of the snapshots before, the newest last, some hundred at most.
    """

    number: int
    nonce: str
    created: int
    note: str = ""
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    leaves: tuple[LeafEntry, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    tags: Mapping[str, int] = field(default_factory=dict)
    incarnations: Mapping[str, int] = field(default_factory=dict)
    removed: Mapping[int, frozenset[str]] = field(default_factory=dict)
    oldest: int = 0
    history: tuple[tuple[int, int, str], ...] = ()

    def admits(self, dataset: Dataset) -> bool:
        """Return whether a dataset that a young commit brings is not one that was removed."""
        return dataset.incarnation >= self.incarnations.get(dataset.name, 1)

    def keeps(self, number: int) -> bool:
        """Return whether a snapshot is there to be opened; of others `gc` removes the parts one by one."""
        return number >= self.oldest or number in self.tags.values()

    def alive(self, row: Row) -> bool:
        """Return whether a row of a young commit is none that was removed."""
        digits = row.id[:REMOVED_DIGITS]
        return row.incarnation >= self.incarnations.get(row.dataset, 1) and not any(
            digits in ids for ids in self.removed.values()
        )

    def encode(self, key: str = layout.CURRENT) -> bytes:
        """Return the bytes of the snapshot; its copies are sealed under the same key as CURRENT."""
        document = {
            "format": layout.FORMAT_VERSION,
            "number": self.number,
            "nonce": self.nonce,
            "created": self.created,
            "note": self.note,
            "datasets": [dataset.to_json() for dataset in self.datasets.values()],
            "leaves": _columns(self.leaves, LeafEntry),
            "ledger": [asdict(entry) for entry in self.ledger],
            "tags": dict(self.tags),
            "incarnations": dict(self.incarnations),
            "removed": [[when, sorted(ids)] for when, ids in self.removed.items()],
            "oldest": self.oldest,
            "history": [list(entry) for entry in self.history],
        }
        return seal(key, document)

    @classmethod
    def decode(cls, data: Buffer, key: str = layout.CURRENT) -> Snapshot:
        """Return the snapshot that bytes hold.

        Raises
        ------
        DamagedData
            The bytes were altered.
        NewerVersion
            A newer Lightkeep wrote it.
        """
        held = unseal(key, data)
        check_version(held.pop("format"))
        datasets = [Dataset.from_json(item) for item in held.pop("datasets")]
        leaves = held.pop("leaves")
        return cls(
            **{
                **held,
                "datasets": {dataset.name: dataset for dataset in datasets},
                "leaves": tuple(_leaf(values) for values in zip(*leaves.values(), strict=True)),
                "removed": {when: frozenset(ids) for when, ids in held["removed"]},
                "ledger": tuple(LedgerEntry(**entry) for entry in held["ledger"]),
                "history": tuple((number, created, note) for number, created, note in held["history"]),
            }
        )


def check_version(found: int) -> None:
    """Raise unless this Lightkeep reads the version of the archive's format.

    Raises
    ------
    NewerVersion
        It is newer.
    """
    if found > layout.FORMAT_VERSION:
        raise NewerVersion(
            f"the archive has format version {found}, this Lightkeep reads up to {layout.FORMAT_VERSION}; upgrade it"
        )


def _columns(items: tuple[Any, ...], kind: type) -> dict[str, list[Any]]:
    return {entry.name: [getattr(item, entry.name) for item in items] for entry in fields(kind)}


def _leaf(values: tuple[Any, ...]) -> LeafEntry:
    held = dict(zip((entry.name for entry in fields(LeafEntry)), values, strict=True))
    spans = held["spans"]
    return LeafEntry(**{**held, "spans": None if spans is None else tuple((a, b) for a, b in spans)})

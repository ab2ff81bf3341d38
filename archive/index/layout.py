"""Where everything lies in an archive: the one place that knows the keys."""

from __future__ import annotations

import re
import secrets

import numpy as np

from archive.errors import InvalidInput

__all__ = [
    "COMMITS",
    "CURRENT",
    "DAMAGED",
    "DATA",
    "FOLDING",
    "FORMAT_VERSION",
    "LEAVES",
    "QUARANTINE",
    "ROOT",
    "SNAPSHOTS",
    "check_dataset_name",
    "corrected_key",
    "dataset_key",
    "folding_key",
    "granule_key",
    "is_dataset_key",
    "new_commit_key",
    "new_granule_key",
    "new_leaf_key",
    "new_ledger_key",
    "snapshot_key",
]

FORMAT_VERSION = 1
ROOT = "lightkeep.json"
DATA = "data/"
COMMITS = "commits/"
CURRENT = "index/CURRENT"
SNAPSHOTS = "index/snapshots/"
LEAVES = "index/leaves/"
LEDGER = "index/ledger/"
FOLDING = "index/folding/"
QUARANTINE = "quarantine/"
DAMAGED = "damaged/"

_DATASET_KEY = re.compile(rf"{DATA}[^/]+/dataset(-\d+)?\.json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_dataset_name(name: str) -> str:
    """Return the name of a dataset if it can be one.

    Raises
    ------
    InvalidInput
        It holds more than ASCII letters, digits, dot, dash and underscore, or does not start with one
        of the first two.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise InvalidInput(f"{name!r} cannot name a dataset: use letters, digits, '.', '-' and '_', at most 128")
    return name


def dataset_key(name: str) -> str:
    """Return the key of what is fixed for a dataset."""
    return f"{DATA}{check_dataset_name(name)}/dataset.json"


def corrected_key(name: str, number: int) -> str:
    """Return the key of a dataset as the snapshot of a number corrected it."""
    return f"{DATA}{check_dataset_name(name)}/dataset-{number:012d}.json"


def is_dataset_key(key: str) -> bool:
    """Return whether an object tells what is fixed for a dataset, first or corrected."""
    return _DATASET_KEY.fullmatch(key) is not None


def new_granule_key(dataset: str, start: int) -> str:
    """Return a key never used before: the start (ns) for people, 64 random bits for uniqueness."""
    stamp = str(np.datetime64(start, "ns").astype("datetime64[ms]")).replace("-", "").replace(":", "").replace(".", "_")
    return granule_key(dataset, f"{stamp}-{secrets.token_hex(8)}")


def granule_key(dataset: str, name: str) -> str:
    """Return the key of a granule's group."""
    return f"{DATA}{check_dataset_name(dataset)}/{name}.zarr"


def new_commit_key(nanoseconds: int) -> str:
    """Return a key for a commit made at a time; it sorts by time, and is never used twice."""
    return f"{COMMITS}{nanoseconds:019d}-{secrets.token_hex(8)}"


def snapshot_key(number: int) -> str:
    """Return the key of the copy of one snapshot."""
    return f"{SNAPSHOTS}{number:012d}"


def folding_key(number: int) -> str:
    """Return the key under which a writer says that it is folding for a snapshot."""
    return f"{FOLDING}{number:012d}"


def new_leaf_key(sha256: str) -> str:
    """Return a key for a leaf: by its content, and never used twice.

    A key used again could be that of an old leaf which `gc` is about to delete.
    """
    return f"{LEAVES}{sha256[:32]}-{secrets.token_hex(8)}.parquet"


def new_ledger_key(sha256: str) -> str:
    """Return a key for a segment of the ledger, never used twice."""
    return f"{LEDGER}{sha256[:32]}-{secrets.token_hex(8)}.parquet"

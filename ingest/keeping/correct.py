"""Metadata onto a dataset that is in the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archive.errors import NotFound
from ingest.index.fold import fold
from ingest.index.swap import Base, Change, change, successor

if TYPE_CHECKING:
    from archive.store import Store
    from ingest.metadata import Metadata

__all__ = ["correct"]


def correct(store: Store, name: str, metadata: Metadata) -> bool:
    """Put metadata onto a dataset that is there, in one swap of CURRENT; return whether anything changed.

    Raises
    ------
    NotFound
        There is no such dataset.
    InvalidInput
        The metadata are of another acquisition.
    """

    def edit(base: Base) -> Change | None:
        held = base.snapshot.datasets
        if name not in held:
            raise NotFound(f"{name}: no such dataset in {store.url}; there are: {', '.join(held) or 'none'}")
        corrected = metadata.applied(held[name])
        if corrected.to_json() == held[name].to_json():
            return None
        return Change(successor(base.snapshot, f"metadata {name}", datasets={**held, name: corrected}))

    return change(store, edit, lambda: fold(store)) is not None

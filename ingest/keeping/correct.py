"""Metadata onto a dataset that is in the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archive.index import layout
from archive.index.dataset import dataset_named
from archive.index.sealed import seal
from ingest.index.fold import fold
from ingest.index.swap import Base, Change, change, successor

if TYPE_CHECKING:
    from archive.store import Store
    from ingest.metadata import Metadata

__all__ = ["correct"]


def correct(store: Store, name: str, metadata: Metadata) -> bool:
    """Put metadata onto a dataset that is there, in one swap of CURRENT; return whether anything changed.

    The corrected dataset is then put beside the first one as well, where `repair` finds it should the index be lost:
    granules tell only what was known when they were written.

    Raises
    ------
    NotFound
        There is no such dataset.
    InvalidInput
        The metadata are of another acquisition.
    """

    def edit(base: Base) -> Change | None:
        held = base.snapshot.datasets
        dataset = dataset_named(name, held, store.url)
        corrected = metadata.applied(dataset)
        if corrected.to_json() == dataset.to_json():
            return None
        return Change(successor(base.snapshot, f"metadata {name}", datasets={**held, name: corrected}))

    made = change(store, edit, lambda: fold(store))
    if made is not None:
        key = layout.corrected_key(name, made.number)
        store.create(key, seal(key, made.datasets[name].to_json()))
    return made is not None

"""Making an archive."""

from __future__ import annotations

import json
import secrets
import time
import uuid

from archive.errors import Conflict, InvalidInput, NotFound
from archive.index import layout
from archive.index.sealed import sign, signed
from archive.index.snapshot import Snapshot, check_version
from archive.store import Get, List, Store, probe

__all__ = ["initialise", "new_root"]


def initialise(store: Store) -> bool:
    """Make an archive in a store, and return whether there was none yet.

    Raises
    ------
    UnsafeStore, ReadOnlyStore
        The store cannot hold an archive safely.
    InvalidInput
        Other things lie in the place.
    """
    root, current, found = store.wave([Get(layout.ROOT), Get(layout.CURRENT), List("", 1)], return_errors=True)
    for reply in (root, current, found):
        if isinstance(reply, BaseException) and not isinstance(reply, NotFound):
            raise reply
    if not isinstance(root, NotFound):
        check_version(signed(layout.ROOT, root.data)["format"])
        if isinstance(current, NotFound):
            _first_snapshot(store)
        return False
    if not isinstance(found, NotFound) and found:
        raise InvalidInput(f"{store.url} is not empty ({found[0].key}) and no archive; choose an empty prefix")
    probe(store)
    try:
        store.create(layout.ROOT, new_root())
    except Conflict:
        return False
    _first_snapshot(store)
    return True


def new_root() -> bytes:
    """Return the object that says of a place that it is an archive."""
    document = {
        "lightkeep": "archive",
        "sealed": "0" * 64,
        "format": layout.FORMAT_VERSION,
        "id": str(uuid.uuid4()),
        "created": time.time(),
    }
    return sign(json.dumps(document).encode())


def _first_snapshot(store: Store) -> None:
    if store.entries(layout.SNAPSHOTS, 1):
        raise NotFound(
            f"{layout.CURRENT}: the newest snapshot is missing, older ones are there; run lightkeep repair {store.url}"
        )
    snapshot = Snapshot(number=0, nonce=secrets.token_hex(16), created=time.time_ns(), note="init")
    try:
        store.create(layout.CURRENT, snapshot.encode())
    except Conflict:
        return

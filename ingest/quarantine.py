"""Where refused sources are reported."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

from archive.errors import Conflict
from archive.index import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from archive.store import Store
    from ingest.task import Refusal

__all__ = ["set_aside"]


def set_aside(store: Store, refusals: Iterable[Refusal]) -> None:
    """Write one report per refused source; a source refused again in the same state keeps its first one."""
    for refusal in refusals:
        found = refusal.found
        state = f"{found.url}\n{found.size}\n{found.stamp}"
        key = f"{layout.QUARANTINE}{hashlib.sha256(state.encode()).hexdigest()[:32]}.json"
        report = {
            "url": found.url,
            "size": found.size,
            "stamp": found.stamp,
            "reason": refusal.reason,
            "error": refusal.kind,
            "refused": time.time(),
        }
        try:
            store.create(key, json.dumps(report, ensure_ascii=False, indent=1).encode())
        except Conflict:
            continue

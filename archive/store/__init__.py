"""Object stores behind one small face: buckets, folders, memory, and what else fsspec knows.

Everything above this package is plain functions; concurrency, retries, time-outs and credentials
live here and nowhere else.
"""

from __future__ import annotations

from archive.store.facade import Store
from archive.store.opening import open_store
from archive.store.probe import probe
from archive.store.values import Buffer, Counts, Entry, Get, List, Object

__all__ = ["Buffer", "Counts", "Entry", "Get", "List", "Object", "Store", "open_store", "probe"]

"""Stores: the only place that does I/O on an archive."""

from archive.store.requests import Counts, Entry, Get, List, Object
from archive.store.store import Store, open_store

__all__ = ["Counts", "Entry", "Get", "List", "Object", "Store", "open_store"]

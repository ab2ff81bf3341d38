"""The threads that encode, shared by all that a process writes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from archive.reading import worker_threads

__all__ = ["encoders"]


def encoders() -> ThreadPoolExecutor:
    """Return the threads that encode for all tasks of a process: one for each core.

    Shared, so that no core idles while one task reads or uploads and another encodes.
    """
    return _encoders_of(os.getpid())


@lru_cache(maxsize=1)
def _encoders_of(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process makes its own
    return ThreadPoolExecutor(worker_threads(), thread_name_prefix="lightkeep-encode")

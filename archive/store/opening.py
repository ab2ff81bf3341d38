"""From a URL to a store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput
from archive.store.facade import Store
from archive.store.place import locate
from archive.store.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["open_store"]

_WIDEST = 1024


def open_store(
    url: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    requests_in_flight: int = 48,
) -> Store:
    """Return the store at `url`; nothing is asked of it yet.

    Parameters
    ----------
    url
        `s3://bucket/prefix`, `gs://`, `az://`, `abfs://`, `https://`, `file:///path`, a plain path,
        or `memory://NAME` (one store per process and NAME). What only fsspec knows can be read.
    storage_options
        For buckets: credentials under the names of s3fs (`key`, `secret`, `token`, `profile`,
        `anon`, `endpoint_url`) or obstore (`access_key_id`, ...), `anonymous`, `region`. For all:
        `max_retries`, `retry_seconds`, `stall_seconds` (time without progress after which a
        connection is dead) and `requests_in_flight`. For a store that only fsspec knows: what its file system takes.
        Without any, the environment, `~/.aws` and the role of the machine are used.
    requests_in_flight
        How many requests may be under way at once.

    Raises
    ------
    InvalidInput
        The URL or an option is not understood.
    MissingExtra
        The credentials or the kind of store need a library that is not installed.
    """
    options = dict(storage_options or {})
    requests_in_flight = options.pop("requests_in_flight", requests_in_flight)
    if not 1 <= requests_in_flight <= _WIDEST:
        raise InvalidInput(f"requests_in_flight: {requests_in_flight}, wanted 1 to {_WIDEST}; 48 is usual")
    recipe = Recipe.of(locate(os.fspath(url)), options, requests_in_flight)
    store = Store(recipe)
    store.check()
    return store

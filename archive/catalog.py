"""Opening: from a URL, or from Patches, to a Spool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from archive.errors import InvalidInput
from archive.patch import Patch
from archive.spools import ArchiveRoot, Spool, spool_of
from archive.store import open_store
from archive.view import open_view

__all__ = ["open", "spool"]


def open(  # noqa: A001 - lk.open is the archive's own
    url: str,
    dataset: str | Sequence[str] | None = None,
    as_of: int | str | Any = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Spool:
    """Return a lazy Spool over one archive, pinned to what it holds now.

    Parameters
    ----------
    url
        `s3://bucket/prefix`, `gs://`, `az://`, `https://`, `memory://NAME`, or a path.
    dataset
        One name or several; all without.
    as_of
        A snapshot's number, a tag, or a time; the newest state without.
    storage_options
        `endpoint_url`, `region`, `profile`, `anonymous`, ...; credentials come from the environment without.

    Raises
    ------
    NotFound
        There is no archive there, no such dataset, or no such snapshot.
    AccessDenied
        The store refuses the credentials.
    """
    view = open_view(open_store(str(url), storage_options=storage_options), as_of)
    if dataset is None:
        return Spool(ArchiveRoot(view, None))
    names = (dataset,) if isinstance(dataset, str) else tuple(dataset)
    for name in names:
        if name not in view.snapshot.datasets:
            view.dataset(name)  # only a young commit can know it
    return Spool(ArchiveRoot(view, names))


def spool(source: Spool | Patch | Iterable[Patch] | str, **options: Any) -> Spool:
    """Return a Spool over Patches, over a Spool, or over the archive at a URL.

    Raises
    ------
    InvalidInput
        It is none of these.
    """
    if isinstance(source, Spool):
        return source
    if isinstance(source, Patch):
        return spool_of([source])
    if isinstance(source, str) or hasattr(source, "__fspath__"):
        return open(str(source), **options)
    patches = list(source) if isinstance(source, Iterable) else [None]
    if not all(isinstance(patch, Patch) for patch in patches):
        raise InvalidInput("spool() takes Patches, a Spool, or the URL of an archive")
    return spool_of(patches)

"""Opening: from a URL, from raw files, or from Patches, to a Spool."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, cast

from archive.errors import InvalidInput, NotFound
from archive.index import layout
from archive.patch import Patch
from archive.raw import RawRoot, raw_root
from archive.spools import ArchiveRoot, Spool, spool_of
from archive.store import open_store
from archive.view import open_view

__all__ = ["open", "open_raw", "read", "spool"]

type Place = str | os.PathLike[str]


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


def open_raw(
    source: Place | Iterable[Place],
    *,
    format: str | None = None,  # noqa: A002 - the word for it
    storage_options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> Spool:
    """Return a lazy Spool over raw files, without an archive: a Patch for each block of each file, Cubes of frames.

    Files are looked at once, in threads; what they say of themselves is kept in the user's cache directory
    (`XDG_CACHE_HOME`) while their size and time of change stay the same. `spool.update()` looks again.
    Files that look like raw data and cannot be read are told in a warning, and in `spool.root.refused`.

    Parameters
    ----------
    source
        A file, a folder or a glob, local or as a URL that fsspec knows, or several.
    format
        Name of the format, where it is not to be found out: `"prodml"`, `"dascore:NAME"`.
    storage_options
        For remote places, as fsspec takes them.
    progress
        Whether to show a bar; by default, where there is a terminal.

    Raises
    ------
    NotFound
        A place does not exist, or holds no raw data.
    FormatError
        A file that was named cannot be read; later: a file has changed since it was looked at.
    MissingExtra
        Reading raw files is not installed.
    """
    several = () if isinstance(source, (str, os.PathLike)) or not isinstance(source, Iterable) else source
    places: list[Any] = list(several) or [source]
    if not all(isinstance(place, (str, os.PathLike)) for place in places):
        raise InvalidInput(f"raw files are named by paths and URLs, not by {source!r}")
    names = [os.fspath(place) for place in places]
    root = raw_root(names, format=format, options=storage_options, progress=progress)
    _tell_refused(root)
    return Spool(root)


def read(
    file: Place,
    *,
    format: str | None = None,  # noqa: A002 - the word for it
    storage_options: Mapping[str, Any] | None = None,
) -> Spool:
    """Return a Spool over one raw file: a Patch for each of its blocks, samples read when needed.

    Parameters
    ----------
    file, format, storage_options
        As for `open_raw`. Nothing is kept in the cache directory.

    Raises
    ------
    InvalidInput
        This is no single file.
    NotFound, FormatError, MissingExtra
        As for `open_raw`.
    """
    name = os.fspath(file)
    if Path(name).is_dir():
        raise InvalidInput(f"{name}: a folder; read() takes one file, open_raw() a folder")
    root = raw_root([name], format=format, options=storage_options, progress=False, keep=False)
    count = len(root.files) + len(root.found.frames)
    if count != 1:
        raise InvalidInput(f"{name}: {count} raw files; read() takes one, open_raw() several")
    return Spool(root)


def spool(source: Spool | Patch | Iterable[Patch | Place] | Place, **options: Any) -> Spool:
    """Return a Spool over Patches, over a Spool, over the archive at a URL, or over the raw files there.

    Parameters
    ----------
    source
        Where a URL or path has an archive, this is `open`, else `open_raw`; several paths are raw files.
    **options
        Those of `open` or `open_raw`.

    Raises
    ------
    InvalidInput
        It is none of these, or an option is not of its kind.
    NotFound
        There is neither an archive nor raw data.
    """
    if isinstance(source, Spool):
        return source
    if isinstance(source, Patch):
        return spool_of([source])
    if isinstance(source, (str, os.PathLike)):
        place = os.fspath(source)
        opener: Any = open if _is_archive(place, options.get("storage_options")) else open_raw
        return _opened(opener, place, options)
    items = list(source) if isinstance(source, Iterable) else [None]
    if items and all(isinstance(item, (str, os.PathLike)) for item in items):
        return _opened(open_raw, items, options)
    if not all(isinstance(item, Patch) for item in items):
        raise InvalidInput("spool() takes Patches, a Spool, the URL of an archive, or raw files")
    return spool_of([item for item in items if isinstance(item, Patch)])


def _opened(opener: Any, source: Any, options: Mapping[str, Any]) -> Spool:
    known = list(signature(opener).parameters)[1:]
    if unknown := [name for name in options if name not in known]:
        what = "an archive" if opener is open else "raw files"
        raise InvalidInput(f"{', '.join(unknown)}: no option for {what}; there are {', '.join(known)}")
    return cast("Spool", opener(source, **options))


def _is_archive(place: str, options: Mapping[str, Any] | None) -> bool:
    """Return whether an archive lies at a place: what marks one, or its index if the mark is lost."""
    if any(sign in place for sign in "*?[") or Path(place.removeprefix("file://")).is_file():
        return False
    store = open_store(place, storage_options=options)
    for key in (layout.ROOT, layout.CURRENT):
        try:
            store.head(key)
        except NotFound:
            continue
        return True
    return False


def _tell_refused(root: RawRoot) -> None:
    """Warn of files that are not read, or say that none is."""
    first = next(iter(root.refused.values()), "")
    if not root.files and not root.found.frames:
        there = ", ".join(root.places)
        raise NotFound(f"{there}: neither an archive nor raw data that can be read" + (f"; {first}" if first else ""))
    if root.refused:
        count = f"{len(root.refused)} raw files are" if len(root.refused) > 1 else "1 raw file is"
        warnings.warn(f"{count} left out (spool.root.refused): {first}", stacklevel=3)

"""Raw files: finding them, opening them, and noticing that they change."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from archive.errors import (
    FormatError,
    InvalidInput,
    NotFound,
    SourceChanged,
    StoreTrouble,
)
from ingest.filesystems import asking, filesystem
from ingest.formats import open_format
from ingest.formats.bundle import Joined, table_of
from ingest.ranged import RangedFile, collector_at_rest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from archive.model import Description
    from ingest.formats import Format

__all__ = [
    "Found",
    "KeptOpen",
    "OpenSource",
    "Opener",
    "SourceOptions",
    "check_tellable",
    "join",
    "look_up",
    "open_source",
    "scan",
    "without_frames",
]

_BLOCK = 4 << 20
_FRAMES = (".fits", ".fit", ".fts", ".fz", ".asdf")
IN_MEMORY = 256 << 20  # a remote file up to this size is fetched once, whole
_FETCHED_ONCE = 64 << 20  # and up to this one before it is known whether it is raw data


_PUBLIC = frozenset(
    {"anon", "profile", "endpoint_url", "region_name", "use_ssl", "verify", "requester_pays", "client_kwargs"}
    | {"host", "port", "project", "account_name", "default_block_size", "default_cache_type"}
)
# In a URL: a password, or the signature of a request.
_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")
_SIGNED = re.compile(r"[?&][^=&]*(sig|sign|token|secret|credential|password|key)[^=&]*=", re.IGNORECASE)


class SourceOptions(Mapping[str, Any]):
    """Options for the places of raw files, as fsspec takes them; a pickle holds only those that are no secrets.

    In another process what is left behind is taken from the same kind of source: the environment or a profile.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self._options = dict(options or {})

    def __getitem__(self, name: str) -> Any:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __repr__(self) -> str:
        return f"SourceOptions({', '.join(sorted(self._options))})"

    def __reduce__(self) -> tuple[type[SourceOptions], tuple[dict[str, Any]]]:
        return SourceOptions, (_public(self._options),)

    @property
    def travels(self) -> bool:
        """Whether a pickle holds all of them."""
        return _public(self._options) == self._options


def _public(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are no secrets."""
    return {
        name: _public(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
        if name in _PUBLIC and "@" not in str(value)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A raw file as it was found.

    Parameters
    ----------
    url
        Where it lies; a local file as `file://` and its absolute path.
    size, stamp
        Bytes, and etag or time of change: what tells that it is still the same.
    named
        Whether the user named this very file, rather than a folder around it.
    parts
        The files that are read as this one, where it is several.
    """

    url: str
    size: int
    stamp: str
    named: bool = False
    parts: tuple[Found, ...] = ()


class _Fetched(io.BytesIO):
    """A file in memory that knows its name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def scan(places: Sequence[str], options: Mapping[str, Any] | None = None) -> list[Found]:
    """Return the files in folders, under globs, and by name; sorted, each once, hidden ones left out.

    Raises
    ------
    InvalidInput
        A URL holds a password or a signature: it would be written into the archive's ledger.
    NotFound
        A place does not exist, or a glob matches nothing.
    """
    for place in places:
        check_tellable(place)
    found: dict[str, Found] = {}
    for place in places:
        for file in _scan_one(place, options or {}):
            found.setdefault(file.url, file)
    return [found[url] for url in sorted(found)]


def check_tellable(place: str) -> None:
    """Raise unless a place may be written down.

    Raises
    ------
    InvalidInput
        It holds a password or a signature.
    """
    if "://" in place and (_PASSWORD.search(place) or _SIGNED.search(place)):
        shown = _PASSWORD.sub("://", place).partition("?")[0]
        raise InvalidInput(
            f"{shown}: a source's URL holds a password or a signature, and the archive keeps URLs; "
            "give them by the environment or --source-option"
        )


def look_up(url: str, options: Mapping[str, Any] | None = None) -> Found | None:
    """Return a file by its very URL, whatever signs are in it; `None` if there is none.

    Raises
    ------
    StoreTrouble
        Its place cannot be asked.
    """
    files, path = filesystem(url, options or {})
    try:
        with asking(url, "cannot be looked up"):
            files.invalidate_cache()
            return _found(files, path, files.info(path), named=True)
    except FileNotFoundError:
        return None


def without_frames(found: Iterable[Found], name: str | None = None) -> tuple[list[Found], list[Found]]:
    """Return the files that by their names are no frames of a telescope, and those that are, or an asdf of frames.

    Parameters
    ----------
    name
        Of the format that the user says all of them have.
    """
    frames: list[Found] = []
    others: list[Found] = []
    for file in found:
        mine = file.url.lower().endswith(_FRAMES) and name in {None, "fits"}
        (frames if mine else others).append(file)
    return others, frames


def _scan_one(place: str, options: Mapping[str, Any]) -> list[Found]:
    local = "://" not in place
    files, path = filesystem(str(Path(place).expanduser().resolve()) if local else place, options)
    try:
        with asking(place, "cannot be listed"):
            files.invalidate_cache()
            # What is there under this very name is no glob.
            globbed = any(sign in path for sign in "*?[") and not files.lexists(path)
            if globbed:
                states = {name: held for name, held in files.glob(path, detail=True).items() if held["type"] == "file"}
            elif files.isdir(path):
                states = files.find(path, detail=True)
            else:
                return [_found(files, path, files.info(path), named=True)]
    except FileNotFoundError:
        raise NotFound(f"{place}: no such file or folder") from None
    if not states and globbed:
        raise NotFound(f"{place}: nothing matches")
    depth = path.rstrip("/").count("/")
    made: list[Found] = []
    for name, state in sorted(states.items()):
        if not any(part.startswith(".") for part in name.split("/")[depth:]):
            with suppress(FileNotFoundError):  # renamed or removed since it was listed
                made.append(_found(files, name, state, named=False))
    return made


def _found(files: Any, path: str, state: Mapping[str, Any], *, named: bool) -> Found:
    return Found(
        url=files.unstrip_protocol(path), size=int(state["size"] or 0), stamp=_stamp(files, path, state), named=named
    )


def _stamp(files: Any, path: str, state: Mapping[str, Any]) -> str:
    """Return what changes when a file does: the etag, or the time of change as exact as it is known."""
    if "file" in files.protocol:
        return str(Path(path).stat().st_mtime_ns)
    for name in ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created"):
        value = state.get(name)
        if value is not None:
            # fsspec's memory gives one time as a number or as a date, depending on who asks.
            return str(value.timestamp() if isinstance(value, datetime) else value)
    return ""


@dataclass(slots=True)
class OpenSource:
    """An open raw file, the SHA-256 (hex) of all of it, and what it said of itself, by the name of the format."""

    file: BinaryIO
    sha256: str
    _descriptions: dict[str, Description] = field(default_factory=dict, init=False, repr=False)

    def description(self, kind: Format) -> Description:
        """Return what the file says of itself, read once for as long as it is open."""
        if kind.name not in self._descriptions:
            self._descriptions[kind.name] = open_format(kind).describe(self.file)
        return self._descriptions[kind.name]


type Opener = Callable[..., AbstractContextManager[OpenSource]]
"""What opens a file that was found, as `open_source` does."""


@contextmanager
def open_source(found: Found, options: Mapping[str, Any] | None = None, *, digest: bool = True) -> Iterator[OpenSource]:
    """Open a raw file for reading any part of it, with its hash unless `digest` is off.

    Raises
    ------
    SourceChanged
        It is no longer the file that was found, before or after it was read.
    """
    places = [(*filesystem(part.url, options or {}), part) for part in found.parts or (found,)]
    local = all("file" in files.protocol for files, _, _ in places)
    with nullcontext() if local else collector_at_rest():
        for place in places:
            _check(*place)
        try:
            with _opened(found, places) as raw:
                file = raw
                if digest and not local and found.size <= IN_MEMORY:
                    file = _Fetched(raw.read(), found.url)
                yield OpenSource(file, _digest(file) if digest else "")
        except (ConnectionError, TimeoutError) as error:
            raise StoreTrouble(f"{found.url}: broke off while it was read ({error}); try again") from error
        for place in places:
            _check(*place)


class KeptOpen:
    """Opens one file for a first look and for the reading after it, and fetches it once if it is small and remote.

    Between the look and the end of the reading the file must stay the same, as in each of them.
    """

    def __init__(self) -> None:
        self._entered: AbstractContextManager[OpenSource] | None = None
        self._held: OpenSource | None = None

    @contextmanager
    def __call__(
        self, found: Found, options: Mapping[str, Any] | None = None, *, digest: bool = True
    ) -> Iterator[OpenSource]:
        """Open as `open_source` does; with `digest` it is the last time."""
        if found.parts or found.size > _FETCHED_ONCE or found.url.startswith("file:"):
            with open_source(found, options, digest=digest) as opened:
                yield opened
            return
        if self._held is None:
            self._entered = open_source(found, options)
            self._held = self._entered.__enter__()
        self._held.file.seek(0)
        yield self._held
        if digest:
            self.close()

    def close(self) -> None:
        """Let go of the file.

        Raises
        ------
        SourceChanged
            It has changed since it was opened.
        """
        entered, self._entered, self._held = self._entered, None, None
        if entered is not None:
            entered.__exit__(None, None, None)


def _opened(found: Found, places: Sequence[tuple[Any, str, Found]]) -> AbstractContextManager[BinaryIO]:
    """Return the file, or its parts as one."""
    if not found.parts:
        ((files, path, _),) = places
        return cast("AbstractContextManager[BinaryIO]", _open_one(files, path, found))
    members = [(_short(part), part.size, partial(_open_one, files, path, part)) for files, path, part in places]
    return cast("AbstractContextManager[BinaryIO]", Joined(members, found.url))


def join(url: str, parts: Sequence[Found]) -> Found:
    """Return several files as the one source that they are read as, in this order.

    Parameters
    ----------
    url
        What to call it, the same in every run.
    """
    stamps = hashlib.sha256(repr([(part.url, part.size, part.stamp) for part in parts]).encode()).hexdigest()
    size = len(table_of([(_short(part), part.size) for part in parts])) + sum(part.size for part in parts)
    return Found(url=url, size=size, stamp=stamps, named=any(part.named for part in parts), parts=tuple(parts))


def _short(part: Found) -> str:
    """Return the name of a part with its folder: the same for a copy elsewhere, so that it has the same hash."""
    return "/".join(part.url.split("/")[-2:])


def _open_one(files: Any, path: str, found: Found) -> Any:
    if "file" not in files.protocol:
        return RangedFile(files, path, found.size, found.url)
    try:
        return Path(path).open("rb")
    except PermissionError as error:
        raise FormatError(f"{found.url}: may not be read; give this user permission and ingest it again") from error
    except IsADirectoryError as error:
        raise SourceChanged(f"{found.url}: is a folder now; ingest what lies in it") from error


def _digest(file: BinaryIO) -> str:
    hasher = hashlib.sha256()
    file.seek(0)
    while block := file.read(_BLOCK):
        hasher.update(block)
    file.seek(0)
    return hasher.hexdigest()


def _check(files: Any, path: str, found: Found) -> None:
    try:
        with asking(found.url, "cannot be looked at now"):
            if "file" in files.protocol:
                there = Path(path).stat()
                same = there.st_size == found.size and str(there.st_mtime_ns) == found.stamp
            else:
                files.invalidate_cache()
                state = files.info(path)
                same = int(state["size"] or 0) == found.size and _stamp(files, path, state) == found.stamp
    except FileNotFoundError:
        same = False
    if not same:
        raise SourceChanged(f"{found.url}: changed while it was read; ingest it again once it is finished")

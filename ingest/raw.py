"""Raw files as a Spool sees them: found, looked at once in threads, and read when samples are needed.

`archive.raw` comes here by the entry point `lightkeep.raw`.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import FormatError, SourceChanged
from archive.index.dataset import coord_from_json, coord_to_json
from archive.model import Block, Description
from archive.raw import Findings, RawFile
from ingest.formats import format_named, known_formats, open_format
from ingest.gather import Loose
from ingest.index.ledger import Ledger
from ingest.looking import Looker, gathered, waits_for_others
from ingest.naming import dataset_of, time_of
from ingest.raw_index import RawIndex
from ingest.settings import Settings
from ingest.sources import SourceOptions, open_source, scan
from ingest.task import Refusal, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ingest.sources import Found

__all__ = ["SourceFile", "look_at"]

_THREADS = 16  # most of a look is waiting for the place
_BATCH = 1000  # files after which the index is written, so that an interrupted look is not lost

type _Look = Loose | Refusal | str
type _Window = tuple[slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A raw file as it was found, closed: an `archive.lazy.RawSource`."""

    found: Found
    format: str
    options: SourceOptions = field(repr=False)

    def read(self, wanted: Sequence[tuple[int, _Window]]) -> Iterator[NDArray[Any]]:
        """Yield the samples of some windows of blocks, the file opened once.

        Raises
        ------
        SourceChanged
            The file is not the one that was looked at.
        FormatError
            It is damaged.
        """
        reader = open_format(format_named(self.format))
        try:
            with open_source(self.found, self.options, digest=False) as opened:
                for block, window in wanted:
                    yield reader.read(opened.file, block, window)
        except SourceChanged as error:
            raise SourceChanged(
                f"{self.found.url}: changed or gone since it was looked at; spool.update() looks again"
            ) from error
        except FormatError as error:
            raise FormatError(_named(self.found, str(error))) from error


def _named(file: Found, reason: str) -> str:
    """Return why a file is refused with its name: readers do not always know it."""
    return reason if file.url.rpartition("/")[2] in reason else f"{file.url}: {reason}"


def look_at(
    places: Sequence[str],
    *,
    format: str | None,  # noqa: A002 - the word for it
    options: Mapping[str, Any],
    progress: bool | None,
    keep: bool,
) -> Findings:
    """Return the raw files in some places, each opened only if the index does not know it as it is.

    Parameters
    ----------
    places
        Paths, URLs, globs and folders.
    format
        Name of their format, where it is not to be found out.
    options
        For the places, as fsspec takes them.
    progress
        Whether to show a bar; `None` where there is a terminal.
    keep
        Whether to keep the index.

    Raises
    ------
    NotFound
        A place does not exist.
    FormatError
        A file that was named is refused.
    """
    found = scan(places, options)
    index = RawIndex.of([_absolute(place) for place in places], _readers(format)) if keep else RawIndex(None)
    looker = Looker(Ledger(()), Settings(format=format, options=options), {})
    ask = partial(_look_at_all, index=index, looker=looker, progress=_shown(progress))
    looks = ask(found)
    waiting = [one for one in looks if waits_for_others(one[1])]
    alone, joined = gathered(waiting)
    again = ask(joined)
    index.keep({}, index.urls - {_key(file) for file in (*found, *joined)})
    files, refused = [], {}
    for one in (*(look for _, look in looks if not waits_for_others(look)), *alone, *(look for _, look in again)):
        ready = one if isinstance(one, (Refusal, str)) else _raw_file(one, SourceOptions(options))
        if isinstance(ready, Refusal):
            if ready.found.named:
                raise FormatError(_named(ready.found, ready.reason))
            refused[ready.found.url] = _named(ready.found, ready.reason)
        elif isinstance(ready, RawFile):
            files.append(ready)
    files.sort(key=lambda file: file.url)
    return Findings(files=tuple(files), refused=refused, options=SourceOptions(options))


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).expanduser().resolve())


def _readers(name: str | None) -> list[Any]:
    """Return what decides how files are read: what others said to other readers does not count."""
    return [name, version("lightkeep"), [[kind.name, *kind.versions] for kind in known_formats()]]


def _shown(progress: bool | None) -> bool:  # noqa: FBT001 - as the user gave it
    return sys.stderr.isatty() if progress is None else progress


def _key(file: Found) -> str:
    """Return what the index calls a file: several that are read as one may have the name of one of them."""
    return f"{file.url}#joined" if file.parts else file.url


def _look_at_all(
    files: Sequence[Found], *, index: RawIndex, looker: Looker, progress: bool
) -> list[tuple[Found, _Look]]:
    """Return what each file says of itself, in order: out of the index, or looked at in threads."""
    held = {file.url: _from_json(file, index.said(_key(file), file.size, file.stamp)) for file in files}
    new = [file for file in files if held[file.url] is None]
    news: dict[str, tuple[int, str, Mapping[str, Any]]] = {}
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lightkeep-look") as pool:
        seen = _tracked(pool.map(looker.look, new), len(new), progress=progress)
        for file, one in zip(new, seen, strict=True):
            held[file.url] = one
            if not (isinstance(one, Refusal) and one.kind == SourceChanged.__name__):
                news[_key(file)] = (file.size, file.stamp, _to_json(one))
            if len(news) >= _BATCH:
                index.keep(news)
                news = {}
    index.keep(news)
    return [(file, look) for file in files if (look := held[file.url]) is not None]


def _tracked(looks: Iterator[_Look], total: int, *, progress: bool) -> Iterator[_Look]:
    if not progress or not total:
        return looks
    from rich.console import Console
    from rich.progress import track

    return iter(track(looks, total=total, description="looking at raw files", console=Console(stderr=True)))


def _raw_file(look: Loose, options: SourceOptions) -> RawFile | Refusal:
    """Return a file with the names of its datasets, as an ingest would name them, or why it cannot be taken."""
    file, kind = look.found, look.kind
    try:
        blocks = _blocks_of(look)
    except FormatError as error:
        return refusal_of(file, error, None)
    return RawFile(
        url=file.url,
        format=kind.name,
        blocks=blocks,
        datasets=tuple(dataset_of(block, kind.name, name=None, codec="pcodec").name for block in blocks),
        source=SourceFile(found=file, format=kind.name, options=options),
    )


def _blocks_of(look: Loose) -> tuple[Block, ...]:
    if look.description is None:
        raise FormatError(f"{look.found.url}: no {look.kind.beside} file lies beside it; name its whole folder")
    blocks = look.description.blocks
    if not sum(time_of(block).size for block in blocks):
        raise FormatError(f"{look.found.url}: holds no samples; set it aside")
    return blocks


def _to_json(look: _Look) -> dict[str, Any]:
    if isinstance(look, str):
        return {"unclaimed": True}
    if isinstance(look, Refusal):
        return {"refused": look.reason, "kind": look.kind}
    if look.description is None:
        return {"format": look.kind.name}
    blocks = [
        {
            "dims": block.dims,
            "coords": {name: coord_to_json(coord) for name, coord in block.coords.items()},
            "dtype": block.dtype.str,
            "attrs": dict(block.attrs),
        }
        for block in look.description.blocks
    ]
    return {"format": look.kind.name, "version": look.description.version, "blocks": blocks}


def _from_json(file: Found, said: Mapping[str, Any] | None) -> _Look | None:
    """Return what a file said, `None` where that must be asked again."""
    if said is None or (said.get("unclaimed") and file.named):
        return None
    try:
        if "unclaimed" in said:
            return file.url
        if "refused" in said:
            return Refusal(found=file, reason=said["refused"], kind=said["kind"])
        description = None
        if "blocks" in said:
            blocks = tuple(_block(block) for block in said["blocks"])
            description = Description(format=said["format"], version=said["version"], blocks=blocks)
        return Loose(found=file, kind=format_named(said["format"]), description=description)
    except (LookupError, TypeError, ValueError):
        return None


def _block(data: Mapping[str, Any]) -> Block:
    return Block(
        dims=tuple(data["dims"]),
        coords={name: coord_from_json(coord) for name, coord in data["coords"].items()},
        dtype=np.dtype(data["dtype"]),
        attrs=data["attrs"],
    )

"""From files to tasks: described, sorted into datasets and windows, nothing written yet."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from archive.errors import FormatError, InvalidInput
from archive.index.layout import check_dataset_name
from ingest.formats import FORMATS, format_named, identify, open_format
from ingest.gather import Loose, channel_groups, join_beside, join_channels
from ingest.naming import dataset_of, time_of
from ingest.sources import Found, open_source
from ingest.task import Refusal, TaskSource, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from archive.index.dataset import Dataset
    from ingest.ledger import Ledger

__all__ = ["IngestPlan", "Settings", "make_plan"]

_DESCRIBERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user decides about an ingest.

    Parameters
    ----------
    dataset
        Name for all of it; `None` names each acquisition by its fingerprint.
    codec
        `"pcodec"` or `"portable"`, for datasets that are new.
    format
        Name of the raw format, where it is not to be found out.
    options
        For the places of raw files, as fsspec takes them.
    """

    dataset: str | None = None
    codec: str = "pcodec"
    format: str | None = None
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestPlan:
    """What an ingest would do.

    Parameters
    ----------
    groups
        The sources of each task.
    datasets
        What is proposed for each dataset, by name.
    refusals
        Files that cannot be taken.
    ignored
        Files in folders that no format knows, by content or by name.
    known
        How many files the archive has already.
    samples
        Bytes of samples, raw.
    """

    groups: tuple[tuple[TaskSource, ...], ...]
    datasets: Mapping[str, Dataset]
    refusals: tuple[Refusal, ...]
    ignored: tuple[str, ...]
    known: int
    samples: int

    @property
    def sources(self) -> int:
        """Number of files to be read."""
        return sum(len(group) for group in self.groups)


@dataclass(frozen=True, slots=True)
class _Described:
    source: TaskSource
    datasets: Mapping[str, Dataset]
    window: tuple[str, int]
    samples: int


type _Look = Loose | Refusal | str


def make_plan(
    found: Sequence[Found],
    ledger: Ledger,
    settings: Settings,
    *,
    lives: Mapping[str, int] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> IngestPlan:
    """Return what an ingest of files would do; reads their headers.

    Parameters
    ----------
    ledger
        What the archive has: files under the same name with the same size and stamp are not opened.
    lives
        Incarnation of each dataset that is not in its first.
    advance
        Called for each file that has been looked at.

    Raises
    ------
    InvalidInput
        Two acquisitions were to go under one name.
    """
    if settings.dataset is not None:
        check_dataset_name(settings.dataset)
    fresh = [file for file in found if ledger.seen(file.url, file.size, file.stamp) is None]

    planner = _Planner(ledger, settings, lives or {}, advance)
    with ThreadPoolExecutor(_DESCRIBERS) as pool:
        looks = list(pool.map(planner.look, fresh))
        whole, joined = _gather([look for look in looks if isinstance(look, Loose)], fresh, looks)
        new = [file for file in joined if ledger.seen(file.url, file.size, file.stamp) is None]
        parts = {part.url for file in joined for part in file.parts}
        looks = [*whole, *(look for look in looks if not isinstance(look, Loose) and _url_of(look) not in parts)]
        looks += pool.map(planner.look, new)
    outcomes = [planner.propose(look) if isinstance(look, Loose) else look for look in looks]
    described = sorted((one for one in outcomes if isinstance(one, _Described)), key=lambda one: one.source.found.url)
    datasets: dict[str, Dataset] = {}
    for one in described:
        for name, dataset in one.datasets.items():
            held = datasets.setdefault(name, dataset)
            check_same(held, dataset)
    groups: dict[tuple[str, int], list[TaskSource]] = defaultdict(list)
    for one in described:
        groups[one.window].append(one.source)
    return IngestPlan(
        groups=tuple(tuple(groups[key]) for key in sorted(groups)),
        datasets=datasets,
        refusals=tuple(one for one in outcomes if isinstance(one, Refusal)),
        ignored=tuple(one for one in outcomes if isinstance(one, str)),
        known=len(found) - len(fresh) + len(parts - {part.url for file in new for part in file.parts}),
        samples=sum(one.samples for one in described),
    )


def check_same(held: Dataset, proposed: Dataset) -> None:
    """Raise unless two acquisitions are one.

    Raises
    ------
    InvalidInput
        They differ; the message says in what.
    """
    different = [
        f"{name}: {held.fingerprint.get(name)} and {proposed.fingerprint.get(name)}"
        for name in sorted({*held.fingerprint, *proposed.fingerprint})
        if held.fingerprint.get(name) != proposed.fingerprint.get(name)
    ]
    if different:
        raise InvalidInput(
            f"two acquisitions cannot share the name {held.name!r} ({'; '.join(different)}); "
            "leave out --dataset, or ingest them apart under two names"
        )


def _gather(loose: Sequence[Loose], found: Sequence[Found], looks: Sequence[_Look]) -> tuple[list[Loose], list[Found]]:
    """Return the files that are sources by themselves, and those that are made of several.

    Parameters
    ----------
    looks
        What came of the files of `found`, in their order; only those that no format claims lie beside another.
    """
    whole = [file for file in loose if not file.kind.by_channel and not file.kind.beside]
    groups = channel_groups(file for file in loose if file.kind.by_channel)
    whole += [group[0] for group in groups if len(group) == 1]
    joined = [join_channels(group) for group in groups if len(group) > 1]
    unclaimed = [file for file, look in zip(found, looks, strict=True) if not isinstance(look, Loose)]
    for head in loose:
        if head.kind.beside:
            pairs = join_beside(head, unclaimed)
            joined += pairs
            whole += [] if pairs else [head]
    return whole, joined


def _url_of(look: Refusal | str) -> str:
    return look if isinstance(look, str) else look.found.url


@dataclass(frozen=True, slots=True)
class _Planner:
    """What is known while files are looked at."""

    ledger: Ledger
    settings: Settings
    lives: Mapping[str, int]
    advance: Callable[[], None]

    def look(self, file: Found) -> _Look:
        """Return what a file says of itself, why it is refused, or its URL if nothing suggests that it is raw data."""
        try:
            with open_source(file, self.settings.options, digest=False) as opened:
                named = self.settings.format
                kind = format_named(named) if named else identify(opened.file, file.url)
                alone = kind.beside is not None and not file.parts
                description = None if alone else open_format(kind).describe(opened.file)
        except FormatError as error:
            suffix = PurePosixPath(file.url).suffix.lower()
            known = any(suffix in kind.suffixes for kind in FORMATS)
            return refusal_of(file, error) if file.named or known else file.url
        finally:
            if not file.parts:
                self.advance()
        return Loose(found=file, kind=kind, description=description)

    def propose(self, look: Loose) -> _Described | Refusal:
        """Return the datasets and the window of a source."""
        file, kind, description = look.found, look.kind, look.description
        if description is None:
            error = FormatError(f"{file.url}: no {kind.beside} file lies beside it; name its whole folder")
            return refusal_of(file, error)
        proposed: dict[str, Dataset] = {}
        names: list[str] = []
        for block in description.blocks:
            dataset = dataset_of(block, kind.name, name=self.settings.dataset, codec=self.settings.codec)
            dataset = dataset.reborn(self.lives.get(dataset.name, 1))
            names.append(dataset.name)
            check_same(proposed.setdefault(dataset.name, dataset), dataset)
        blocks = [block for block in description.blocks if block.shape[0]]
        if not blocks:
            return refusal_of(file, FormatError(f"{file.url}: holds no samples; set it aside"))
        home = proposed[names[description.blocks.index(blocks[0])]]
        earlier = self.ledger.earlier(file.url)
        return _Described(
            source=TaskSource(
                found=file,
                format=kind.name,
                datasets=tuple(names),
                copies=self.ledger.hashes_of_size(file.size),
                earlier=None if earlier is None else earlier.sha256,
            ),
            datasets=proposed,
            window=(home.name, time_of(blocks[0]).first // home.window),
            samples=sum(prod(block.shape) * block.dtype.itemsize for block in blocks),
        )

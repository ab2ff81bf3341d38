"""From files to tasks: described, sorted into datasets and windows, nothing written yet."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from archive.errors import FormatError, InvalidInput
from archive.index.layout import check_dataset_name
from ingest.formats import FORMATS, format_named, identify, open_format
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
    options: Mapping[str, Any] | None = field(default=None, repr=False)


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

    def look(file: Found) -> _Described | Refusal | str:
        try:
            return _describe(file, ledger, settings, lives or {})
        except FormatError as error:
            suffix = PurePosixPath(file.url).suffix.lower()
            known = any(suffix in kind.suffixes for kind in FORMATS)
            return refusal_of(file, error) if file.named or known else file.url
        finally:
            advance()

    with ThreadPoolExecutor(_DESCRIBERS) as pool:
        looks = list(pool.map(look, fresh))
    described = [look for look in looks if isinstance(look, _Described)]
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
        refusals=tuple(look for look in looks if isinstance(look, Refusal)),
        ignored=tuple(look for look in looks if isinstance(look, str)),
        known=len(found) - len(fresh),
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


def _describe(file: Found, ledger: Ledger, settings: Settings, lives: Mapping[str, int]) -> _Described:
    with open_source(file, settings.options, digest=False) as opened:
        kind = format_named(settings.format) if settings.format else identify(opened.file, file.url)
        description = open_format(kind).describe(opened.file)
    earlier = ledger.earlier(file.url)
    proposed: dict[str, Dataset] = {}
    names: list[str] = []
    for block in description.blocks:
        dataset = dataset_of(block, kind.name, name=settings.dataset, codec=settings.codec)
        dataset = dataset.reborn(lives.get(dataset.name, 1))
        names.append(dataset.name)
        check_same(proposed.setdefault(dataset.name, dataset), dataset)
    blocks = [block for block in description.blocks if block.shape[0]]
    if not blocks:
        raise FormatError(f"{file.url}: holds no samples; set it aside")
    home = proposed[names[description.blocks.index(blocks[0])]]
    return _Described(
        source=TaskSource(
            found=file,
            format=kind.name,
            datasets=tuple(names),
            copies=ledger.hashes_of_size(file.size),
            earlier=None if earlier is None else earlier.sha256,
        ),
        datasets=proposed,
        window=(home.name, time_of(blocks[0]).first // home.window),
        samples=sum(prod(block.shape) * block.dtype.itemsize for block in blocks),
    )

"""Results of processing as datasets of an archive: written once, and taken up where they stopped.

A part of a result is what a file is to an ingest: a source. It is one granule long, its content is named by the
hash of the samples, metadata and operations that it follows from, and the ledger knows it. So a second run computes
nothing, an interrupted one goes on, and where the samples that a part follows from have changed, the new part takes
its place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import FormatError, InvalidInput
from archive.identity import digest_of, operations_named
from archive.index.commits import DERIVED, Source
from archive.index.layout import check_dataset_name, new_granule_key
from archive.index.rows import SourceRange
from archive.model import Block
from archive.store import open_store
from archive.view import open_view
from ingest.encoders import encoders
from ingest.granule import GranuleContent, write_granule
from ingest.naming import check_same, dataset_of
from ingest.run import Committer, IngestReport, adopt, lives_of, read_ledger
from ingest.task import TaskResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archive.coords import TimeAxis
    from archive.index.dataset import Dataset
    from archive.model import Scalar
    from archive.processing import Derivation, Wish
    from archive.store import Store
    from ingest.index.ledger import Ledger

__all__ = ["derive"]

_NEVER_KEPT = ("history", "dataset")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A part of a result that makes one granule.

    Parameters
    ----------
    start, stop
        Samples of the whole result along time.
    url
        Its name in the ledger: operations, dataset, first and last stamp.
    sha256
        What it follows from.
    """

    derivation: Derivation
    dataset: Dataset
    start: int
    stop: int
    url: str
    sha256: str

    @property
    def time(self) -> TimeAxis:
        return self.derivation.axis.cut(self.start, self.stop)

    @property
    def nbytes(self) -> int:
        out = self.derivation.out
        return int(np.prod(self.dataset.widths)) * (self.stop - self.start) * out.dtype.itemsize


def derive(derivations: Sequence[Derivation], wish: Wish) -> tuple[str, ...]:
    """Write results into an archive, as far as they are not there, and return the names of their datasets.

    Raises
    ------
    InvalidInput
        An archive cannot keep such a result, or the name belongs to something else.
    NotFound
        There is no archive.
    StoreTrouble
        The store gave up; what was committed is safe, and the same call goes on from there.
    """
    store = open_store(wish.url, storage_options=wish.options)
    view = open_view(store)
    ledger = read_ledger(view)
    report, datasets = IngestReport(), dict[str, "Dataset"]()
    pieces: list[_Piece] = []
    for derivation in derivations:
        proposed = _proposed(derivation, wish)
        name = proposed.name
        if name not in datasets:
            born = lives_of(view).get(name, 1)
            datasets[name] = adopt(store, view, proposed.reborn(born))
        pieces.extend(_pieces(derivation, _checked(datasets[name], proposed)))
    committer = Committer(store, datasets, ledger, report)
    total, done = sum(piece.nbytes for piece in pieces), 0
    for piece in pieces:
        if ledger.seen(piece.url, piece.nbytes, piece.sha256) is None:
            committer.add(_written(store, piece, ledger))
            committer.flush()
            committer.fold_when_due()
        done += piece.nbytes
        wish.progress(done, total)
    if report.commits:
        committer.fold()
    return tuple(datasets)


def _checked(held: Dataset, proposed: Dataset) -> Dataset:
    check_same(held, proposed)
    return held


# -- what is to be written ---------------------------------------------------------------------------


def _block_of(derivation: Derivation) -> Block:
    """Return the result as a source would tell of it, time first."""
    out = derivation.out
    if out.dtype.kind not in "iuf":
        raise InvalidInput(f"an archive keeps integers and floats, not {out.dtype}; add abs() or real() to the chain")
    coords = {
        name: coord for name, coord in out.coords.items() if name == "time" or "time" not in coord.dims or coord.is_time
    }
    kept = {name: value for name, value in out.attrs.items() if name not in _NEVER_KEPT and _is_scalar(value)}
    given = derivation.patch.attrs.get("dataset")
    attrs: dict[str, Scalar] = {
        **kept,
        "derived_from": str(given or kept.get("derived_from") or "samples in memory"),
        "processing": " | ".join(str(one) for one in out.attrs.get("history", ())),
    }
    dims = ("time", *(dim for dim in out.dims if dim != "time"))
    return Block(dims=dims, coords=coords, dtype=out.dtype, attrs=attrs)


def _is_scalar(value: object) -> bool:
    return isinstance(value, (str, int, float, bool)) or value is None


def _proposed(derivation: Derivation, wish: Wish) -> Dataset:
    """Return the dataset of a result; its name and fingerprint say what was done."""
    block = _block_of(derivation)
    _ = derivation.axis  # an error where the result has none
    made = digest_of(operations_named(derivation.operations))[:16]
    try:
        plain = dataset_of(block, "process", name="process", codec=wish.codec)
    except FormatError as error:
        raise InvalidInput(f"an archive cannot keep this result: {error}") from error
    fingerprint = {**plain.fingerprint, "derived_from": block.attrs["derived_from"], "operations": made}
    name = wish.dataset
    if name is None:
        digest = digest_of(fingerprint)[:8]
        stem = str(derivation.patch.attrs.get("dataset") or "process")[:80]
        name = f"{stem}-{float(10**9 / plain.step):g}hz-{digest}"
    return replace(plain, name=check_dataset_name(name), fingerprint=fingerprint)


def _pieces(derivation: Derivation, dataset: Dataset) -> list[_Piece]:
    """Return the parts of a result, one for each window of the dataset that it touches."""
    axis, window = derivation.axis, dataset.window
    if not axis.size:
        return []
    lines = range(-(-(axis.first + 1) // window) * window, axis.last + 1, window)
    cuts = sorted({0, *(axis.find(line) for line in lines), axis.size})
    recipe = dataset.fingerprint.get("operations", "")
    made = []
    for start, stop in pairwise(cuts):
        url = f"lightkeep-process:{recipe}/{dataset.name}/{axis.at(start)}-{axis.at(stop - 1)}"
        sha256 = digest_of([dataset.name, derivation.identity(derivation.along_time(start, stop))])
        made.append(_Piece(derivation=derivation, dataset=dataset, start=start, stop=stop, url=url, sha256=sha256))
    return made


# -- writing -----------------------------------------------------------------------------------------


def _written(store: Store, piece: _Piece, ledger: Ledger) -> TaskResult:
    """Compute a part of a result, put its granule, and return the row that a commit makes visible."""
    derivation, dataset = piece.derivation, piece.dataset
    target = derivation.along_time(piece.start, piece.stop)
    samples = np.moveaxis(derivation.samples(target), derivation.out.dims.index("time"), 0)
    source = Source(
        url=piece.url,
        size=piece.nbytes,
        stamp=piece.sha256,
        sha256=piece.sha256,
        format=DERIVED,
        version="1",
        dataset=dataset.name,
    )
    replaced = _stale(piece, ledger)
    outline = derivation.out.cut(target)
    recorded = {
        name: coord.to_numpy().astype("datetime64[ns]").astype(np.int64)
        for name, coord in outline.coords.items()
        if coord.dims == ("time",) and name != "time" and coord.is_time
    }
    attrs = _block_of(derivation).attrs
    differ = {name: attrs.get(name) for name in {*attrs, *dataset.attrs} if attrs.get(name) != dataset.attrs.get(name)}
    content = GranuleContent(
        samples=np.ascontiguousarray(samples),
        time=piece.time,
        sources=(SourceRange(piece.sha256, 0, 0, piece.stop - piece.start),),
        recorded=recorded,
        attrs=differ,
        headers={piece.sha256: json.loads(json.dumps(_provenance(piece)))},
        files=(source,),
        supersedes=tuple(sorted(replaced)),
    )
    key = new_granule_key(dataset.name, piece.time.first)
    result = TaskResult(replaced=replaced)  # begun with the first request, not with the computing
    row = write_granule(store, dataset, content, key=key, mapped=encoders().map)
    return replace(result, rows=(row,), sources=(replace(source, rows=(row.id,)),))


def _stale(piece: _Piece, ledger: Ledger) -> frozenset[str]:
    """Return the contents that this part takes the place of: results of the same recipe within its times."""
    prefix, _, _ = piece.url.rpartition("/")
    first, last = piece.time.first, piece.time.last
    stale = set()
    for source in ledger.sources():
        if source.sha256 == piece.sha256 or not source.url.startswith(f"{prefix}/"):
            continue
        begin, _, end = source.url.rpartition("/")[2].partition("-")
        if first <= int(begin) and int(end) <= last:
            stale.add(source.sha256)
    return frozenset(stale)


def _provenance(piece: _Piece) -> dict[str, Any]:
    """Return what the granule says of where it comes from."""
    attrs = _block_of(piece.derivation).attrs
    operations: list[Any] = operations_named(piece.derivation.operations)
    return {
        "derived_from": attrs["derived_from"],
        "processing": attrs["processing"],
        "operations": operations,
        "follows_from": piece.sha256,
    }

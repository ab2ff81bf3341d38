"""What the trials share: small recordings whose samples are known, and what an archive says that it holds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from small import rows_of

import archive as lk
from archive.store import Store, open_store
from ingest.checking.verify import verify
from ingest.index.fold import FoldPace, fold
from ingest.index.ledger import read_segments
from ingest.index.swap import read_current
from ingest.synthetic.vendor import Header, write_prodml

if TYPE_CHECKING:
    import pytest
    from numpy.typing import NDArray


START = 1_700_000_000 * 10**9  # ns
STEP = 10**7  # ns: 100 Hz
SAMPLES, CHANNELS = 60, 3
TOGETHER = 3  # files that follow each other; the next three begin days later, in another window
APART = 10 * 86_400 * 10**9  # ns

type Held = dict[int, bytes]
"""One row of samples for each stamp (ns): the truth, or what an archive gives."""


@dataclass(frozen=True)
class Place:
    """Where an archive is, in a form that another process can be given."""

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def store(self, **more: Any) -> Store:
        return open_store(self.url, storage_options={**self.options, **more} or None)

    def open(self, as_of: int | str | None = None) -> lk.Spool:
        return lk.open(self.url, as_of=as_of, storage_options=dict(self.options) or None)


def begin(number: int) -> int:
    """Return the first stamp (ns) of a file."""
    return START + number // TOGETHER * APART + number % TOGETHER * SAMPLES * STEP


def stamps(number: int) -> list[int]:
    return [begin(number) + sample * STEP for sample in range(SAMPLES)]


def samples(number: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng([number, seed]).integers(-999, 999, (SAMPLES, CHANNELS)).astype("i2")


def write(folder: Path, number: int, seed: int = 0) -> str:
    """Write one file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:03d}.h5"
    write_prodml(path, samples(number, seed), Header(start=begin(number), rate=1e9 / STEP))
    return str(path)


def truth(numbers: Iterable[int], seed: int = 0) -> Held:
    """Return the samples of files."""
    return {
        stamp: row.tobytes()
        for number in numbers
        for stamp, row in zip(stamps(number), samples(number, seed), strict=True)
    }


def seen(spool: lk.Spool) -> Held:
    """Return every sample that a Spool gives; none may come twice."""
    held: Held = {}
    for patch in spool:
        times = patch.coords["time"].to_numpy().astype("M8[ns]").astype(np.int64).tolist()
        rows = [row.tobytes() for row in np.ascontiguousarray(patch.data)]
        assert len(times) == len(rows)
        assert held.keys().isdisjoint(times), "a sample was read twice"
        assert len(set(times)) == len(times), "a sample was read twice"
        held.update(zip(times, rows, strict=True))
    return held


def held(place: Place, as_of: int | str | None = None) -> Held:
    return seen(place.open(as_of))


def contents(place: Place) -> set[str]:
    """Return the contents of the ledger, which lists each name of each of them once, and nothing that is not there."""
    store = place.store()
    listed = read_segments(store, read_current(store).snapshot.ledger)
    twice = [name for name, count in Counter((source.url, source.sha256) for source in listed).items() if count > 1]
    assert not twice, f"listed twice: {twice}"
    stored = {source.sha256 for row in rows_of(place.store()) for source in row.sources}
    found = {source.sha256 for source in listed}
    assert found <= stored, "the ledger lists what is not stored"
    return found


def assert_sound(place: Place) -> None:
    """Everything that the index needs is there, with the checksum that was recorded."""
    report = verify(place.store(), "full")
    assert not report.damaged, [str(finding) for finding in report.findings if finding.damage]


def assert_stored_once(place: Place) -> None:
    """No sample is stored in two live granules."""
    rows = rows_of(place.store())
    times = Counter((row.dataset, stamp) for row in rows for stamp in row.time.to_ns().tolist())
    assert max(times.values(), default=1) == 1, "a sample is stored twice"


def settle(place: Place) -> None:
    """Fold until nothing is young."""
    store = place.store()
    while store.entries("commits/"):
        fold(store)


def digest_of(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def leave_young(patch: pytest.MonkeyPatch) -> None:
    """Have writers of this process end before they fold, as they may."""
    for name in ("fold", "fold_when_due"):
        patch.setattr(FoldPace, name, lambda _: None)

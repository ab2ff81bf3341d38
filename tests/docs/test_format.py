"""The page on the on-store format says enough: a reader written from it alone reads what went in."""

from __future__ import annotations

import importlib.util
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frame_sets import KINDS, astropy_pixels, new_archive, write_set
from small import commits_of

from archive.times import time_to_ns
from ingest.index.fold import fold
from ingest.keeping.compact import compact
from ingest.run import ingest
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/format.md").read_text()
READER = Path(__file__).with_name("independent_reader.py")
START = time_to_ns("2016-03-14T08:00:00")
CHANNELS = 300  # three inner chunks wide
spec = importlib.util.spec_from_file_location("independent_reader", READER)
assert spec is not None
assert spec.loader is not None
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)


def write(folder: Path, number: int, first: int, size: int = 500) -> Any:
    """Write `size` samples from sample `first` on; each is told by its place, so overlaps agree."""
    folder.mkdir(exist_ok=True)
    times, channels = np.arange(first, first + size)[:, None], np.arange(CHANNELS)
    samples = (times * 7919 + channels * 104729) % 4001 - 2000
    write_prodml(
        folder / f"{number}.h5",
        samples.astype("i2"),
        Header(start=START + first * 10**9 // 300, rate=300.0, spacing=2.5),
    )
    return samples.astype("i2")


def stamps_of(first: int, start: int, stop: int) -> Any:
    """Return stamps of a file's samples: PRODML tells its first in microseconds, the others follow at 300 Hz."""
    begin = (START + first * 10**9 // 300 + 500) // 1000 * 1000
    return np.array([begin + round(Fraction(i * 10**9, 300)) for i in range(start, stop)])


def test_the_reader_knows_nothing_of_lightkeep() -> None:
    imported = set(re.findall(r"^(?:from|import) (\w+)", READER.read_text(), re.MULTILINE))
    allowed = {"numpy", "pyarrow", "numcodecs"}
    assert {name for name in imported if name not in sys.stdlib_module_names} <= allowed


@pytest.mark.parametrize("codec", ["pcodec", "portable"])
@pytest.mark.parametrize("compacted", [False, True])
def test_samples_and_stamps_are_those_of_the_files(tmp_path: Path, codec: str, *, compacted: bool) -> None:
    """Folded and young rows, an overlap, a gap, a rate that is no whole number of nanoseconds."""
    store = new_archive(str(tmp_path / "archive"))
    raw, settings = tmp_path / "raw", Settings(dataset="fibre", codec=codec)
    first = [write(raw, 0, 0), write(raw, 1, 500)]
    ingest(store, [str(raw)], settings)
    write(raw, 2, 700)  # 300 of its samples are there
    ingest(store, [str(raw)], settings)
    if compacted:
        compact(store)
    late = tmp_path / "late"
    second = write(late, 3, 5000)
    whole = np.concatenate([*first, write(tmp_path / "other", 9, 1000, 200)])
    for commit in commits_of(store, late / "3.h5"):
        store.create(commit.key, commit.encode())
    held = reader.Reader(tmp_path / "archive")
    assert len(held.commits) == 1
    names = sorted(held.datasets())
    runs = [run for name in names for run in held.runs(name)]
    runs.sort(key=lambda run: int(run[0][0]))
    served = [((0, 0, 500), (500, 0, 500), (700, 300, 500)), ((5000, 0, 500),)]  # of each file, the samples
    assert len(runs) == 2
    for (stamps, samples), parts, truth in zip(runs, served, (whole, second), strict=True):
        np.testing.assert_array_equal(samples, truth)
        np.testing.assert_array_equal(stamps, np.concatenate([stamps_of(*part) for part in parts]))
    distance = reader.coordinate(held.datasets()["fibre"]["coords"]["distance"])
    np.testing.assert_array_equal(distance, np.arange(CHANNELS) * 2.5)
    assert fold(store)
    assert len(reader.Reader(tmp_path / "archive").commits) == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "float64" not in kind and "rows" not in kind])
@pytest.mark.filterwarnings("ignore")
def test_pixels_and_headers_of_frames_are_those_of_the_files(tmp_path: Path, kind: str) -> None:
    raw = tmp_path / "raw"
    paths = write_set(raw, kind)[:4]
    store = new_archive(str(tmp_path / "archive"))
    ingest(store, [str(path) for path in paths])
    held = reader.Reader(tmp_path / "archive")
    (name,) = held.datasets()
    frames, heads = held.frames(name), held.heads(name)
    assert sorted(frames) == sorted(path.name for path in paths)
    for path in paths:
        np.testing.assert_array_equal(frames[path.name], astropy_pixels(path))
        assert path.read_bytes().startswith(heads[path.name])
        assert b"DATE-AVG" in heads[path.name]


def test_damage_is_noticed(tmp_path: Path) -> None:
    store = new_archive(str(tmp_path / "archive"))
    write(tmp_path / "raw", 0, 0)
    ingest(store, [str(tmp_path / "raw")], Settings(dataset="fibre"))
    (data,) = (tmp_path / "archive/data/fibre").glob("*.zarr/data/c/0/0")
    data.chmod(0o644)
    body = bytearray(data.read_bytes())
    body[1000] ^= 4
    data.write_bytes(body)
    with pytest.raises(AssertionError):
        reader.Reader(tmp_path / "archive").runs("fibre")


def test_the_page_names_every_member_that_is_stored(tmp_path: Path) -> None:
    """A field that is added to the format must be added to the page."""
    store = new_archive(str(tmp_path / "archive"))
    write(tmp_path / "raw", 0, 0)
    ingest(store, [str(tmp_path / "raw")], Settings(dataset="fibre"))
    write(tmp_path / "late", 1, 500)
    for commit in commits_of(store, tmp_path / "late/1.h5"):
        store.create(commit.key, commit.encode())
    root = tmp_path / "archive"
    current, (commit,) = reader.sealed(root, "index/CURRENT"), reader.Reader(root).commits
    (granule, *_) = (root / "data/fibre").glob("*.zarr")
    said = reader.signed(root, str(granule.relative_to(root) / "zarr.json"))["attributes"]["lightkeep"]
    row = commit["rows"][0]
    held = [current, current["leaves"], current["datasets"][0], commit, row, row["data"], commit["sources"][0], said]
    held.append(current["ledger"][0])
    names = {name for one in held for name in one}
    import pyarrow.parquet as pq

    for leaf in current["leaves"]["key"]:
        names |= set(pq.read_schema(root / leaf).names)
    named = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    assert names - named == set()

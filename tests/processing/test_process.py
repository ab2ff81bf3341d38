"""spool.process: chunked equals whole whatever lies in between, kept once, taken up where it stopped."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import START

import archive as lk
from archive import operations as do
from archive.errors import InvalidInput, NotFound, StoreTrouble
from archive.store import open_store
from archive.view import ALWAYS
from ingest import derive
from ingest.checking.verify import verify
from ingest.initialise import initialise
from ingest.keeping.compact import compact
from ingest.run import ingest
from ingest.synthetic.vendor import Header, write_prodml

RATE, CHANNELS, PER_FILE = 100.0, 6, 500
CHAINS: dict[str, list[Any]] = {
    "low": [do.detrend("time"), do.pass_filter(time=(..., 2)), do.decimate(time=20, filter_type=None)],
    "band": [do.pass_filter(time=(1, 20)), do.differentiate("time")],
    "local": [do.median_filter(time=0.05), do.abs()],
    "mean": [do.demean("time"), do.rolling(time=1).mean(), do.fillna(0.0)],
}


def signal(first: int, count: int) -> np.ndarray[Any, Any]:
    """Return counts that depend on the sample number alone, with a drift for `detrend`."""
    numbers = np.arange(first, first + count)[:, None]
    noise = np.random.default_rng(7).normal(0, 300, (100_000, CHANNELS))[first : first + count]
    return (noise + 0.05 * numbers + 900 * np.sin(numbers / 40 + np.arange(CHANNELS))).astype(np.int16)


def put(folder: Path, number: int, *, late: float = 0.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    start = START + round((number * PER_FILE / RATE + late) * 1e9)
    header = Header(start=start, rate=RATE, spacing=2.0, instrument="unit")
    return write_prodml(folder / f"{number:03}.h5", signal(number * PER_FILE, PER_FILE), header)


def archive_in(folder: Path) -> str:
    """Return an archive of files 0 to 3 and 6 to 8: a gap of two files, and a granule of each."""
    initialise(open_store(folder / "archive"))
    for number in (0, 1, 2, 3, 6, 7, 8):
        ingest(open_store(folder / "archive"), [str(put(folder / "raw", number))])
    return str(folder / "archive")


@pytest.fixture(scope="module")
def shared_archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    return archive_in(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def places(shared_archive: str, tmp_path: Path) -> tuple[str, str]:
    """An archive that no test changes, and an empty one for results."""
    initialise(open_store(tmp_path / "results"))
    return shared_archive, str(tmp_path / "results")


@pytest.fixture
def own_places(tmp_path: Path) -> tuple[str, str]:
    """An archive that a test may change, and an empty one for results."""
    initialise(open_store(tmp_path / "results"))
    return archive_in(tmp_path), str(tmp_path / "results")


def wholes(spool: lk.Spool, chain: list[Any]) -> list[lk.Patch]:
    """Return what the chain makes of each run when it is all in memory."""
    made = []
    for patch in spool:
        result = patch.load()
        for one in chain:
            result = one(result)
        made.append(result)
    return made


def assert_close(one: lk.Patch, other: lk.Patch, size: float) -> None:
    other = other.transpose(*one.dims)
    assert one.shape == other.shape
    assert np.array_equal(one.get_array("time"), other.get_array("time"))
    np.testing.assert_allclose(one.data, other.data, rtol=0, atol=3e-6 * size)


@pytest.mark.parametrize("name", list(CHAINS))
@pytest.mark.parametrize("memory", [60_000, 1 << 28])
def test_the_parts_put_together_are_the_whole(name: str, memory: int, places: tuple[str, str]) -> None:
    spool, chain = lk.open(places[0]), CHAINS[name]
    size = max(float(np.abs(patch.data).max()) for patch in spool)
    parts = spool.process(chain, memory=memory)
    assert not any(patch.loaded for patch in parts._patches)
    for merged, whole in zip(parts.chunk(time=None), wholes(spool, chain), strict=True):
        assert_close(merged, whole, size)
    assert len(parts) == 2 or memory < 1 << 28


@pytest.mark.parametrize("name", list(CHAINS))
def test_what_is_kept_is_the_whole_gaps_and_all(
    name: str, places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.naming.TARGET_BYTES", 1 << 12)  # windows of a few seconds: many granules of the result
    spool, chain = lk.open(places[0]), CHAINS[name]
    size = max(float(np.abs(patch.data).max()) for patch in spool)
    kept = spool.process(chain, out=places[1], memory=100_000)
    assert len(kept) == 2
    for stored, whole in zip(kept, wholes(spool, chain), strict=True):
        assert_close(stored, whole, size)
        assert stored.coords["distance"] == whole.coords["distance"]
        assert stored.attrs.get("data_units") == whole.attrs.get("data_units")


def test_a_result_says_where_it_comes_from(places: tuple[str, str]) -> None:
    kept = lk.open(places[0]).process(CHAINS["low"], out=places[1])
    attrs = kept[0].attrs
    assert attrs["derived_from"] == lk.open(places[0]).datasets[0]
    assert "pass_filter" in attrs["processing"]
    assert "decimate" in attrs["processing"]
    (name,) = kept.datasets
    assert name.startswith(attrs["derived_from"])
    assert "5hz" in name
    assert lk.open(places[1], dataset=name)[0].equals(kept[0])
    assert lk.open(places[0]).datasets == (attrs["derived_from"],)  # the source is as it was


def counted(monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> list[str]:
    """Count the parts that are computed; fail before one of them."""
    done: list[str] = []
    real = derive._written

    def written(store: Any, piece: Any, ledger: Any) -> Any:
        if len(done) == fail_at:
            raise StoreTrouble("the network is gone")
        done.append(piece.url)
        return real(store, piece, ledger)

    monkeypatch.setattr(derive, "_written", written)
    return done


def test_a_second_call_computes_nothing_and_an_interrupted_one_goes_on(
    own_places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = own_places
    monkeypatch.setattr("ingest.naming.TARGET_BYTES", 1 << 12)
    spool, chain = lk.open(places[0]), CHAINS["band"]
    with monkeypatch.context() as patched:
        first = counted(patched, fail_at=3)
        with pytest.raises(StoreTrouble):
            spool.process(chain, out=places[1])
    assert len(first) == 3
    with monkeypatch.context() as patched:
        second = counted(patched)
        kept = spool.process(chain, out=places[1])
    assert second
    assert not set(first) & set(second)
    for stored, whole in zip(kept, wholes(spool, chain), strict=True):
        assert_close(stored, whole, 1e5)
    with monkeypatch.context() as patched:
        third = counted(patched)
        assert spool.process(chain, out=places[1]) == kept
    assert third == []
    compact(open_store(places[0]))  # other granules, the same samples
    with monkeypatch.context() as patched:
        fourth = counted(patched)
        assert lk.open(places[0]).process(chain, out=places[1]) == kept
    assert fourth == []


@pytest.mark.parametrize("name", ["band", *(pytest.param(name, marks=pytest.mark.prove) for name in ("low", "local"))])
def test_new_data_are_added_and_what_they_change_is_replaced(
    name: str, own_places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files close the gap, so that its edges are none any more, and one comes at the end."""
    monkeypatch.setattr("ingest.naming.TARGET_BYTES", 1 << 12)
    places, chain = own_places, CHAINS[name]
    lk.open(places[0]).process(chain, out=places[1])
    raw = Path(places[0]).parent / "raw"
    ingest(open_store(places[0]), [str(put(raw, number)) for number in (4, 5, 9)])
    spool = lk.open(places[0])
    assert len(spool) == 1
    with monkeypatch.context() as patched:
        again = counted(patched)
        kept = spool.process(chain, out=places[1])
    assert len(kept) == 1
    assert_close(kept[0], wholes(spool, chain)[0], 1e5)
    if name == "local":  # no statistics of the run, and a short halo: the rest stays
        assert len(again) < sum(len(table.spans) for table in kept.root.view.tables(None, *ALWAYS))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    length=st.integers(100, 3000),  # a second at least, over which a chain takes the mean
    memory=st.sampled_from([60_000, 120_000, 1 << 24]),
    window=st.sampled_from([1 << 10, 1 << 14, 1 << 24]),
    name=st.sampled_from(sorted(CHAINS)),
    turned=st.booleans(),
)
def test_any_length_in_any_blocks_is_the_whole(length: int, memory: int, window: int, name: str, turned: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ingest.naming.TARGET_BYTES", window)
        coords = {"time": np.datetime64(START, "ns") + np.arange(length) * np.timedelta64(10, "ms")}
        coords["distance"] = np.arange(CHANNELS) * 2.0
        patch = lk.Patch(signal(0, length).astype("f8"), coords, ("time", "distance"), {"tag": "x"})
        patch = patch.transpose() if turned else patch
        url = f"memory://process-{length}-{memory}-{window}-{name}-{turned}"
        store = open_store(url)
        if not lk_there(url):
            initialise(store)
        kept = lk.spool([patch]).process(CHAINS[name], out=url, memory=memory)
        assert_close(kept[0], wholes(lk.spool([patch]), CHAINS[name])[0], float(np.abs(patch.data).max()))


def lk_there(url: str) -> bool:
    try:
        lk.open(url)
    except NotFound:
        return False
    return True


def test_parts_travel_to_other_processes_with_their_statistics(places: tuple[str, str]) -> None:
    part = lk.open(places[0]).process(CHAINS["low"])[0]
    there = pickle.loads(pickle.dumps(part))
    assert np.array_equal(there.data, part.data)
    assert np.array_equal(part.select(time=(3, 9), samples=True).data, part.data[3:9])


def test_parts_are_cut_before_anything_is_computed(places: tuple[str, str]) -> None:
    spool = lk.open(places[0])
    (whole, _), (part, _) = wholes(spool, CHAINS["local"]), spool.process(CHAINS["local"])
    cut = part.select(distance=slice(1, 4), time=slice(150, 1300), samples=True).select(time=(2.0, -3.0), relative=True)
    assert not cut.loaded
    wanted = whole.select(distance=slice(1, 4), time=slice(150, 1300), samples=True)
    wanted = wanted.select(time=(2.0, -3.0), relative=True)
    assert 0 < cut.shape[0] < 1300
    np.testing.assert_array_equal(cut.data, wanted.data)
    assert cut.select(time=slice(0, 0), samples=True).data.shape == (0, 3)
    plans = [lk.spool([one]).explain() for one in (spool[0], part)]
    assert plans[1].requests == plans[0].requests > 0


def test_a_bar_tells_how_far_the_keeping_is(places: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    kept = lk.open(places[0]).process(CHAINS["local"], out=places[1], progress=True)
    assert len(kept) == 2
    told = capsys.readouterr().out
    assert "process" in told
    assert "100%" in told


def test_a_dataset_of_results_is_sound_and_its_provenance_is_in_each_granule(places: tuple[str, str]) -> None:
    kept = lk.open(places[0]).process(CHAINS["low"], out=places[1], dataset="slow")
    assert kept.datasets == ("slow",)
    store = open_store(places[1])
    assert not verify(store, mode="full").findings
    assert not verify(store, mode="full", sources=True).findings
    roots = [entry.key for entry in store.entries("data/slow") if entry.key.endswith(".zarr/zarr.json")]
    told = [json.loads(bytes(store.get(key).data))["attributes"]["headers"] for key in roots]
    (header,) = told[0].values()
    assert header["operations"][1][0] == type(CHAINS["low"][1]).__name__
    assert header["derived_from"] == lk.open(places[0]).datasets[0]


def test_what_cannot_be_processed_is_refused_before_anything_is_read(places: tuple[str, str], tmp_path: Path) -> None:
    spool = lk.open(places[0])
    cases: list[tuple[Any, str]] = [
        ([do.dft("time")], "needs all of time at once"),
        ([do.taper(time=0.05)], "needs all of time at once"),
        (["detrend"], "takes operations"),
        ([], "takes operations"),
        ([do.hilbert("distance")], "integers and floats"),
    ]
    for chain, said in cases:
        with pytest.raises(InvalidInput, match=said):
            spool.process(chain, out=places[1])
    with pytest.raises(InvalidInput, match="no samples"):
        spool.select(time=("1990", "1991")).process(CHAINS["band"], out=places[1])
    with pytest.raises(NotFound):
        spool.process(CHAINS["band"], out=str(tmp_path / "nothing"))
    spool.process(CHAINS["band"], out=places[1], dataset="mine")
    with pytest.raises(InvalidInput, match="cannot share the name"):
        spool.process(CHAINS["low"], out=places[1], dataset="mine")
    assert all(not patch.loaded for patch in spool._patches)


def test_data_before_the_start_shift_the_samples_of_a_decimation_and_none_of_the_old_stay(tmp_path: Path) -> None:
    for name in ("archive", "results"):
        initialise(open_store(tmp_path / name))
    archive, results = str(tmp_path / "archive"), str(tmp_path / "results")
    ingest(open_store(archive), [str(put(tmp_path / "raw", number)) for number in (1, 2, 3)])
    chain = [do.decimate(time=30)]  # 500 samples are no multiple of it
    old = lk.open(archive).process(chain, out=results)[0].get_array("time")
    ingest(open_store(archive), [str(put(tmp_path / "raw", 0))])
    kept = lk.open(archive).process(chain, out=results)
    assert not set(old) & set(kept[0].get_array("time"))
    assert len(kept) == 1
    assert_close(kept[0], wholes(lk.open(archive), chain)[0], 1e5)

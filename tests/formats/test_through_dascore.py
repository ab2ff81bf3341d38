"""Formats that only DASCore reads, by their name there: `dascore:NAME`."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

import archive as lk
from archive.errors import FormatError, InvalidInput, MissingExtra, NotFound
from archive.store import open_store
from archive.testing import NamedFile
from archive.units import get_quantity
from ingest.checking.verify import verify
from ingest.formats import format_named, identify, open_format
from ingest.formats.through_dascore import DascoreReader
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize(("name", "theirs"), [("prodml", "PRODML"), ("tdms", "TDMS"), ("ap_sensing", "APSENSING")])
def test_dascore_and_our_own_reader_give_the_same(make_sample: Any, name: str, theirs: str) -> None:
    sample, reader = make_sample(name), open_format(format_named(f"dascore:{theirs}"))
    own = open_format(format_named(name))
    block, other = reader.describe(sample.open()).blocks[0], own.describe(sample.open()).blocks[0]
    assert reader.describe(sample.open()).format == f"dascore:{theirs}"
    assert block.dims == other.dims
    assert np.abs(block.coords["time"].to_numpy() - other.coords["time"].to_numpy()).max() < np.timedelta64(1, "us")
    window = (slice(10, 50), slice(3, 9))
    np.testing.assert_array_equal(reader.read(sample.open(), 0, window), own.read(sample.open(), 0, window))


def uptech(path: Path) -> NDArray[Any]:
    """Write a file to the layout that DASCore knows as UPTECH_H5."""
    samples = np.random.default_rng(8).normal(size=(300, 24)).astype("f4")
    with h5py.File(path, "w") as root:
        root["Acquisition/StrainRate"] = samples
        root["Acquisition/Time"] = 1.7e9 + np.arange(300) / 250
        root["Acquisition/StrainRate"].attrs.update(
            {
                "acquisition_frequency": 250.0,
                "fiber_length": 48.0,
                "gauge_length": 4.0,
                "sampling_interval": 2.0,
                "spatial_resolution": 4.0,
            }
        )
    return samples


@pytest.mark.slow
def test_a_format_that_only_dascore_reads_comes_into_an_archive(tmp_path: Path) -> None:
    samples, url = uptech(tmp_path / "shot.h5"), str(tmp_path / "archive")
    with (tmp_path / "shot.h5").open("rb") as file, pytest.raises(FormatError, match="no vendor that is known"):
        identify(file)
    store = open_store(url)
    initialise(store)
    settings = Settings(format="dascore:UPTECH_H5")
    assert ingest(store, [str(tmp_path / "shot.h5")], settings).sources == 1
    assert ingest(store, [str(tmp_path / "shot.h5")], settings).known == 1
    (patch,) = lk.open(url)
    np.testing.assert_array_equal(patch.data, samples)
    assert patch.coords["time"].to_numpy()[0] == np.datetime64(1_700_000_000, "s")
    assert patch.coords["distance"].to_numpy()[-1] == 46
    assert get_quantity(str(patch.attrs["data_units"])) == get_quantity("1/s")
    assert patch.attrs["gauge_length"] == 4
    assert not verify(store, sources=True).findings


def test_readers_that_unpickle_are_refused() -> None:
    for name in ("PICKLE", "DASDAE", "H5SIMPLE"):
        with pytest.raises(InvalidInput, match="unpickle"):
            open_format(format_named(f"dascore:{name}"))


def test_a_name_that_dascore_does_not_know_is_answered_with_those_that_it_does() -> None:
    with pytest.raises(NotFound, match="DASVADER"):
        open_format(format_named("dascore:NOPE"))


def test_a_file_of_another_kind_is_refused_and_never_unpickled() -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("unpickled",)

    for content in (b"", b"text", pickle.dumps(Trap())):
        for name in ("FEBUS", "TDMS", "DASVADER"):
            with pytest.raises(FormatError, match="DASCore cannot read it"):
                open_format(format_named(f"dascore:{name}")).describe(NamedFile(content, "s3://bucket/night.bin"))


def test_without_dascore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dascore.io.core", None)
    with pytest.raises(MissingExtra, match=r"lightkeep\[dascore\]"):
        open_format(format_named("dascore:DASVADER"))


def test_readers_of_one_name_are_the_same_and_claim_no_file() -> None:
    one, again, other = (DascoreReader(name) for name in ("TDMS", "TDMS", "PRODML"))
    assert one == again
    assert len({one, again, other}) == 2
    assert one.sniff(NamedFile(b"TDSm" + bytes(100), "a.tdms")) is None


def test_what_dascore_only_writes_is_not_read() -> None:
    with pytest.raises(NotFound, match="dascore:WAV: DASCore writes this format, and does not read it"):
        open_format(format_named("dascore:WAV"))


def test_a_header_is_json_and_a_block_that_a_file_has_not_is_named(tmp_path: Path) -> None:
    uptech(tmp_path / "shot.h5")
    reader = open_format(format_named("dascore:UPTECH_H5"))
    with h5py.File(tmp_path / "shot.h5", "r+") as root:
        root["Acquisition/StrainRate"].attrs["gauge_length"] = float("nan")
    with (tmp_path / "shot.h5").open("rb") as file:
        (header,) = reader.describe(file).header["patches"]
        assert header["gauge_length"] is None  # JSON has no such number
        with pytest.raises(InvalidInput, match="block 1: the file holds 1, counted from 0"):
            reader.read(file, 1, ())

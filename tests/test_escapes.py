"""What names, headers, hostile archives and raw files cannot reach: nothing but what is theirs."""

from __future__ import annotations

import io
import json
import resource
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from small import START, commits_of, raw, samples, state

import archive as lk
from archive.errors import InvalidInput, LightkeepError, NotFound
from archive.index import layout
from archive.store import open_store
from ingest.formats import format_named, open_format
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.synthetic.vendor import Header, write_tdms

# -- what names cannot reach ------------------------------------------------------------------------

ESCAPES = [
    "..",
    "../up",
    "a/../../up",
    "/etc/passwd",
    "//etc/passwd",
    "a//b",
    "./a",
    "a/.",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "\ud800",
    "",
]
TRICKS = [
    "%2e%2e/up",
    "..%2fup",
    "%2e%2e%2fup",
    "..\\up",
    "a%00b",
    "%252e%252e%252fup",
    "\uff0e\uff0e/up",  # fullwidth full stops
    "\u2025/up",  # two dot leader
    "..\u2215up",  # division slash
    "..\u200b/up",  # zero-width space
    "\u202e/up",  # right-to-left override
    "C:/up",
]


@pytest.mark.parametrize("name", [*ESCAPES, *TRICKS, "a/b", ".hidden", "a..b", "-a", "é", "a" * 129, "a b"])
def test_no_dataset_has_a_name_that_is_more_than_a_name(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a dataset"):
        layout.check_dataset_name(name)
    with pytest.raises(InvalidInput, match="cannot name a dataset"):
        layout.dataset_key(name)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_no_key_leads_out_of_the_store(kind: str, s3_options: dict[str, Any], tmp_path: Path) -> None:
    """What is refused is refused before anything is asked; what is allowed is a plain name, whatever it looks like."""
    prefix = secrets.token_hex(6)
    url = str(tmp_path / prefix / "in") if kind == "folder" else f"s3://archive/{prefix}/in"
    given = {} if kind == "folder" else s3_options
    store = open_store(url, storage_options=given)
    around = open_store(url.removesuffix("/in"), storage_options=given)
    store.create("a", b"mine")
    around.create("up", b"theirs")
    for key in ESCAPES:
        for ask in (store.get, lambda key: store.create(key, b"x"), lambda key: store.delete([key])):
            with pytest.raises(InvalidInput, match="not a key"):
                ask(key)
    kept = []
    for key in TRICKS:
        with pytest.raises((NotFound, LightkeepError)) as caught:
            store.get(key)
        assert b"theirs" not in str(caught.value).encode()
        try:
            store.create(key, b"x")
        except LightkeepError:
            continue
        kept.append(key)
        assert bytes(store.get(key).data) == b"x"
    assert {entry.key for entry in around.entries("")} == {"up", "in/a", *(f"in/{key}" for key in kept)}
    assert bytes(around.get("up").data) == b"theirs"


@pytest.mark.parametrize("name", ["a..%2f..%2fup.h5", "\uff0e\uff0e\u2215up.h5", "a\nb.h5", "a;rm -rf.h5", "-o.h5"])
def test_the_name_of_a_file_reaches_no_key(name: str, tmp_path: Path) -> None:
    store = open_store(tmp_path / "archive")
    initialise(store)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / f"bad{name}").write_bytes(b"\x89HDF\r\n\x1a\n")
    report = ingest(store, [str(raw(tmp_path / "raw" / name).parent)])
    assert (report.sources, len(report.refusals)) == (1, 1)
    assert np.array_equal(lk.open(str(tmp_path / "archive"))[0].data, samples(0))
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "raw"}
    assert not [key for key in state(store) if "up" in key or "rm" in key or not key.isprintable()]


@pytest.mark.parametrize("said", ["../../up", "/etc", "%2e%2e%2f", "\uff0e\uff0e/up", "a\x01b", ".." * 60])
def test_what_a_header_says_reaches_no_key(said: str, tmp_path: Path) -> None:
    store = open_store(tmp_path / "archive")
    initialise(store)
    header = Header(start=START, instrument=said, acquisition=said)
    (tmp_path / "raw").mkdir()
    files = [write_tdms(tmp_path / "raw" / "a.tdms", samples(0), header), raw(tmp_path / "raw" / "b.h5", 1)]
    with h5py.File(files[1], "r+") as root:
        root["Acquisition"].attrs["AcquisitionId"] = said
    report = ingest(store, [str(tmp_path / "raw")])
    assert report.sources == 2
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "raw"}
    for name in report.datasets:
        assert layout.check_dataset_name(name) == name


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "data/../../secret", "data/%2e%2e/%2e%2e/../../secret"])
def test_an_archive_cannot_make_its_reader_open_other_files(key: str, tmp_path: Path) -> None:
    """A commit as a hostile writer could make it: whole, sealed, and with a key that leads away."""
    (tmp_path / "secret").write_bytes(b"x" * 4000)
    store = open_store(tmp_path / "archive")
    initialise(store)
    (commit,) = commits_of(store, raw(tmp_path / "raw" / "a.h5"))
    rows = tuple(replace(row, data=replace(row.data, key=key, etag=None)) for row in commit.rows)
    hostile = replace(commit, rows=rows)
    store.create(hostile.key, hostile.encode())
    with pytest.raises(LightkeepError) as caught:
        _ = lk.open(str(tmp_path / "archive"))[0].data
    assert key in str(caught.value) or repr(key) in str(caught.value)


# -- what raw files cannot reach: see also tests/formats/test_damage.py -----------------------------


def terra15(path: Path) -> Path:
    with h5py.File(path, "w") as root:
        root.attrs.update(acoustic_bandwidth_end=250.0, amplifier_incoming_current=105.0, file_version=6, dx=1.6)
        root.attrs.update(file_start_computer_time=1.7e9, data_product="velocity", data_product_units="m/s")
        root.attrs.update(
            gauge_length=4.9, pulse_length=2.45, pulse_rate=1e4, sensing_range_start=3.0, serial_number="x"
        )
        group = root.create_group("data_product")
        group["data"] = samples(0).astype("f4")
        group["gps_time"] = 1.7e9 + np.arange(200) * 0.002
    return path


def silixa(path: Path) -> Path:
    said = {
        "CPUTimeStamp": "22/09/2023 18:52:18.801 (UTC)",
        "GPSTimeStamp": "22/09/2023 18:29:26.158 (UTC)",
        "SamplingFrequency[Hz]": "500",
        "SpatialResolution[m]": "2",
        "StartPosition[m]": "242",
        "MeasureLength[m]": "10",
        "Fibre Length Multiplier": "1.0",
        "GaugeLength": "10",
        "PulseWidth[ns]": "50",
        "Start Distance (m)": "0.7",
        "Acoustic Output": "Differential",
        "SpatialResolution": "2",
        "Tags": "",
    }
    with h5py.File(path, "w") as root:
        root.create_dataset("Acoustic", data=samples(0)).attrs.update(said)
    return path


#: Each array that a reader opens, by how its file is made.
ARRAYS = {
    "prodml samples": (raw, "Acquisition/Raw[0]/RawData"),
    "prodml stamps": (raw, "Acquisition/Raw[0]/RawDataTime"),
    "terra15 samples": (terra15, "data_product/data"),
    "terra15 stamps": (terra15, "data_product/gps_time"),
    "silixa samples": (silixa, "Acoustic"),
}


def linked(group: Any, name: str, array: Any, other: Path) -> None:
    group[name] = h5py.ExternalLink(str(other), "/array")


def outside(group: Any, name: str, array: Any, other: Path) -> None:
    group.create_dataset(name, array.shape, array.dtype, external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def virtual(group: Any, name: str, array: Any, other: Path) -> None:
    made = h5py.VirtualLayout(array.shape, array.dtype)
    made[:] = h5py.VirtualSource(str(other), "array", array.shape)
    group.create_virtual_dataset(name, made)


def bomb(group: Any, name: str, array: Any, other: Path) -> None:
    """A terabyte of nothing, a few hundred bytes long."""
    size = 1 << (40 // array.ndim)
    group.create_dataset(
        name, (size,) * array.ndim, array.dtype, chunks=(1 << 12,) * array.ndim, compression="gzip", fillvalue=1
    )


@pytest.mark.parametrize("trick", [linked, outside, virtual, bomb])
@pytest.mark.parametrize("which", list(ARRAYS))
def test_no_array_of_a_raw_file_lies_elsewhere_or_is_larger_than_it(
    which: str, trick: Callable[..., None], tmp_path: Path
) -> None:
    """The other file is there, readable, and of the right shape: only refusing keeps it out."""
    make, where = ARRAYS[which]
    path = make(tmp_path / "raw.h5") if make is not raw else raw(tmp_path / "raw" / "raw.h5")
    other = tmp_path / "other.h5"
    group, _, name = where.rpartition("/")
    with h5py.File(path, "r+") as root, h5py.File(other, "w") as theirs:
        array = root[where][()]
        theirs["array"] = array
        said = dict(root[where].attrs)
        del root[where]
        trick(root[group] if group else root, name, array, other)
        if trick is not linked:
            root[where].attrs.update(said)
    store = open_store(tmp_path / "archive")
    initialise(store)
    report = ingest(store, [str(path)])
    assert (report.sources, report.granules) == (0, 0)
    (refusal,) = report.refusals
    assert refusal.kind == "FormatError"
    assert any(words in refusal.reason for words in ("is a link", "other files", "more than the file can hold"))
    assert not lk.open(str(tmp_path / "archive")).datasets


def test_a_file_that_claims_a_terabyte_costs_the_command_little_memory(tmp_path: Path) -> None:
    path = raw(tmp_path / "raw" / "a.h5")
    with h5py.File(path, "r+") as root:
        array = root["Acquisition/Raw[0]/RawData"]
        said, held = dict(array.attrs), array[()]
        del root["Acquisition/Raw[0]/RawData"]
        bomb(root["Acquisition/Raw[0]"], "RawData", held, path)
        root["Acquisition/Raw[0]/RawData"].attrs.update(said)
    initialise(open_store(tmp_path / "archive"))
    command = [sys.executable, "-m", "ingest", "ingest", str(path), str(tmp_path / "archive"), "--json"]
    done = subprocess.run(
        command,
        capture_output=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30)),
    )
    assert done.returncode == 1, done.stderr
    assert "more than the file can hold" in json.loads(done.stdout)["refusals"][0]["reason"]


def test_references_in_a_raw_file_are_not_followed(tmp_path: Path) -> None:
    """An object reference in a header is left out; nothing that it names is read for it."""
    path = raw(tmp_path / "raw" / "a.h5")
    with h5py.File(path, "r+") as root:
        root["Acquisition"].attrs["Elsewhere"] = root["Acquisition/Raw[0]/RawData"].ref
    header = open_format(format_named("prodml")).describe(io.BytesIO(path.read_bytes())).header
    assert "Elsewhere" not in header["/Acquisition"]
    assert "AcquisitionId" in header["/Acquisition"]

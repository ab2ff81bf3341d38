"""A format that another package brings: found by its entry point, held to the same contract, read by every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from archive.coords import Coord, Linear, TimeAxis
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from archive.testing import check_claims, check_contract, check_damage, check_reader
from ingest.formats import FORMATS, foreign, format_named, open_format

if TYPE_CHECKING:
    from collections.abc import Callable

# The reader of a logger that writes a line of text and then big-endian samples, as its package would hold it.
READER = """
import json
import numpy as np
from archive.coords import Coord, Linear, TimeAxis
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description, Format

FORMAT = Format(name="strandlog", title="Strand logger", module="strandlog", suffixes=(".sl",), versions=("2",))
LINE = 256

def _head(file):
    file.seek(0)
    line = file.read(LINE)
    if not line.startswith(b"STRANDLOG 2 "):
        raise FormatError("no strand log; set it aside")
    head = json.loads(line[12:])
    size = head["samples"] * head["channels"] * 2
    if head["samples"] < 1 or head["channels"] < 1 or file.seek(0, 2) != LINE + size:
        raise FormatError("cut, or damaged; fetch it again")
    return head

def sniff(file):
    file.seek(0)
    return "2" if file.read(12) == b"STRANDLOG 2 " else None

def describe(file):
    head = _head(file)
    coords = {
        "time": Coord(
            dims=("time",), values=TimeAxis.from_rate(head["start"], head["rate"], head["samples"]), units="s"
        ),
        "distance": Coord(dims=("distance",), values=Linear(start=0.0, step=2.0, size=head["channels"]), units="m"),
    }
    block = Block(dims=("time", "distance"), coords=coords, dtype=np.dtype("i2"), attrs={"data_units": "nm/m"})
    return Description(format="strandlog", version="2", blocks=(block,), header=head)

def read(file, block, window):
    head = _head(file)
    if block:
        raise InvalidInput("there is one block")
    if len(window) > 2 or any(part.step not in (None, 1) for part in window):
        raise InvalidInput("two dims, no step")
    file.seek(LINE)
    samples = np.frombuffer(file.read(), ">i2").reshape(head["samples"], head["channels"])
    return samples[window].astype("i2")
"""
SAMPLES = np.random.default_rng(4).integers(-3000, 3000, (500, 40), "i2")


def log_file(path: Path) -> Path:
    head = b"STRANDLOG 2 " + json.dumps({"start": 10**18, "rate": 250.0, "samples": 500, "channels": 40}).encode()
    path.write_bytes(head.ljust(256) + SAMPLES.astype(">i2").tobytes())
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder with an installed package that brings a format."""
    folder = tmp_path / "site"
    (folder / "strandlog-2.0.dist-info").mkdir(parents=True)
    (folder / "strandlog.py").write_text(READER)
    (folder / "strandlog-2.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: strandlog\nVersion: 2.0\n")
    (folder / "strandlog-2.0.dist-info/entry_points.txt").write_text(f"[{foreign.GROUP}]\nlog = strandlog:FORMAT\n")
    return folder


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(package))
    foreign.third_party.cache_clear()
    yield package
    foreign.third_party.cache_clear()
    sys.modules.pop("strandlog", None)


def lightkeep(package: Path, *arguments: str) -> Any:
    path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "ingest", *arguments, "--json"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_commands_find_the_format_of_an_installed_package(package: Path, tmp_path: Path) -> None:
    file, url = log_file(tmp_path / "night.sl"), str(tmp_path / "archive")
    (told,) = lightkeep(package, "identify", str(file))
    assert (told["format"], told["version"]) == ("strandlog", "2")
    assert told["blocks"][0]["shape"] == [500, 40]
    lightkeep(package, "init", url)
    assert lightkeep(package, "ingest", str(file), url)["sources"] == 1
    import archive as lk

    (patch,) = lk.open(url)
    np.testing.assert_array_equal(patch.data, SAMPLES)
    assert patch.attrs["data_units"] == "nm/m"


def test_the_reader_of_a_package_keeps_the_contract(installed: Path, tmp_path: Path, make_sample: Any) -> None:
    reader = open_format(format_named("strandlog"))
    check_reader(reader, [log_file(tmp_path / "night.sl")], foreign=[make_sample("tdms").path])


def test_what_is_no_format_or_has_a_name_that_is_taken_is_said(installed: Path) -> None:
    entries, module = installed / "strandlog-2.0.dist-info/entry_points.txt", installed / "strandlog.py"
    taken = frozenset(fmt.name for fmt in FORMATS)
    for text, said in (("strandlog:LINE", "is int, not"), ("strandlog:NOTHING", "cannot be loaded")):
        entries.write_text(f"[{foreign.GROUP}]\nlog = {text}\n")
        foreign.third_party.cache_clear()
        with pytest.raises(InvalidInput, match=said):
            foreign.third_party(taken)
    entries.write_text(f"[{foreign.GROUP}]\nlog = strandlog:FORMAT\n")
    module.write_text(READER.replace('name="strandlog"', 'name="tdms"'))
    sys.modules.pop("strandlog", None)
    foreign.third_party.cache_clear()
    with pytest.raises(InvalidInput, match="'tdms' is taken"):
        foreign.third_party(taken)


# -- the checks can fail -------------------------------------------------------------------------

CONTENT = b"LOG1" + SAMPLES.tobytes()


def sniff(file: Any) -> str | None:
    file.seek(0)
    return "1" if file.read(4) == b"LOG1" else None


def describe(file: Any, step: int = 4_000_000, **changed: Any) -> Description:
    file.seek(0)
    if file.read(4) != b"LOG1" or file.seek(0, 2) != len(CONTENT):
        raise FormatError("no log, or a cut one")
    coords = {
        "time": Coord(dims=("time",), values=TimeAxis.from_rate(10**18, 1e9 / step, 500), units="s"),
        "channel": Coord(dims=("channel",), values=Linear(start=0, step=1, size=40)),
    }
    held = {"dims": ("time", "channel"), "coords": coords, "dtype": np.dtype("i2")} | changed
    return Description(format="log", version="1", blocks=(Block(**held),), header={"rate": 250})


def read(file: Any, block: int, window: tuple[slice, ...]) -> Any:
    describe(file)
    if block or len(window) > 2 or any(part.step not in {None, 1} for part in window):
        raise InvalidInput("one block, two dims, no step")
    file.seek(4)
    return np.frombuffer(file.read(), "i2").reshape(500, 40)[window].copy()


def reader_with(**changed: Callable[..., Any]) -> Any:
    return SimpleNamespace(**({"sniff": sniff, "describe": describe, "read": read} | changed))


def all_checks(reader: Any) -> None:
    check_claims(reader)
    check_contract(reader, CONTENT, "log")
    check_damage(reader, CONTENT, "log", mutations=50)


def test_a_good_reader_passes() -> None:
    all_checks(reader_with())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sniff": lambda file: "1"}, "claimed"),
        ({"sniff": lambda file: "2" if sniff(file) else None}, "described as 1"),
        ({"describe": lambda file: describe(file, dtype=np.dtype("i4"))}, "int16 read, int32 described"),
        ({"describe": lambda file: describe(file, dtype=np.dtype(">i2"))}, "native"),
        ({"describe": lambda file: describe(file, dims=("channel", "time"))}, "time is to be the first"),
        ({"describe": lambda file: describe(file, attrs={"station": ""})}, "says nothing"),
        ({"describe": lambda file: describe(file, attrs={"station": ["A"]})}, "station"),
        ({"read": lambda file, block, window: read(file, block, ())}, "is not that of the whole"),
        ({"read": lambda file, block, window: read(file, 0, window)}, "block 1 of 1"),
    ],
)
def test_a_reader_that_breaks_the_contract_is_told(changed: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        all_checks(reader_with(**changed))


def test_an_error_of_its_own_is_told_for_a_damaged_file() -> None:
    def careless(file: Any) -> Description:
        file.seek(4)
        return describe(file) if file.read(1) and sniff(file) else [].pop()

    with pytest.raises(IndexError):
        check_damage(reader_with(describe=careless), CONTENT, "log", mutations=50)

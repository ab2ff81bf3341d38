"""A pickle is told from other files, explained, and never opened."""

from __future__ import annotations

import io
import os
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import archive as lk
from archive.errors import FormatError
from archive.store import open_store
from ingest.formats import FORMATS, format_named, identify, open_format
from ingest.initialise import initialise
from ingest.run import ingest

if TYPE_CHECKING:
    from pathlib import Path


class Crafted:
    """What DASCore's detection of formats would run: it finds two words in 100 bytes, and then unpickles."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f": dascore.core Patch; touch {self.path}",)


def crafted(path: Path, protocol: int) -> bytes:
    content = pickle.dumps(Crafted(path), protocol)
    assert b"dascore.core" in content[:100]
    assert b"Patch" in content[:100]
    return content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_crafted_pickle_is_refused_and_runs_nothing(protocol: int, tmp_path: Path) -> None:
    content = crafted(tmp_path / "ran", protocol)
    for fmt in FORMATS:
        reader = open_format(fmt)
        version = reader.sniff(io.BytesIO(content))
        assert (version is not None) == (fmt.name == "pickle")
        for call in (reader.describe, lambda file, reader=reader: reader.read(file, 0, ())):
            with pytest.raises(FormatError):
                call(io.BytesIO(content))
    assert identify(io.BytesIO(content)).name == "pickle"
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)
    assert (tmp_path / "ran").exists(), "the fixture is harmless: it proves nothing"


def test_a_real_dascore_pickle_is_recognised(tmp_path: Path) -> None:
    import dascore

    content = pickle.dumps(dascore.get_example_patch("random_das"))
    assert identify(io.BytesIO(content)).name == "pickle"


def test_the_refusal_says_how_to_convert_it(tmp_path: Path) -> None:
    path = tmp_path / "night.pkl"
    path.write_bytes(crafted(tmp_path / "ran", 4))
    with path.open("rb") as file, pytest.raises(FormatError, match="runs whatever its writer put") as refused:
        open_format(format_named("pickle")).describe(file)
    for line in ("dascore.read(", 'file_format="PICKLE"', 'dascore.write(spool, "converted.h5", file_format="DASDAE")'):
        assert line in str(refused.value)


def test_ingest_sets_a_pickle_aside(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/night.pkl").write_bytes(crafted(tmp_path / "ran", 4))
    store = open_store(f"memory://{tmp_path.name}-pickle")
    initialise(store)
    report = ingest(store, [str(tmp_path / "raw")])
    (refusal,) = report.refusals
    assert "DASCore" in refusal.reason
    assert not (tmp_path / "ran").exists()
    assert len(lk.open(f"memory://{tmp_path.name}-pickle")) == 0


@pytest.mark.parametrize(
    "content", [b"(lp0\n.", b"\x80", b"\x80\x04", b"cos\nsystem\n", b"I1\nI2\nI3\nI4\n." * 9, b"(" * 2000 + b"."]
)
def test_what_only_looks_like_one_is_not(content: bytes) -> None:
    assert open_format(format_named("pickle")).sniff(io.BytesIO(content)) is None

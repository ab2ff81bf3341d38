"""The table of formats."""

from __future__ import annotations

import builtins
import io
import subprocess
import sys
from dataclasses import replace
from typing import Any

import h5py
import pytest

from archive.errors import FormatError, MissingExtra, NotFound
from ingest import formats
from ingest.formats import FORMATS, format_named, identify, open_format


def test_names_are_unique_and_sorted_and_each_format_reads() -> None:
    assert [fmt.name for fmt in FORMATS] == sorted(fmt.name for fmt in FORMATS)
    assert len({fmt.name for fmt in FORMATS}) == len(FORMATS)
    for fmt in FORMATS:
        reader = open_format(fmt)
        assert all(callable(getattr(reader, name)) for name in ("sniff", "describe", "read"))
        assert format_named(fmt.name) is fmt
        assert fmt.versions
        assert all(suffix.startswith(".") for suffix in fmt.suffixes)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"mp3: no such raw format; there are ap_sensing"):
        format_named("mp3")


def test_the_table_imports_no_reader_and_no_library() -> None:
    code = "import sys, ingest.formats; print([m for m in ('h5py', 'ingest.formats.tdms') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_file_that_is_no_hdf5_file_never_reaches_h5py(monkeypatch: Any, make_sample: Any) -> None:
    monkeypatch.setattr(h5py, "File", lambda *_: pytest.fail("h5py was asked"))
    assert identify(io.BytesIO(make_sample("tdms").content)).name == "tdms"
    with pytest.raises(FormatError):
        identify(io.BytesIO(b"some text"))


def test_hdf5_is_opened_once_for_all_who_sniff(monkeypatch: Any, make_sample: Any) -> None:
    sample = make_sample("terra15 6, unwritten").content  # made before anyone counts
    opened = []
    original = h5py.File
    monkeypatch.setattr(h5py, "File", lambda *args: opened.append(args) or original(*args))
    identify(io.BytesIO(sample))
    assert len(opened) == 1


def test_two_claims_are_an_error_that_names_both(monkeypatch: Any, make_sample: Any) -> None:
    twin = replace(format_named("tdms"), name="other", title="Other TDMS")
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, twin))
    with pytest.raises(FormatError, match="a file: Silixa TDMS and Other TDMS"):
        identify(io.BytesIO(make_sample("tdms").content), "a file")


def test_a_version_that_is_not_read_is_named(make_sample: Any, tmp_path: Any) -> None:
    path = tmp_path / "sample.h5"
    path.write_bytes(make_sample("prodml").content)
    with h5py.File(path, "r+") as root:
        root["Acquisition"].attrs["schemaVersion"] = "3.0"
    with path.open("rb") as file, pytest.raises(FormatError, match=r"version 3.0 is not read, only 2.0, 2.1"):
        identify(file)


def test_messages_name_the_file(tmp_path: Any) -> None:
    path = tmp_path / "night.h5"
    path.write_bytes(b"")
    with path.open("rb") as file, pytest.raises(FormatError, match=r"night\.h5: the file is empty"):
        identify(file)


def test_a_missing_library_is_answered_with_what_to_install(monkeypatch: Any, make_sample: Any) -> None:
    original = builtins.__import__

    def without_h5py(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "h5py":
            raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_h5py)
    with pytest.raises(MissingExtra, match=r"pip install 'lightkeep\[ingest\]'"):
        identify(io.BytesIO(make_sample("prodml").content))


def test_a_format_whose_library_is_missing_says_so() -> None:
    fmt = replace(FORMATS[0], title="Odd", module="ingest.formats.no_such_module", extra="odd")
    with pytest.raises(MissingExtra, match=r"Odd needs ingest.formats.no_such_module.*lightkeep\[odd\]"):
        open_format(fmt)

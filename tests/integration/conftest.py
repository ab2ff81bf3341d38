"""An archive with every kind of object in it, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import Content, fill

from archive.store import open_store
from ingest.synthetic.acquisition import write_acquisition


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Small vendor files of two instruments, in order of time."""
    recording = write_acquisition(tmp_path_factory.mktemp("raw"), megabytes=0.6, channels=8)
    files = sorted(path for path in recording.paths if path.suffix == ".h5")
    return files, sorted(path for path in recording.paths if path.suffix == ".tdms")


@pytest.fixture(scope="session")
def whole(raw: tuple[list[Path], list[Path]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Content]:
    """The archive, which no test writes to, and all that it holds."""
    folder = tmp_path_factory.mktemp("whole") / "archive"
    fill(open_store(str(folder)), *raw)
    return folder, Content.of(str(folder))

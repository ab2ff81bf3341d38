"""What the tests of keeping share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from archive.store import open_store
from ingest.initialise import initialise

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> str:
    """The URL of an empty archive in a folder."""
    url = str(tmp_path / "archive")
    initialise(open_store(url))
    return url

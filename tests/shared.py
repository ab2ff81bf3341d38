"""The folder of real samples that lies beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_folder(name: str) -> Path:
    """Return a folder of the shared samples, or skip; to skip is to fail where they are required."""
    path = Path(os.environ.get("LIGHTKEEP_SHARED", Path(__file__).parents[2] / "shared")) / name
    if not path.is_dir():
        message = f"no shared samples at {path}; set LIGHTKEEP_SHARED to the folder that holds {name}/"
        if os.environ.get("LIGHTKEEP_REQUIRE_SHARED"):
            pytest.fail(message)
        pytest.skip(message)
    return path

"""Archives in each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fire.scene import Place


@pytest.fixture(params=["folder", "s3"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Fresh archives of one kind, as many as are wanted."""
    if request.param == "folder":
        return (Place(str(tmp_path / f"archive-{number}")) for number in range(1000))
    prefix, options = request.getfixturevalue("s3_url"), request.getfixturevalue("s3_options")
    return (Place(f"{prefix}-{number}", options) for number in range(1000))

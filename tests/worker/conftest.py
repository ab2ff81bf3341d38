"""What the tests of the worker work with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from landing import Scene

if TYPE_CHECKING:
    from ingest.server import LocalS3


@pytest.fixture
def scene(s3_server: LocalS3, moto_options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)  # as a role would give them; moto takes any
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    return Scene(s3_server, moto_options["endpoint_url"], tmp_path)

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from shown import Shown, make_shown, serving

from archive.store import open_store

if TYPE_CHECKING:
    from ingest.serve.server import PageServer
    from ingest.server import LocalS3


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("shown")
    return make_shown(open_store(str(folder / "archive")), folder)


@pytest.fixture(scope="session")
def page(shown: Shown) -> Iterator[PageServer]:
    with serving(shown.store) as server:
        yield server


@pytest.fixture(scope="session")
def shown_on_s3(s3_server: LocalS3, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of the same archive on a real S3 server."""
    options: dict[str, Any] = {"key": s3_server.key, "secret": s3_server.secret, "endpoint_url": s3_server.endpoint}
    url = f"s3://{s3_server.bucket}/shown"
    make_shown(open_store(url, storage_options=options), tmp_path_factory.mktemp("shown-s3"))
    return url

"""Real servers that the tests of every part share."""

from __future__ import annotations

import fcntl
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from proxy import FaultProxy

from ingest.server import LocalS3, serve_s3

# A machine that runs other things beside the tests is no failure.
settings.register_profile("lightkeep", deadline=None)
settings.load_profile("lightkeep")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalS3]:
    """A SeaweedFS of this test process, with the bucket `archive`."""
    with ExitStack() as stack:
        # Parallel test processes look for free ports one after the other.
        with (Path(tempfile.gettempdir()) / "lightkeep-test-ports.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server = stack.enter_context(serve_s3(tmp_path_factory.mktemp("seaweedfs")))
        yield server


@pytest.fixture
def s3_options(s3_server: LocalS3) -> dict[str, Any]:
    """Storage options for the server's only user."""
    return {"key": s3_server.key, "secret": s3_server.secret, "endpoint_url": s3_server.endpoint}


@pytest.fixture
def s3_url(s3_server: LocalS3) -> str:
    """A fresh prefix in the server's bucket."""
    return f"s3://{s3_server.bucket}/{secrets.token_hex(6)}"


@pytest.fixture
def proxy(s3_server: LocalS3) -> Iterator[FaultProxy]:
    """A proxy before the server, without faults so far."""
    with FaultProxy(int(s3_server.endpoint.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def proxy_options(s3_options: dict[str, Any], proxy: FaultProxy) -> dict[str, Any]:
    """Storage options that lead through the proxy."""
    return {**s3_options, "endpoint_url": proxy.url}

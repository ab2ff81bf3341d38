"""Real servers that the tests of every part share, and what is counted of them."""

from __future__ import annotations

import fcntl
import http.client
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from proxy import FaultProxy

from ingest.server import LocalS3, free_port, running, serve_s3

# A machine that runs other things beside the tests is no failure. Each run draws other examples, but where a change
# is to be let in or not (CI is set, as in Hypothesis's own profile), that must not be left to chance.
settings.register_profile("lightkeep", deadline=None, max_examples=25, derandomize=bool(os.environ.get("CI")))
settings.load_profile("lightkeep")

# Long ones, through lines that others run through too: counting lines makes them two to three times as slow.
UNCOUNTED = (
    "fire/test_kills.py",
    "fire/test_races.py",
    "fire/test_stateful.py",
    "formats/test_contract.py",
    "formats/test_damage.py",
    "formats/test_hdf5_parsing.py",
    "formats/test_odd_headers.py",
    "frames/test_round_trip.py",
    "integration/test_damage.py",
    "integration/test_spool_equals_memory.py",
    "model/test_protocol_model.py",
    "operations/test_against_dascore.py",
    "operations/test_compiled.py",
    "test_index.py",
    "test_plan.py",
    "test_reading.py",
    "wcs/test_against_frames.py",
    "wcs/test_against_gwcs.py",
)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile once what Numba keeps on disk, and not in each process, which takes far longer while it counts lines."""
    if getattr(session.config.option, "numprocesses", None):
        subprocess.run([sys.executable, Path(__file__).with_name("compile_filters.py")], check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Do not count lines in long tests that reach none of their own."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix() in UNCOUNTED:
            item.add_marker("no_cover")


@pytest.fixture(scope="session")
def shared_raw() -> Path:
    """The folder of real files; without it tests are skipped, and fail where it is required."""
    path = Path(os.environ.get("LIGHTKEEP_SHARED", Path(__file__).parents[2] / "shared")) / "raw"
    if not path.is_dir():
        message = f"no real files at {path}; set LIGHTKEEP_SHARED to the folder that holds raw/"
        if os.environ.get("LIGHTKEEP_REQUIRE_SHARED"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalS3]:
    """A SeaweedFS of this test process, with the bucket `archive`."""
    with ExitStack() as stack:
        # Parallel test processes look for free ports one after the other.
        with (Path(tempfile.gettempdir()) / "lightkeep-test-ports.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server = stack.enter_context(serve_s3(tmp_path_factory.mktemp("seaweedfs")))
        yield server


@pytest.fixture(scope="session")
def moto_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Options for moto's S3 server with the bucket `archive`: another implementation, without signatures."""
    program = Path(__file__).parent / "moto_in_turn.py"
    port = free_port()

    def ready() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("PUT", "/archive")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    log = tmp_path_factory.mktemp("moto") / "moto.log"
    with running("moto", [sys.executable, str(program), "-p", str(port)], ready, log):
        yield {"key": "ak", "secret": "sk", "endpoint_url": f"http://127.0.0.1:{port}"}


@pytest.fixture(scope="module")
def server(s3_server: LocalS3) -> Iterator[LocalS3]:
    """The same server, its user's keys in the environment, for this process and those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
        patch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
        yield s3_server


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

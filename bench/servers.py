"""The parts that a benchmark runs against: SeaweedFS as the S3 server, and the proxy that counts in front of it."""

from __future__ import annotations

import json
import os
import random
import shutil
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BUCKET", "KEY", "SECRET", "Counting", "counting", "seaweed", "use_keys"]

BUCKET = "archive"
KEY, SECRET = "ak", "sk"
_PORTS = (0, 1, 2, 3, 10, 11, 12, 13)  # s3, master, volume, filer, and gRPC of each
_READY_SECONDS = 60


def use_keys() -> None:
    """Put the throw-away server's keys into the environment, where every client finds them."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        os.environ.pop(name, None)
    os.environ.update(
        AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true"
    )


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
    """Run SeaweedFS on a folder with an empty bucket, and give its S3 port."""
    weed = Path(sys.executable).with_name("weed")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    port = free_ports(_PORTS)
    names = ("s3.port", "master.port", "volume.port", "filer.port")
    ports = [f"-{name}={port + number}" for number, name in enumerate(names)]
    ports += [f"-{name}.grpc={port + 10 + number}" for number, name in enumerate(names)]
    command = [
        *(str(weed) if weed.exists() else shutil.which("weed") or "weed", "mini", f"-dir={folder / 'data'}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports, "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-master.telemetry=false", "-master.electionTimeout=1s", "-volume.preStopSeconds=0"),
        *("-admin.ui=false", "-webdav=false", f"-bucket={BUCKET}"),
    ]

    def ready() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{BUCKET}", timeout=2)
        except urllib.error.HTTPError as error:
            return error.code == 403
        except OSError:
            return False
        return False

    use_keys()
    with _running(command, "SeaweedFS", ready, folder / "seaweed.log"):
        yield port


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

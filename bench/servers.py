"""The parts that a benchmark runs against: SeaweedFS as the S3 server, and the proxy that counts in front of it."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.server import free_port, running, serve_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUCKET", "Counting", "counting", "seaweed"]

BUCKET = "archive"
_PROXY = Path(__file__).parents[1] / "tests" / "proxy.py"


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
    """A running proxy: `tests/proxy.py`."""

    port: int

    @property
    def endpoint(self) -> str:
        """URL for S3 clients."""
        return f"http://127.0.0.1:{self.port}"

    def delay(self, milliseconds: float) -> None:
        """Add time to each request."""
        self._ask(f"set?handshake=0&rtt={milliseconds / 1e3}")

    def counts(self) -> dict[str, int]:
        """Return what was counted since the last call."""
        return dict(self._ask("zero"))

    def _ask(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 1}/{what}", timeout=5) as reply:
            answer: dict[str, Any] = json.load(reply)
        return answer


@contextmanager
def counting(upstream: int, folder: Path) -> Iterator[Counting]:
    """Run the proxy in front of a port."""
    port = free_port((0, 1))
    proxy = Counting(port)

    def ready() -> bool:
        try:
            proxy.delay(0)
        except OSError:
            return False
        return True

    command = [sys.executable, str(_PROXY), str(port), str(upstream)]
    with running("the proxy", command, ready, folder / "proxy.log"):
        yield proxy

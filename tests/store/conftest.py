"""One store of each kind, and an environment without anyone's credentials."""

from __future__ import annotations

import http.server
import secrets
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from archive.store import Store, open_store
from ingest.server import free_port, running

KINDS = ["folder", "memory", "s3", "moto"]


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(tmp_path / "archive")
    if request.param == "memory":
        return open_store(f"memory://{secrets.token_hex(4)}/prefix")
    if request.param == "moto":
        options = request.getfixturevalue("moto_options")
        return open_store(f"s3://archive/{secrets.token_hex(6)}", storage_options=options)
    return open_store(request.getfixturevalue("s3_url"), storage_options=request.getfixturevalue("s3_options"))


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Options for rclone's S3 server, which takes conditional writes and ignores the condition."""
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    (tmp_path / "served" / "archive").mkdir(parents=True)
    port = free_port()

    def ready() -> bool:
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", port)) == 0

    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", str(tmp_path / "served")]
    with running("rclone", command, ready, tmp_path / "rclone.log"):
        yield {"key": "ak", "secret": "sk", "endpoint_url": f"http://127.0.0.1:{port}"}


Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def answering() -> Iterator[Callable[..., dict[str, Any]]]:
    """A function that starts a server which gives these answers in turn, the last one for ever."""
    with ExitStack() as stack:

        def start(*answers: Answer, seen: list[Any] | None = None) -> dict[str, Any]:
            left = list(answers)

            class Handler(http.server.BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_any(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    if seen is not None:
                        seen.append((self.command, self.path, dict(self.headers)))
                    status, headers, body = left.pop(0) if len(left) > 1 else left[0]
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(body)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    pass

            for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
                setattr(Handler, f"do_{method}", Handler.do_any)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()

            def stop() -> None:
                server.shutdown()
                thread.join()
                server.server_close()

            stack.callback(stop)
            return {"key": "ak", "secret": "sk", "endpoint_url": f"http://127.0.0.1:{server.server_port}"}

        yield start

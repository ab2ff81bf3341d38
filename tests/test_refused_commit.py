"""A reader who may not list everything is told 403 where a commit has gone: it reads what the fold made of it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from small import commits_of, raw

from archive.errors import AccessDenied
from archive.store import open_store
from archive.view import open_view
from ingest.index.fold import fold
from ingest.initialise import initialise

if TYPE_CHECKING:
    from ingest.server import LocalS3


@pytest.fixture
def strict(server: LocalS3) -> Iterator[ThreadingHTTPServer]:
    """The server, which says 403 of what is missing, and of what is in `refused`."""
    upstream = server.endpoint.removeprefix("http://")

    class Strict(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            connection = http.client.HTTPConnection(upstream)
            connection.request("GET", self.path, headers=dict(self.headers))
            answer = connection.getresponse()
            body = answer.read()
            hidden = answer.status == 404 or any(part in self.path for part in self.server.refused)  # type: ignore[attr-defined]
            self.send_response(403 if hidden else answer.status)
            kept = {
                name: value
                for name, value in answer.getheaders()
                if name.lower() in ("etag", "last-modified", "content-type")
            }
            for name, value in {**kept, "Content-Length": "0" if hidden else str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if hidden else body)
            connection.close()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Strict)
    made.refused = []  # type: ignore[attr-defined]
    Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def refusing(
    strict: ThreadingHTTPServer, s3_url: str, s3_options: dict[str, Any], tmp_path: Path
) -> tuple[Any, Any, list[str]]:
    """The archive with one young commit: as its writer has it, as a reader may see it, and what is refused him."""
    store = open_store(s3_url, storage_options=s3_options)
    initialise(store)
    (commit,) = commits_of(store, raw(tmp_path / "a.h5"))
    store.create(commit.key, commit.encode())
    there = {**s3_options, "endpoint_url": f"http://127.0.0.1:{strict.server_port}"}
    return store, open_store(s3_url, storage_options=there), strict.refused  # type: ignore[attr-defined]


def test_a_commit_that_was_folded_meanwhile_is_read_from_the_index(refusing: tuple[Any, Any, list[str]]) -> None:
    store, reader, _ = refusing
    view = open_view(reader)
    fold(store)
    assert list(view.datasets()) == list(open_view(store).datasets())
    assert len(view.datasets()) == 1


def test_a_commit_that_is_still_listed_and_refused_is_an_error(refusing: tuple[Any, Any, list[str]]) -> None:
    _, reader, refused = refusing
    view = open_view(reader)
    refused.append("/commits/")
    with pytest.raises(AccessDenied, match="commits/"):
        view.datasets()

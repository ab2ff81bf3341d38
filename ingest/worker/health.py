"""Whether the worker is well, over HTTP on a local port: `/live`, `/ready` and `/metrics`."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from archive.errors import InvalidInput
from ingest.worker.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ingest.worker.metrics import Metrics

__all__ = ["ask", "health_server"]

_TIMEOUT_SECONDS = 4.0


@contextmanager
def health_server(host: str, port: int, state: Callable[[], Mapping[str, bool]], metrics: Metrics) -> Iterator[int]:
    """Answer until the block ends; give the port.

    Parameters
    ----------
    state
        Returns whether the worker is `live` (its loop goes round) and `ready` (it takes messages).

    Raises
    ------
    InvalidInput
        The address cannot be listened on.
    """

    class Answers(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_SECONDS  # of one who connects and asks nothing

        def do_GET(self) -> None:
            place = self.path.partition("?")[0]
            if place == "/metrics":
                self._say(HTTPStatus.OK, metrics.prometheus(), CONTENT_TYPE)
                return
            now = state()
            name = place.strip("/")
            if name not in now:
                self._say(HTTPStatus.NOT_FOUND, b"live, ready, metrics\n", "text/plain")
                return
            status = HTTPStatus.OK if now[name] else HTTPStatus.SERVICE_UNAVAILABLE
            self._say(status, json.dumps(dict(now)).encode(), "application/json")

        def _say(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server has
            """Say nothing: an answer every few seconds is no news."""

    try:
        server = ThreadingHTTPServer((host, port), Answers)
    except OSError as error:
        raise InvalidInput(f"LIGHTKEEP_HEALTH_PORT: {host}:{port} cannot be listened on ({error})") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="lightkeep-health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(host: str, port: int, what: str = "live") -> bool:
    """Return whether a worker on this machine says that it is well."""
    import http.client

    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"/{what}")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

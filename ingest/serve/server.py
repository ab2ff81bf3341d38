"""The HTTP server: GET alone, to those whom it expects, with errors that say what to do."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import select
import socket
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from archive.errors import (
    AccessDenied,
    DamagedData,
    InvalidInput,
    LightkeepError,
    MissingExtra,
    NotFound,
    StoreTrouble,
)
from ingest.serve.addresses import ADDRESSES, JSON, Answer, page_files
from ingest.serve.describing import without_secrets
from ingest.serve.parameters import Parameters
from ingest.serve.pinned import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archive.store import Store

__all__ = ["PageServer", "Refusal"]

_IDLE_SECONDS = 60.0  # after which a connection on which nothing is asked is closed
_AT_ONCE = 4  # requests that read samples at the same time; others wait their turn
_LOOK_SECONDS = 0.05
_HTTP = 80  # a browser leaves it out of what it asks for
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_FOR_EVER = "private, max-age=86400, immutable"  # what is asked under a state of the archive does not change
_STATUS: tuple[tuple[type[LightkeepError], HTTPStatus], ...] = (
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (AccessDenied, HTTPStatus.BAD_GATEWAY),
    (StoreTrouble, HTTPStatus.SERVICE_UNAVAILABLE),
    (DamagedData, HTTPStatus.BAD_GATEWAY),
    (MissingExtra, HTTPStatus.NOT_IMPLEMENTED),
)


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """A request that is not answered.

    Parameters
    ----------
    status
        Of HTTP.
    reason
        One sentence.
    """

    status: HTTPStatus
    reason: str


class _Gone(Exception):
    """Who asked does not wait any more."""


class PageServer(ThreadingHTTPServer):
    """Serves the page of one archive.

    Parameters
    ----------
    store
        The archive's store.
    host, port
        Where to listen; port 0 takes a free one.
    names
        Names, beside its address, under which browsers may ask for it.
    log
        Called with a line for each error; nothing of what was asked is in it but the address.

    Raises
    ------
    InvalidInput
        The address cannot be listened on.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        store: Store,
        host: str = "127.0.0.1",
        port: int = 0,
        names: tuple[str, ...] = (),
        log: Callable[[str], object] = sys.stderr.write,
    ) -> None:
        self.views = Views(store)
        self.files = page_files()
        self.reading = threading.Semaphore(_AT_ONCE)
        self.log = log
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InvalidInput(f"{host}:{port} cannot be listened on ({error}); choose another --port") from error
        self.port: int = self.server_address[1]
        self._names = {"localhost", *(name.lower() for name in names)}
        self._local = _is_loopback(host)

    @property
    def url(self) -> str:
        """Where the page is."""
        host = str(self.server_address[0])
        shown = "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host  # noqa: S104 - what was chosen
        return f"http://[{shown}]:{self.port}/" if ":" in shown else f"http://{shown}:{self.port}/"

    def expects(self, host: str) -> bool:
        """Return whether a Host header names this server.

        A page of another site can have its own name lead to this address; its requests say that name.
        """
        name, port = _split_host(host)
        if name in self._names:
            return port in (None, self.port) if name != "localhost" else (port or _HTTP) == self.port
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return (port or _HTTP) == self.port and (address.is_loopback or not self._local)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - http.server's
        """Say nothing of a browser that went away."""
        if not isinstance(sys.exception(), (OSError, _Gone)):
            self.log(f"lightkeep: a request failed ({type(sys.exception()).__name__})\n")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split_host(host: str) -> tuple[str, int | None]:
    """Return name and port of a Host header; an empty name where it is none."""
    name, _, port = (
        host.rpartition(":") if host.rpartition("]")[2].startswith(":") or "]" not in host else (host, "", "")
    )
    if not name:
        name, port = host, ""
    if port and not (port.isascii() and port.isdigit()):
        return "", None
    return name.strip("[]").lower(), int(port) if port else None


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "Lightkeep"
    sys_version = ""
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.command != "GET":
            self.close_connection = True
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this page only reads: GET is all that it answers", "Refused")
            return False
        return True

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        try:
            self._answer(path, query)
        except Refusal as refusal:
            self._refuse(refusal.status, refusal.reason, "Refused")
        except LightkeepError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
            reason = without_secrets(" ".join(str(error).split()))
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                self.server.log(f"lightkeep: {path}: {reason}\n")
            self._refuse(status, reason, type(error).__name__)
        except (_Gone, OSError):
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - the page must hear of it, and the server go on
            self.server.log(f"lightkeep: {path}: {type(error).__name__} at {_place_of(error)}\n")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of Lightkeep's own; see its log", "Error")

    def _answer(self, path: str, query: str) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not self.server.expects(hosts[0]):
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, "this Host is not the one that Lightkeep serves; see --name")
        if path in self.server.files:
            self._say(HTTPStatus.OK, self.server.files[path], {"Cache-Control": "no-cache"})
            return
        if path not in ADDRESSES:
            raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing at this address")
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise Refusal(HTTPStatus.FORBIDDEN, "only the page itself may ask for this")
        answer, known, constant = ADDRESSES[path]
        asked = Parameters.parse(query, known)
        self._wait()
        try:
            found = answer(self.server.views, asked)
        finally:
            self.server.reading.release()
        self._say(HTTPStatus.OK, found, {"Cache-Control": _FOR_EVER if constant else "no-store"})

    def _wait(self) -> None:
        """Wait for the turn to read; give up where the browser has, so that what was superseded costs nothing."""
        while not self.server.reading.acquire(timeout=_LOOK_SECONDS):
            self._still_there()
        try:
            self._still_there()
        except _Gone:
            self.server.reading.release()
            raise

    def _still_there(self) -> None:
        ready, _, _ = select.select([self.connection], [], [], 0)
        if ready and not self.connection.recv(1, socket.MSG_PEEK):
            raise _Gone

    def _refuse(self, status: HTTPStatus, reason: str, kind: str) -> None:
        body = json.dumps({"error": reason, "kind": kind, "retry": status in _PASSING}).encode()
        more = {"Cache-Control": "no-store"}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            more["Allow"] = "GET"
        with contextlib.suppress(OSError):
            self._say(status, (JSON, body), more)

    def _say(self, status: HTTPStatus, answer: Answer, more: Mapping[str, str]) -> None:
        kind, body = answer
        self.send_response(status)
        for name, value in {**_HEADERS, **more, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what cannot be understood as everything else is answered."""
        self.close_connection = True
        self.request_version = "HTTP/1.1"
        self.command = getattr(self, "command", None) or "GET"
        self._refuse(HTTPStatus(code), HTTPStatus(code).phrase, "Refused")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server has
        """Say nothing: what is asked for is nobody else's business."""


_PASSING = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY, HTTPStatus.INTERNAL_SERVER_ERROR}


def _place_of(error: BaseException) -> str:
    """Return file and line in which an error arose."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"

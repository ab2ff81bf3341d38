"""An HTTP proxy in front of an object store that delays, limits, breaks and counts requests.

As a process, `python tests/proxy.py LISTEN UPSTREAM [HOST]`, it is driven by GETs on port LISTEN + 1:
`/set?rtt=0.025&slowdown=0.1` changes `Faults`, `/counts` gives what went over the wire, `/zero` gives
it and starts again. In a test, `with FaultProxy(upstream) as proxy` is the same in a thread.

Headers pass untouched, the Host among them, so signatures stay valid.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

_PIECE = 1 << 18
_SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>'
_NO_BODY = {204, 304}
_BROKEN = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError)


@dataclasses.dataclass(slots=True)
class Faults:
    """What happens to requests; rates are probabilities for each request.

    `rtt` seconds pass before each answer, and once more for each new connection. `rate` is bytes a second
    in each direction, shared by all. `reset` breaks the connection before the request is passed on;
    `slowdown` answers 503; `stall` never answers; `freeze` stops in the middle of the answer's body; `cut`
    breaks it off there; `drop` lets the server do the work, reads its whole answer and breaks the connection.
    Only requests whose method and path match (regular expressions) are hit, and at most `times` of them.
    """

    rtt: float = 0.0
    rate: float = 0.0
    reset: float = 0.0
    slowdown: float = 0.0
    stall: float = 0.0
    freeze: float = 0.0
    cut: float = 0.0
    drop: float = 0.0
    times: int = -1
    method: str = ""
    path: str = ""

    def choose(self, method: str, path: str) -> str:
        """Return the fault that this request meets, or nothing."""
        if self.times == 0 or not re.search(self.method, method) or not re.search(self.path, path):
            return ""
        for fault in ("reset", "slowdown", "stall", "freeze", "cut", "drop"):
            if random.random() < getattr(self, fault):
                self.times -= 1
                return fault
        return ""


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The start of a request or an answer."""

    raw: bytes
    first: list[str]
    headers: dict[str, str]

    @property
    def length(self) -> int | None:
        """Bytes of the body; `None` where it comes in chunks or ends with the connection."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return None
        length = self.headers.get("content-length")
        return None if length is None else int(length)

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()


class FaultProxy:
    """The proxy in a thread of its own.

    Parameters
    ----------
    upstream
        Port of the server.
    listen
        Port to listen on; 0 takes a free one. A control port is opened only where it is given.
    """

    def __init__(self, upstream: int, *, listen: int = 0, host: str = "127.0.0.1") -> None:
        self.upstream = upstream
        self.port = listen
        self.host = host
        self.faults = Faults()
        self._counts: Counter[str] = Counter()
        self._free = {"up": 0.0, "down": 0.0}
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def counts(self) -> dict[str, int]:
        """What went over the wire: requests by kind, their sum, and bytes of bodies each way."""
        found = dict(self._counts)
        requests = sum(number for kind, number in found.items() if not kind.startswith("bytes"))
        return {"bytes_up": 0, "bytes_down": 0, **found, "requests": requests}

    def zero(self) -> dict[str, int]:
        """Return the counts and start again."""
        before, self._counts = self.counts, Counter()
        return before

    def set(self, **faults: Any) -> None:
        """Have these faults and no others."""
        self.faults = Faults(**faults)

    async def start(self) -> None:
        server = await asyncio.start_server(self._connection, self.host, self.port, limit=1 << 20)
        self._servers = [server]
        if self.port:
            self._servers.append(await asyncio.start_server(self._control, self.host, self.port + 1))
        self.port = server.sockets[0].getsockname()[1]

    def __enter__(self) -> Self:
        started = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self.start())
            started.set()
            self._loop.run_forever()
            self._loop.run_until_complete(self._stop())
            self._loop.close()

        self._thread = threading.Thread(target=run, name="fault-proxy", daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    # -- one client connection, with one of its own to the server ---------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            await asyncio.sleep(self.faults.rtt)
            while (head := await _head(reader)) is not None:
                if upstream is None or upstream[0].at_eof():
                    upstream = await asyncio.open_connection(self.host, self.upstream, limit=1 << 20)
                if not await self._exchange(head, reader, writer, *upstream):
                    break
        except (*_BROKEN, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            for each in (writer, upstream[1] if upstream else writer):
                with suppress(*_BROKEN):
                    each.close()

    async def _exchange(
        self,
        head: Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> bool:
        """Pass one request and its answer on; return whether the connection goes on."""
        method, path = head.first[0], head.first[1]
        self._counts[kind_of(method, path)] += 1
        fault = self.faults.choose(method, path)
        if fault == "reset":
            raise ConnectionResetError
        if fault == "slowdown":
            await self._pass_body(head, reader, None, "up")
            await asyncio.sleep(self.faults.rtt)
            writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\n")
            body = b"" if method == "HEAD" else _SLOW_DOWN
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            return True
        if fault == "stall":
            await _until_gone(reader)
        server_writer.write(head.raw)
        if head.headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self._pass_body(head, reader, server_writer, "up")
        answer = await _answer(server_reader)
        await asyncio.sleep(self.faults.rtt)
        if fault == "drop":
            await self._pass_answer(method, answer, server_reader, None)
            raise ConnectionResetError
        if fault in ("cut", "freeze"):
            if method != "HEAD" and answer.length:  # without a body, the head does not arrive
                writer.write(answer.raw)
                writer.write(await server_reader.readexactly(answer.length // 2))
                await writer.drain()
            if fault == "freeze":
                await _until_gone(reader)
            raise ConnectionResetError
        writer.write(answer.raw)
        await self._pass_answer(method, answer, server_reader, writer)
        return "close" not in (answer.headers.get("connection", ""), head.headers.get("connection", ""))

    async def _pass_answer(
        self, method: str, answer: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None
    ) -> None:
        if method != "HEAD" and int(answer.first[1]) not in _NO_BODY:
            await self._pass_body(answer, reader, writer, "down")
        if writer is not None:
            await writer.drain()

    async def _pass_body(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, way: str
    ) -> None:
        if head.chunked:
            await self._pass_chunks(reader, writer, way)
            return
        left = head.length or 0
        while left:
            piece = await reader.read(min(left, _PIECE))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            await self._pass(piece, writer, way)

    async def _pass_chunks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, way: str) -> None:
        while True:
            line = await reader.readline()
            size = int(line.split(b";")[0], 16)
            body = await reader.readexactly(size + 2)
            self._counts[f"bytes_{way}"] -= len(line) + 2  # only what is inside the chunks counts
            await self._pass(line + body, writer, way)
            if size == 0:
                return

    async def _pass(self, piece: bytes, writer: asyncio.StreamWriter | None, way: str) -> None:
        self._counts[f"bytes_{way}"] += len(piece)
        if self.faults.rate:
            now = time.monotonic()
            self._free[way] = max(self._free[way], now) + len(piece) / self.faults.rate
            await asyncio.sleep(self._free[way] - now)
        if writer is not None:
            writer.write(piece)
            await writer.drain()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _head(reader)
        if head is not None:
            parts = urlsplit(head.first[1])
            if parts.path == "/set":
                kinds = {field.name: type(field.default) for field in dataclasses.fields(Faults)}
                self.set(**{name: kinds[name](value) for name, value in parse_qsl(parts.query)})
            answer: Any = {"/counts": lambda: self.counts, "/zero": self.zero}.get(
                parts.path, lambda: dataclasses.asdict(self.faults)
            )()
            body = json.dumps(answer).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()


def kind_of(method: str, target: str) -> str:
    """Return what a request is for S3: GET and PUT of objects, LIST, PART, DELETE of many and so on."""
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    if method == "GET" and ("list-type" in query or "/" not in parts.path.strip("/")):
        return "LIST"
    if "uploadId" in query or "uploads" in query:
        return "PART" if method == "PUT" else "MULTIPART"
    return "DELETE" if method == "POST" and "delete" in query else method


async def _head(reader: asyncio.StreamReader) -> Head | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = raw.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Head(raw, first.split(" ", 2), headers)


async def _answer(reader: asyncio.StreamReader) -> Head:
    """Return the head of the answer, past any `100 Continue`."""
    while True:
        head = await _head(reader)
        if head is None:
            raise ConnectionResetError
        if not head.first[1].startswith("1"):
            return head


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Wait until the client gives up."""
    while await reader.read(_PIECE):
        pass
    raise ConnectionResetError


async def _serve(listen: int, upstream: int, host: str) -> None:
    proxy = FaultProxy(upstream, listen=listen, host=host)
    await proxy.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"))

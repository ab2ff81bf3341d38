"""An HTTP proxy in front of an object store that delays, limits, breaks and counts requests; tests and bench share it.

As a process, `python tests/proxy.py LISTEN UPSTREAM [HOST]`, it is driven by GETs on port LISTEN + 1:
`/set?rtt=0.025&slowdown=0.1` changes `Faults`, `/counts` gives what went over the wire, `/zero` gives
it and starts again. In a test, `with FaultProxy(upstream) as proxy` is the same in a thread.

Headers pass untouched, the Host among them, so signatures stay valid. Bodies pass through one buffer for each
end of a connection, unseen, so that the proxy takes little of the processor that it shares with what is measured.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any, NoReturn, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

_BLOCK = 1 << 20
_SLOW_BLOCK = 1 << 16  # at a limited rate: no pause is longer than this takes
_SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>'
_NO_BODY = {204, 304}
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without a wait: closing resets


@dataclasses.dataclass(slots=True)
class Faults:
    """What happens to requests; rates are probabilities for each request.

    `rtt` seconds pass before each answer, and with `handshake` once more for each new connection. `rate` is bytes
    a second in each direction, shared by all. `reset` breaks the connection before the request is passed on;
    `slowdown` answers 503; `stall` never answers; `freeze` stops in the middle of the answer's body; `cut`
    breaks it off there; `drop` lets the server do the work, reads its whole answer and breaks the connection.
    Only requests whose method and path match (regular expressions) are hit, and at most `times` of them.
    """

    rtt: float = 0.0
    handshake: int = 1
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

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        first, *lines = raw.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(raw, first.split(" ", 2), headers)

    @property
    def length(self) -> int:
        """Bytes of the body, where it does not come in chunks."""
        return int(self.headers.get("content-length") or 0)

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class Wire:
    """One end of a connection: heads and lines are read here, bodies pass through without being looked at."""

    __slots__ = ("_held", "_loop", "_room", "end")

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)  # noqa: FBT003 - the socket's own argument
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.end = end
        self._held = b""
        self._loop = asyncio.get_running_loop()
        self._room = bytearray()

    async def until(self, mark: bytes) -> bytes:
        """Return everything up to a mark, and the mark."""
        while mark not in self._held:
            more = await self._loop.sock_recv(self.end, 1 << 16)
            if not more:
                raise ConnectionResetError
            self._held += more
        found, _, self._held = self._held.partition(mark)
        return found + mark

    async def block(self, most: int) -> memoryview:
        """Return what comes next, valid until the next call."""
        if self._held:
            first, self._held = self._held[:most], self._held[most:]
            return memoryview(first)
        if len(self._room) < most:
            self._room = bytearray(most)
        view = memoryview(self._room)
        count = await self._loop.sock_recv_into(self.end, view[:most])
        if not count:
            raise ConnectionResetError
        return view[:count]

    @property
    def gone(self) -> bool:
        """Whether the other side has closed an idle connection."""
        try:
            return not self.end.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def send(self, data: bytes | memoryview) -> None:
        await self._loop.sock_sendall(self.end, data)

    async def until_gone(self) -> None:
        """Wait until the other side gives up."""
        while True:
            await self.block(_BLOCK)

    def close(self, *, hard: bool = False) -> None:
        """Close the connection, with a reset where it is cut."""
        if hard:
            self.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.end.close()


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
        self._in_flight = 0
        self._free = {"up": 0.0, "down": 0.0}
        self._loop = asyncio.new_event_loop()
        self._controls: list[asyncio.Server] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def counts(self) -> dict[str, int]:
        """What went over the wire: requests by kind, their sum, their waves, and bytes of bodies each way.

        Requests that overlap are one wave.
        """
        found = dict(self._counts)
        requests = sum(number for kind, number in found.items() if kind.isupper())
        return {"bytes_up": 0, "bytes_down": 0, "waves": 0, **found, "requests": requests}

    def zero(self) -> dict[str, int]:
        """Return the counts and start again."""
        before, self._counts = self.counts, Counter()
        return before

    def set(self, **faults: Any) -> None:
        """Have these faults and no others."""
        self.faults = Faults(**faults)

    async def start(self) -> None:
        control = self.port + 1 if self.port else 0
        listener = socket.create_server((self.host, self.port), backlog=512)
        listener.setblocking(False)  # noqa: FBT003 - the socket's own argument
        self.port = listener.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept(listener))
        if control:
            self._controls.append(await asyncio.start_server(self._control, self.host, control))

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
        for control in self._controls:
            control.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    async def _accept(self, listener: socket.socket) -> None:
        loop, connections = asyncio.get_running_loop(), set()
        with listener:
            while True:
                end, _ = await loop.sock_accept(listener)
                task = asyncio.create_task(self._connection(Wire(end)))
                connections.add(task)
                task.add_done_callback(connections.discard)

    # -- one client connection, with one of its own to the server ---------------------------------

    async def _connection(self, client: Wire) -> None:
        server: Wire | None = None
        hard = True
        try:
            await asyncio.sleep(self.faults.rtt * self.faults.handshake)
            while True:
                head = Head.parse(await client.until(b"\r\n\r\n"))
                if server is not None and server.gone:
                    server.close()
                    server = None
                server = server or await self._connect()
                self._counts["waves"] += not self._in_flight
                self._in_flight += 1
                try:
                    goes_on = await self._exchange(head, client, server)
                finally:
                    self._in_flight -= 1
                if not goes_on:
                    hard = False
                    break
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            client.close(hard=hard)
            if server is not None:
                server.close()

    async def _connect(self) -> Wire:
        end = socket.socket()
        end.setblocking(False)  # noqa: FBT003 - the socket's own argument
        try:
            await asyncio.get_running_loop().sock_connect(end, (self.host, self.upstream))
        except BaseException:
            end.close()
            raise
        return Wire(end)

    async def _exchange(self, head: Head, client: Wire, server: Wire) -> bool:
        """Pass one request and its answer on; return whether the connection goes on."""
        method, path = head.first[0], head.first[1]
        self._counts[kind_of(method, path)] += 1
        fault = self.faults.choose(method, path)
        if fault == "reset":
            raise ConnectionResetError
        if fault == "slowdown":
            await self._pass_body(head, client, None, "up")
            await asyncio.sleep(self.faults.rtt)
            body = b"" if method == "HEAD" else _SLOW_DOWN
            start = b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
            await client.send(start % len(body) + body)
            return True
        if fault == "stall":
            await client.until_gone()
        await server.send(head.raw)
        if head.headers.get("expect", "").lower() == "100-continue":
            await client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self._pass_body(head, client, server, "up")
        answer = await _answer(server)
        await asyncio.sleep(self.faults.rtt)
        if fault in ("cut", "freeze"):
            await self._break_off(fault, method, answer, client, server)
        target = None if fault == "drop" else client
        if target is not None:
            await target.send(answer.raw)
        if method != "HEAD" and int(answer.first[1]) not in _NO_BODY:
            await self._pass_body(answer, server, target, "down")
        if fault == "drop":
            raise ConnectionResetError
        return not (answer.closes or head.closes)

    async def _break_off(self, fault: str, method: str, answer: Head, client: Wire, server: Wire) -> NoReturn:
        """Pass half of an answer's body on, and no more."""
        if method != "HEAD" and answer.length:  # without a body, the head does not arrive
            await client.send(answer.raw)
            await self._pass(answer.length // 2, server, client, "down")
        if fault == "freeze":
            await client.until_gone()
        raise ConnectionResetError

    async def _pass_body(self, head: Head, source: Wire, target: Wire | None, way: str) -> None:
        if not head.chunked:
            await self._pass(head.length, source, target, way)
            return
        size = -1
        while size:
            line = await source.until(b"\r\n")
            size = int(line.split(b";")[0], 16)
            if target is not None:
                await target.send(line)
            await self._pass(size + 2, source, target, way)
            self._counts[f"bytes_{way}"] -= 2  # only what is inside the chunks counts

    async def _pass(self, size: int, source: Wire, target: Wire | None, way: str) -> None:
        while size:
            block = await source.block(min(size, _SLOW_BLOCK if self.faults.rate else _BLOCK))
            size -= len(block)
            self._counts[f"bytes_{way}"] += len(block)
            if self.faults.rate:
                now = time.monotonic()
                self._free[way] = max(self._free[way], now) + len(block) / self.faults.rate
                await asyncio.sleep(self._free[way] - now)
            if target is not None:
                await target.send(block)

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):  # someone who only looks whether it listens
            parts = urlsplit(Head.parse(await reader.readuntil(b"\r\n\r\n")).first[1])
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


async def _answer(server: Wire) -> Head:
    """Return the head of the answer, past any `100 Continue`."""
    while True:
        head = Head.parse(await server.until(b"\r\n\r\n"))
        if not head.first[1].startswith("1"):
            return head


async def _serve(listen: int, upstream: int, host: str) -> None:
    await FaultProxy(upstream, listen=listen, host=host).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"))

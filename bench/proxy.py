"""A proxy in front of an S3 server that adds time to each request, counts, and misbehaves when told to.

    python -m bench.proxy LISTEN UPSTREAM

`GET http://127.0.0.1:(LISTEN+1)/?delay_ms=25&http503=0.1` sets what it does, `/?reset_counts=1` sets the counters to
zero, and every answer there is the counters as JSON. The Host header goes on unchanged, so that signatures hold.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import sys
from collections import Counter
from dataclasses import asdict, dataclass, fields
from urllib.parse import parse_qs, urlsplit

_BLOCK = 1 << 20
_SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>slow down</Message></Error>'
_NO_BODY = frozenset({204, 304})


@dataclass(slots=True)
class Behaviour:
    """What the proxy does to requests; all but the delay are shares of requests, 0 to 1.

    Parameters
    ----------
    delay_ms
        Added to each request before it goes on.
    reset
        The connection is reset, and the request never arrives.
    cut
        The connection ends within the answer.
    stall
        Nothing comes for an hour.
    http503
        `503 SlowDown` instead of an answer.
    lose_response
        The request is carried out and answered, and the answer is lost.
    """

    delay_ms: float = 0.0
    reset: float = 0.0
    cut: float = 0.0
    stall: float = 0.0
    http503: float = 0.0
    lose_response: float = 0.0


class Head:
    """The head of a request or an answer."""

    __slots__ = ("headers", "raw", "start")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        first, *rest = raw.decode("latin-1").split("\r\n")
        self.start = first.split(" ", 2)
        pairs = (line.partition(":") for line in rest if line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}

    @property
    def length(self) -> int | None:
        """Bytes of the body; `None` for a chunked one or one that ends with the connection."""
        value = self.headers.get("content-length")
        return None if value is None else int(value)

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.headers.get("transfer-encoding", "").lower()


def kind_of(head: Head) -> str:
    """Return what a request is for: GET, LIST, HEAD, PUT, PART, DELETE, or the method with MULTI before it."""
    method, target = head.start[0], urlsplit(head.start[1])
    query = parse_qs(target.query, keep_blank_values=True)
    if "partNumber" in query and method == "PUT":
        return "PART"
    if "uploads" in query or "uploadId" in query:
        return f"MULTI{method}"
    if method == "GET" and ("list-type" in query or not target.path.strip("/").count("/")):
        return "LIST"
    return method


class Lost(Exception):
    """The connection ends here."""


class Wire:
    """One end of a connection: heads and lines are read here, bodies pass through without being looked at.

    Parameters
    ----------
    end
        A connected socket.
    """

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
                raise Lost
            self._held += more
        found, _, self._held = self._held.partition(mark)
        return found + mark

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        await self._loop.sock_sendall(self.end, data)

    async def relay(self, size: int, target: Wire | None) -> None:
        """Send the next bytes on to another end, or nowhere."""
        first, self._held = self._held[:size], self._held[size:]
        if first and target is not None:
            await target.send(first)
        left = size - len(first)
        if left and len(self._room) < min(left, _BLOCK):
            self._room = bytearray(min(left, _BLOCK))
        view = memoryview(self._room)
        while left:
            count = await self._loop.sock_recv_into(self.end, view[: min(left, _BLOCK)])
            if not count:
                raise Lost
            left -= count
            if target is not None:
                await self._loop.sock_sendall(target.end, view[:count])

    def close(self, *, hard: bool = False) -> None:
        """Close the connection, with a reset where it is cut."""
        if hard:
            self.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end.close()


class Proxy:
    """Everything one proxy knows.

    Parameters
    ----------
    upstream
        Port of the server on 127.0.0.1.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.behaviour = Behaviour()
        self.counts: Counter[str] = Counter()
        self._in_flight = 0

    async def accept(self, listener: socket.socket) -> None:
        """Serve connections until stopped."""
        loop = asyncio.get_running_loop()
        open_connections: set[asyncio.Task[None]] = set()
        while True:
            end, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self._serve(Wire(end)))
            open_connections.add(task)
            task.add_done_callback(open_connections.discard)

    async def _serve(self, client: Wire) -> None:
        """Answer the requests of one connection, one after the other."""
        server: Wire | None = None
        hard = False
        self.counts["connections"] += 1
        try:
            while True:
                head = Head(await client.until(b"\r\n\r\n"))
                self.counts[kind_of(head)] += 1
                self.counts["requests"] += 1
                self.counts["wire_up"] += len(head.raw)
                if server is None:
                    server = Wire(socket.socket())
                    await asyncio.get_running_loop().sock_connect(server.end, ("127.0.0.1", self.upstream))
                self.counts["waves"] += not self._in_flight  # requests that overlap are one wave
                self._in_flight += 1
                try:
                    goes_on = await self._exchange(head, client, server)
                finally:
                    self._in_flight -= 1
                if not goes_on:
                    break
        except (OSError, Lost):
            hard = True
        finally:
            client.close(hard=hard)
            if server is not None:
                server.close()

    async def _exchange(self, head: Head, client: Wire, server: Wire) -> bool:
        """Carry one request and its answer; return whether the connection goes on."""
        does = self.behaviour
        if random.random() < does.reset:
            raise Lost
        if random.random() < does.stall:
            await asyncio.sleep(3600)
        if does.delay_ms:
            await asyncio.sleep(does.delay_ms / 1e3)
        if "expect" in head.headers:
            await client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        refused = random.random() < does.http503
        target = None if refused else server
        if target is not None:
            lines = [line for line in head.raw.split(b"\r\n") if not line.lower().startswith(b"expect:")]
            await target.send(b"\r\n".join(lines))
        await self._body(head, client, target, "up")
        if refused:
            answer = b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
            await client.send(answer % len(_SLOW_DOWN) + (b"" if head.start[0] == "HEAD" else _SLOW_DOWN))
            return True
        return await self._answer(head, server, client)

    async def _answer(self, request: Head, server: Wire, client: Wire) -> bool:
        lost = random.random() < self.behaviour.lose_response
        cut = random.random() < self.behaviour.cut
        target = None if lost else client
        head = Head(await server.until(b"\r\n\r\n"))
        while head.start[1].startswith("1"):
            head = Head(await server.until(b"\r\n\r\n"))
        self.counts["wire_down"] += len(head.raw)
        if target is not None:
            await target.send(head.raw)
        if request.start[0] != "HEAD" and int(head.start[1]) not in _NO_BODY:
            if cut and head.length:
                await server.relay(random.randrange(head.length), target)
            else:
                await self._body(head, server, target, "down")
        if lost or cut:
            raise Lost
        return "close" not in head.headers.get("connection", "").lower()

    async def _body(self, head: Head, source: Wire, target: Wire | None, way: str) -> None:
        if not head.chunked:
            await self._part(source, target, head.length or 0, way)
            return
        size = 1
        while size:
            line = await source.until(b"\r\n")
            size = int(line.split(b";")[0], 16)
            self.counts[f"wire_{way}"] += len(line) + 2
            if target is not None:
                await target.send(line)
            await self._part(source, target, size, way)
            await source.relay(2, target)

    async def _part(self, source: Wire, target: Wire | None, size: int, way: str) -> None:
        await source.relay(size, target)
        self.counts[f"wire_{way}"] += size
        self.counts[f"body_{way}"] += size

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Set what is asked for, and answer with the counters and the behaviour."""
        head = Head(await reader.readuntil(b"\r\n\r\n"))
        query = {name: values[0] for name, values in parse_qs(urlsplit(head.start[1]).query).items()}
        for entry in fields(Behaviour):
            if entry.name in query:
                setattr(self.behaviour, entry.name, float(query[entry.name]))
        body = json.dumps({"counts": dict(self.counts), "behaviour": asdict(self.behaviour)}).encode()
        if "reset_counts" in query:
            self.counts.clear()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()


async def main(listen: int, upstream: int) -> None:
    """Serve until stopped."""
    proxy = Proxy(upstream)
    listener = socket.create_server(("127.0.0.1", listen), backlog=512)
    listener.setblocking(False)  # noqa: FBT003 - the socket's own argument
    await asyncio.start_server(proxy.control, "127.0.0.1", listen + 1)
    await proxy.accept(listener)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

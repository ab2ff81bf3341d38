"""A proxy in front of an S3 server that adds time to each request, counts, and misbehaves when told to.

    python bench/proxy.py LISTEN UPSTREAM

`GET http://127.0.0.1:(LISTEN+1)/?delay_ms=25&http503=0.1` sets what it does, `/?reset_counts=1` sets the counters to
zero, and every answer there is the counters as JSON. The Host header goes on unchanged, so that signatures hold.
"""

from __future__ import annotations

import asyncio
import json
import random
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


class Lost(Exception):  # noqa: N818 - not an error, a fault made on purpose
    """The connection ends here."""


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

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.counts["connections"] += 1
        try:
            while True:
                head = Head(await reader.readuntil(b"\r\n\r\n"))
                self.counts[kind_of(head)] += 1
                self.counts["requests"] += 1
                self.counts["wire_up"] += len(head.raw)
                if server is None:
                    server = await asyncio.open_connection("127.0.0.1", self.upstream, limit=4 * _BLOCK)
                if not await self._exchange(head, reader, writer, *server):
                    break
        except (ConnectionError, OSError, asyncio.IncompleteReadError, Lost):
            writer.transport.abort()
        finally:
            writer.close()
            if server is not None:
                server[1].close()

    async def _exchange(
        self,
        head: Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> bool:
        """Carry one request and its answer; return whether the connection goes on."""
        does = self.behaviour
        if random.random() < does.reset:
            raise Lost
        if random.random() < does.stall:
            await asyncio.sleep(3600)
        if does.delay_ms:
            await asyncio.sleep(does.delay_ms / 1e3)
        if "expect" in head.headers:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        refused = random.random() < does.http503
        target = None if refused else server
        if target is not None:
            lines = [line for line in head.raw.split(b"\r\n") if not line.lower().startswith(b"expect:")]
            target.write(b"\r\n".join(lines))
        if head.chunked:
            await self._chunks(reader, target, "up")
        elif head.length:
            await self._bytes(reader, target, head.length, "up")
        if refused:
            answer = b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
            writer.write(answer % len(_SLOW_DOWN) + (b"" if head.start[0] == "HEAD" else _SLOW_DOWN))
            await writer.drain()
            return True
        return await self._answer(head, answers, writer)

    async def _answer(self, request: Head, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lost = random.random() < self.behaviour.lose_response
        cut = random.random() < self.behaviour.cut
        target = None if lost else writer
        while True:
            head = Head(await answers.readuntil(b"\r\n\r\n"))
            if not head.start[1].startswith("1"):
                break
        self.counts["wire_down"] += len(head.raw)
        if target is not None:
            target.write(head.raw)
        if request.start[0] == "HEAD" or int(head.start[1]) in _NO_BODY:
            pass
        elif head.chunked:
            await self._chunks(answers, target, "down")
        elif head.length is not None:
            size = random.randrange(head.length) if cut and head.length else head.length
            await self._bytes(answers, target, size, "down")
        if lost or cut:
            raise Lost
        await writer.drain()
        return "close" not in head.headers.get("connection", "").lower()

    async def _bytes(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter | None, size: int, way: str
    ) -> None:
        left = size
        while left:
            block = await source.read(min(left, _BLOCK))
            if not block:
                raise Lost
            left -= len(block)
            if target is not None:
                target.write(block)
                await target.drain()
        self.counts[f"wire_{way}"] += size
        self.counts[f"body_{way}"] += size

    async def _chunks(self, source: asyncio.StreamReader, target: asyncio.StreamWriter | None, way: str) -> None:
        while True:
            line = await source.readuntil(b"\r\n")
            if target is not None:
                target.write(line)
            size = int(line.split(b";")[0], 16)
            self.counts[f"wire_{way}"] += len(line)
            await self._bytes(source, target, size, way)
            end = await source.readuntil(b"\r\n")
            if target is not None:
                target.write(end)
                await target.drain()
            if not size:
                return

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
    await asyncio.start_server(proxy.serve, "127.0.0.1", listen, limit=4 * _BLOCK, backlog=512)
    await asyncio.start_server(proxy.control, "127.0.0.1", listen + 1)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

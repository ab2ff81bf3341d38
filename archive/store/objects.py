"""Object stores, through obstore: one call here is one request on the wire."""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import obstore
from obstore import exceptions

from archive.errors import AccessDenied, Conflict, DamagedData, NotFound, ReadOnlyStore, StoreTrouble
from archive.store.requests import Entry, Get, List, Object

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterator, Sequence

__all__ = ["ObjectBackend"]

_SLOWEST = 128 * 1024  # bytes a second, below which an upload counts as stalled
_PAGE = 1000
_METADATA_SERVICE = "169.254.169.254"  # asked for credentials when there are none
_CODE = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,200})</Message>")
_DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "Forbidden"}
)


class ObjectBackend:
    """One bucket and prefix.

    Parameters
    ----------
    reader, writer
        The same place through two clients: the reader's gives up when no byte comes for `stall`
        seconds; the writer's does not, since it would count the time of the upload as silence.
    stall
        Seconds without progress after which a request is given up.
    """

    def __init__(
        self, reader: Any, writer: Any, *, name: str, stall: float, writable: bool = True, can_list: bool = True
    ) -> None:
        self._reader, self._writer, self._name, self._stall = reader, writer, name, stall
        self.writable, self.can_list = writable, can_list

    async def get(self, request: Get) -> Object | None:
        """Return an object or a part of it."""
        options: Any = {}
        if request.start is not None and request.stop is not None:
            options["range"] = (request.start, request.stop)
        if request.etag is not None:
            options["if_match"] = request.etag
        if request.unless_etag is not None:
            options["if_none_match"] = request.unless_etag
        with self._errors(request.key):
            try:
                reply = await obstore.get_async(self._reader, request.key, options=options)
                data = await reply.bytes_async()
            except exceptions.NotModifiedError:
                return None
        meta = reply.meta
        body = memoryview(data)
        if request.stop is not None and len(body) != request.stop - (request.start or 0):
            raise DamagedData(
                f"{request.key}: {meta['size']} bytes, too few for bytes {request.start} to {request.stop}"
            )
        return Object(request.key, body, meta["size"], meta["e_tag"], meta["last_modified"])

    async def head(self, key: str) -> Entry:
        """Return what a listing would say of an object."""
        with self._errors(key):
            meta = await obstore.head_async(self._reader, key)
        return Entry(key, meta["size"], meta["e_tag"], meta["last_modified"])

    async def put(self, key: str, data: Buffer, etag: str) -> str:
        """Write an object in one request if the condition holds, and return its tag."""
        size = memoryview(data).nbytes
        mode: Any = {"e_tag": etag} if etag else "create"
        put = obstore.put_async(self._writer, key, bytes(data), mode=mode, use_multipart=False)
        with self._errors(key):
            try:
                result = await asyncio.wait_for(put, self._stall + size / _SLOWEST)
            except TimeoutError as error:
                raise StoreTrouble(f"{key}: the upload of {size} bytes to {self._name} makes no progress") from error
        return str(result["e_tag"])

    async def entries(self, request: List) -> Sequence[Entry]:
        """Return the objects under a prefix, sorted by key, a thousand a request."""
        if not self.can_list:
            raise ReadOnlyStore(f"{self._name}: this kind of store cannot list")
        found: list[Entry] = []
        folder, _, _name = request.prefix.rpartition("/")
        with self._errors(request.prefix):
            stream = obstore.list(self._reader, folder or None, chunk_size=_PAGE)
            while page := await anext(stream, None):
                found.extend(Entry(m["path"], m["size"], m["e_tag"], m["last_modified"]) for m in page)
                if request.limit is not None and len(found) >= request.limit:
                    break
        wanted = [entry for entry in found if entry.key.startswith(request.prefix)]
        return sorted(wanted, key=lambda entry: entry.key)[: request.limit]

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects."""
        for key in keys:
            with self._errors(key):
                try:
                    await asyncio.wait_for(obstore.delete_async(self._writer, key), self._stall)
                except (exceptions.NotFoundError, FileNotFoundError):
                    pass
                except TimeoutError as error:
                    raise StoreTrouble(f"{key}: {self._name} does not answer") from error

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            if "NoSuchBucket" in str(error):
                raise NotFound(f"{self._name}: no such bucket; check the URL, or make the bucket first") from error
            raise NotFound(f"{key}: no such object in {self._name}") from error
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
            raise Conflict(f"{key}: exists already or has changed in {self._name}") from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise self._denied(key, error) from error
        except exceptions.NotSupportedError as error:
            raise ReadOnlyStore(f"{self._name}: {key} cannot be written conditionally in this kind of store") from error
        except (exceptions.BaseError, OSError) as error:
            code = _CODE.search(str(error))
            if _METADATA_SERVICE in str(error):
                raise AccessDenied(
                    f"{self._name}: no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
                    "AWS_PROFILE, or read a public bucket with anonymous=True"
                ) from error
            if code and code[1] == "NoSuchBucket":
                raise NotFound(f"{self._name}: no such bucket; check the URL, or make the bucket first") from error
            if (code and code[1] in _DENIED) or "credential" in str(error).lower():
                raise self._denied(key, error) from error
            raise StoreTrouble(f"{key}: {self._name}: {_short(error)}") from error

    def _denied(self, key: str, error: Exception) -> AccessDenied:
        return AccessDenied(
            f"{key}: {self._name} refuses these credentials ({_short(error)}); "
            "check AWS_ACCESS_KEY_ID, AWS_PROFILE or storage_options"
        )


def _short(error: Exception) -> str:
    """Return the server's own code and message, or the last words of an error chain; never a URL's query."""
    text = str(error)
    code, message = _CODE.search(text), _MESSAGE.search(text)
    if code:
        return f"{code[1]}: {message[1]}" if message else code[1]
    line = re.sub(r"\?[^\s)\"]+", "", text.split("\n\n", maxsplit=1)[0].replace("\n", " "))
    return line if len(line) <= 300 else f"{line[:140]} ... {line[-140:]}"  # noqa: PLR2004 - one line or two

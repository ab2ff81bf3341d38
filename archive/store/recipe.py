"""All that is needed to make a store, here or, without the secrets, in another process."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from obstore import exceptions
from obstore.store import AzureStore, GCSStore, HTTPStore, MemoryStore, S3Store

from archive.errors import InvalidInput, NotFound
from archive.store.credentials import Access, s3_access
from archive.store.engine import Engine
from archive.store.faults import redact
from archive.store.objects import ObjectBackend
from archive.store.options import CLIENT, limits_of, normalised, public

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import ObjectStore

    from archive.store.backend import Backend
    from archive.store.patience import Limits
    from archive.store.place import Place

__all__ = ["Recipe"]

_CONNECT_SECONDS = 10.0
# obstore limits whole requests to 30 s unless told otherwise; a big object over a slow line needs
# longer, and time without progress is limited elsewhere.
_NO_LIMIT = timedelta(days=7)

_memory: dict[str, MemoryStore] = {}
# Tells the memory of this process from that of any other.
_THIS_PROCESS = secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to make a store.

    Parameters
    ----------
    place
        Where it is.
    options
        Storage options under obstore's names, secrets among them.
    limits
        When to give up.
    width
        Requests in flight at once.
    process
        Whose memory a memory store means.
    stripped
        The first process was given literal credentials, and they were left behind there.
    """

    place: Place
    options: dict[str, Any] = field(repr=False)
    limits: Limits
    width: int
    process: str = _THIS_PROCESS
    stripped: bool = False

    @classmethod
    def of(cls, place: Place, options: dict[str, Any], width: int) -> Recipe:
        """Return the recipe for what a user asked for."""
        settings = options if place.kind == "foreign" else normalised(options, s3=place.kind == "s3")
        limits = limits_of(settings)
        return cls(place=place, options=settings, limits=limits, width=width)

    @property
    def shown(self) -> str:
        """The URL without secrets."""
        return self.place.shown

    @property
    def travels(self) -> bool:
        """Whether another process can make the same store without being given anything more."""
        return self.place.kind != "memory" and set(self.options) == set(public(self.options))

    def without_secrets(self) -> Recipe:
        """Return what may travel to another process."""
        kept = public(self.options)
        place = self.place if self.place.kind == "folder" else replace(self.place, url=self.place.shown)
        left_behind = set(self.options) - set(kept)
        return replace(self, place=place, options=kept, stripped=self.stripped or bool(left_behind))

    def engine(self) -> Engine:
        """Return the store at work."""
        return Engine(backend=self._backend(), limits=self.limits, width=self.width, url=self.shown)

    def _backend(self) -> Backend:
        if self.place.kind == "folder":
            from archive.store.folder import FolderBackend

            self._refuse_options()
            return FolderBackend(root=self.place.bucket, url=self.shown, width=self.width)
        if self.place.kind == "foreign":
            from archive.store.foreign import ForeignBackend

            return ForeignBackend(url=self.place.url, shown=self.shown, options=self.options, width=self.width)
        if self.place.kind == "memory":
            return self._memory()
        return self._bucket()

    def _memory(self) -> Backend:
        self._refuse_options()
        if self.process != _THIS_PROCESS:
            raise NotFound(f"{self.shown}: lives in the memory of another process; use a folder or a bucket")
        store = _memory.setdefault(self.place.bucket, MemoryStore())
        return ObjectBackend(
            reader=store, writer=lambda: store, prefix=self.place.prefix, url=self.shown, credentials="none", bulk=True
        )

    def _bucket(self) -> Backend:
        """Return the backend of a bucket or a web folder, with a client for each direction."""
        options = {name: value for name, value in self.options.items() if name not in CLIENT}
        make, source, endpoint = _MAKERS[self.place.kind](self.place, options)
        reads, writes = self._clients(endpoint)
        try:
            reader = make(reads)
        except (exceptions.BaseError, ValueError, TypeError) as error:
            raise InvalidInput(f"{self.shown}: storage_options: {redact(str(error).split('Debug')[0])}") from error
        web = self.place.kind == "http"
        return ObjectBackend(
            reader=reader,
            writer=lambda: make(writes),
            # obstore takes the prefix of these from the URL.
            prefix=self.place.prefix if self.place.kind == "s3" else "",
            url=self.shown,
            credentials=f"{source} (those given to the first process are never pickled)" if self.stripped else source,
            writable=not web,
            can_list=not web,
            versioned=self.place.kind == "google",
            bulk=self.place.kind == "s3" and not options.get("disable_bulk_delete"),
        )

    def _clients(self, endpoint: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the HTTP settings for reads and for writes."""
        settings: dict[str, Any] = {
            "timeout": _NO_LIMIT,
            "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, self.limits.stall_seconds)),
            **{name: value for name, value in self.options.items() if name in CLIENT},
        }
        if endpoint.startswith("http://"):
            settings.setdefault("allow_http", True)
        return {**settings, "read_timeout": timedelta(seconds=self.limits.stall_seconds)}, settings

    def _refuse_options(self) -> None:
        if self.options:
            raise InvalidInput(f"storage_options: {min(self.options)}: means nothing for {self.shown}; leave it out")


type _Maker = tuple[Callable[[dict[str, Any]], ObjectStore], str, str]

# Repeats are counted and bounded by the engine; with two layers they would multiply.
_ONCE: Any = {"max_retries": 0}


def _s3(place: Place, options: dict[str, Any]) -> _Maker:
    access: Access = s3_access(options)
    _check_endpoint(str(access.config.get("endpoint", "http://none")))

    def make(client: dict[str, Any]) -> ObjectStore:
        settings: dict[str, Any] = {"config": access.config, "client_options": client, "retry_config": _ONCE}
        if access.provider is not None:
            settings["credential_provider"] = access.provider
        return S3Store(place.bucket, **settings)

    return make, access.source, str(access.config.get("endpoint", ""))


def _check_endpoint(endpoint: str) -> None:
    """Raise unless an endpoint is a plain URL: obstore panics at some that are none, and would show passwords."""
    if not re.fullmatch(r"https?://[^/\s@?#]+(/[^\s@?#]*)?", endpoint):
        raise InvalidInput("storage_options: endpoint_url is no plain URL; write it like https://host:port")


def _by_url(kind: type[GCSStore | AzureStore], place: Place, options: dict[str, Any]) -> _Maker:
    settings = {name: value for name, value in options.items() if name != "anonymous"}
    if options.get("anonymous"):
        settings["skip_signature"] = True

    def make(client: dict[str, Any]) -> ObjectStore:
        config: Any = settings
        return kind.from_url(place.url, config=config, client_options=client, retry_config=_ONCE)  # type: ignore[arg-type]

    source = "anonymous" if "skip_signature" in settings else "given" if settings else "environment"
    return make, source, str(settings.get("endpoint", os.environ.get("AZURE_STORAGE_ENDPOINT", "")))


def _http(place: Place, options: dict[str, Any]) -> _Maker:
    if options:
        raise InvalidInput(f"storage_options: {min(options)}: means nothing for {place.shown}; leave it out")

    def make(client: dict[str, Any]) -> ObjectStore:
        return HTTPStore.from_url(place.url.rstrip("/"), client_options=client, retry_config=_ONCE)  # type: ignore[arg-type]

    return make, "none", place.url


_MAKERS: dict[str, Callable[[Place, dict[str, Any]], _Maker]] = {
    "s3": _s3,
    "google": lambda place, options: _by_url(GCSStore, place, options),
    "azure": lambda place, options: _by_url(AzureStore, place, options),
    "http": _http,
}

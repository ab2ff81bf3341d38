"""From a URL and options to a backend: where credentials come from, and what may be told of them."""

from __future__ import annotations

import configparser
import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from archive.errors import AccessDenied, InvalidInput, NotFound
from archive.store.folder import FolderBackend
from archive.store.objects import ObjectBackend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archive.store.requests import Backend

__all__ = ["Place", "backend_of", "place_of"]

_ALIASES = {
    "key": "access_key_id",
    "aws_access_key_id": "access_key_id",
    "secret": "secret_access_key",
    "aws_secret_access_key": "secret_access_key",
    "token": "session_token",
    "aws_session_token": "session_token",
    "anon": "anonymous",
    "skip_signature": "anonymous",
    "endpoint": "endpoint_url",
    "aws_endpoint_url": "endpoint_url",
    "region_name": "region",
    "aws_region": "region",
}
_SECRETS = ("access_key_id", "secret_access_key", "session_token")
_OPEN = ("endpoint_url", "region", "anonymous", "profile")
TUNING = ("stall_seconds", "max_retries", "retry_seconds", "requests_in_flight")
_OBJECT_SCHEMES = frozenset({"s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "http", "https"})
_memories: dict[tuple[int, str], Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a store is and how to get in, without a secret: this much travels in a pickle.

    Parameters
    ----------
    url
        Without user, password or query.
    options
        Endpoint, region, anonymous access, profile and tuning.
    credentials
        Name of the source of the credentials: environment, profile NAME, anonymous, or given.
    home
        The process that a `memory://` store lives in, else 0.
    """

    url: str
    options: Mapping[str, Any]
    credentials: str
    home: int = 0


def place_of(url: str, options: Mapping[str, Any]) -> tuple[Place, dict[str, Any]]:
    """Return the place that a URL and options name, and the literal secrets among the options.

    Raises
    ------
    InvalidInput
        An option is unknown, or the URL carries credentials.
    """
    scheme, _, rest = url.partition("://")
    if not rest or scheme == "file":
        return Place(url=f"file://{_folder(url)}", options=_tuning_of(options), credentials="none"), {}
    if not rest.strip("/"):
        raise InvalidInput(f"{url}: the URL names no bucket or host")
    parts = urlsplit(url)
    if parts.password or ("@" in parts.netloc and scheme in {"s3", "http", "https"}):
        raise InvalidInput(
            f"{scheme}://...: credentials do not belong in a URL; use the environment or storage_options"
        )
    plain = f"{scheme}://{rest.split('?')[0].rstrip('/')}"
    if scheme == "memory":
        return Place(url=plain, options=_tuning_of(options), credentials="none", home=os.getpid()), {}
    if scheme not in _OBJECT_SCHEMES:
        return Place(url=plain, options=dict(options), credentials="given"), {}
    named = {_ALIASES.get(name, name): value for name, value in options.items()}
    if scheme.startswith("s3"):
        unknown = [name for name in named if name not in (*_SECRETS, *_OPEN, *TUNING)]
        if unknown:
            raise InvalidInput(
                f"storage_options: unknown {', '.join(unknown)}; known: {', '.join((*_OPEN, *_SECRETS, *TUNING))}"
            )
    secrets = {name: named.pop(name) for name in list(named) if name not in (*_OPEN, *TUNING)}
    return Place(url=plain, options=named, credentials=_source_name(named, secrets)), secrets


def _tuning_of(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in TUNING}


def _source_name(options: Mapping[str, Any], secrets: Mapping[str, Any]) -> str:
    if secrets:
        return "given"
    if options.get("anonymous"):
        return "anonymous"
    profile = options.get("profile") or (None if "AWS_ACCESS_KEY_ID" in os.environ else os.environ.get("AWS_PROFILE"))
    return f"profile {profile}" if profile else "environment"


def _folder(url: str) -> Path:
    path = url.removeprefix("file://")
    return Path(path.removeprefix("localhost")).expanduser().absolute()


def backend_of(place: Place, secrets: Mapping[str, Any]) -> Backend:
    """Return what talks to a place.

    Raises
    ------
    AccessDenied
        The credentials were given literally in another process, and this one has none.
    """
    scheme, _, rest = place.url.partition("://")
    if scheme == "file":
        return FolderBackend(Path(rest))
    stall = float(place.options.get("stall_seconds", 20))
    if scheme == "memory":
        return _memory(place, rest, stall)
    if scheme in {"http", "https"}:
        from obstore.store import HTTPStore

        reader = HTTPStore.from_url(place.url, client_options=_client(place.url, stall), retry_config=_no_retries())
        return ObjectBackend(reader, reader, name=place.url, stall=stall, writable=False, can_list=False)
    if scheme in {"s3", "s3a"}:
        return _s3(place, secrets, stall)
    if scheme in _OBJECT_SCHEMES:
        from obstore import store as stores

        from_url: Any = stores.from_url

        clients = [
            from_url(place.url, client_options=_client(place.url, wait), retry_config=_no_retries(), **secrets)
            for wait in (stall, None)
        ]
        return ObjectBackend(*clients, name=place.url, stall=stall)
    from archive.store.foreign import ForeignBackend

    return ForeignBackend(place.url, place.options)


def _memory(place: Place, name: str, stall: float) -> Backend:
    from obstore.store import MemoryStore

    if place.home != os.getpid():
        raise NotFound(f"{place.url} lives in the memory of another process; use a folder or a bucket to share it")
    store = _memories.setdefault((place.home, name), MemoryStore())
    return ObjectBackend(store, store, name=place.url, stall=stall)


def _s3(place: Place, secrets: Mapping[str, Any], stall: float) -> Backend:
    from obstore.store import S3Store

    bucket, _, prefix = place.url.partition("://")[2].partition("/")
    found = dict(secrets) or _from_profile(place)
    endpoint = (
        place.options.get("endpoint_url") or found.pop("endpoint_url", None) or os.environ.get("AWS_ENDPOINT_URL")
    )
    region = place.options.get("region") or found.pop("region", None)
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    if place.credentials == "given" and not secrets and "AWS_ACCESS_KEY_ID" not in os.environ:
        raise AccessDenied(
            f"{place.url}: its credentials were given as literals, which do not travel between processes; "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in this worker's environment"
        )
    settings: dict[str, Any] = {**found, "region": region}
    if endpoint:
        settings["endpoint"] = endpoint
        settings["virtual_hosted_style_request"] = False
    if place.options.get("anonymous") or os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in {"1", "true"}:
        settings["skip_signature"] = True
    clients = [
        S3Store(
            bucket,
            prefix=prefix or None,
            client_options=_client(endpoint or "", wait),
            retry_config=_no_retries(),
            **settings,
        )
        for wait in (stall, None)
    ]
    return ObjectBackend(*clients, name=place.url, stall=stall)


def _from_profile(place: Place) -> dict[str, Any]:
    """Return the keys, region and endpoint of an AWS profile, where one is named."""
    if not place.credentials.startswith("profile "):
        return {}
    name = place.credentials.removeprefix("profile ")
    held: dict[str, str] = {}
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name),
    ):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(os.environ.get(variable) or Path.home() / ".aws" / file)
        if parser.has_section(section):
            held.update(parser.items(section))
    if "aws_access_key_id" not in held:
        raise AccessDenied(
            f"{place.url}: the AWS profile {name!r} holds no access key; run aws configure --profile {name}"
        )
    wanted = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region", "endpoint_url")
    return {_ALIASES.get(key, key): held[key] for key in wanted if key in held}


def _client(endpoint: str, read_timeout: float | None) -> Any:
    options: dict[str, Any] = {"timeout": dt.timedelta(days=1), "connect_timeout": dt.timedelta(seconds=5)}
    if read_timeout is not None:
        options["read_timeout"] = dt.timedelta(seconds=read_timeout)
    if endpoint.startswith("http://"):
        options["allow_http"] = True
    return options


def _no_retries() -> Any:
    """Return the setting that leaves retries to us, so that each is counted and bounded once."""
    return {"max_retries": 0, "retry_timeout": dt.timedelta(seconds=60)}

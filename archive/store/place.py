"""What a URL names: the kind of store, the bucket or folder, and the prefix in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from archive.errors import InvalidInput
from archive.store.keys import check_prefix

__all__ = ["Kind", "Place", "locate"]

Kind = Literal["s3", "google", "azure", "http", "folder", "memory", "foreign"]

_KINDS: dict[str, Kind] = {
    "": "folder",
    "file": "folder",
    "memory": "memory",
    "s3": "s3",
    "s3a": "s3",
    "gs": "google",
    "gcs": "google",
    "az": "azure",
    "azure": "azure",
    "adl": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "http": "http",
    "https": "http",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a store is.

    Parameters
    ----------
    kind
        Which backend serves it.
    url
        As it was given; where only fsspec knows the kind, perhaps with a password.
    shown
        The URL without secrets and without a slash at its end.
    bucket
        Bucket, name of a memory store, or path of a folder.
    prefix
        Folder in the bucket, empty or with a slash at its end.
    """

    kind: Kind
    url: str
    shown: str
    bucket: str
    prefix: str


def locate(url: str) -> Place:
    """Return the place that `url` names.

    Raises
    ------
    InvalidInput
        It names no bucket or no path, leads upwards, or has credentials, a query or a fragment.
    """
    if "://" not in url:
        return _folder(url, url)
    parts = urlsplit(url)
    kind = _KINDS.get(parts.scheme, "foreign")
    shown = _shown(parts, kind)
    if kind == "folder":
        if parts.netloc not in ("", "localhost"):
            raise InvalidInput(f"{shown}: a file URL names no host; write file:///{parts.netloc}{parts.path}")
        return _folder(unquote(parts.path), shown)
    if parts.query or parts.fragment:
        # A query often holds a signature, and keys could not be put behind it.
        raise InvalidInput(f"{shown}: a store's URL has no query or fragment; use storage_options")
    if "@" in parts.netloc and kind not in ("azure", "foreign"):
        raise InvalidInput(f"{shown}: credentials do not belong in a URL; use the environment or storage_options")
    if not parts.netloc and kind != "foreign":
        raise InvalidInput(f"{shown}: names no bucket; write {parts.scheme}://NAME/prefix")
    prefix = check_prefix(parts.path.strip("/")) if kind != "foreign" else ""
    return Place(kind=kind, url=url, shown=shown, bucket=urlsplit(shown).netloc, prefix=prefix)


def _folder(path: str, shown: str) -> Place:
    if not path or "\0" in path:
        raise InvalidInput(f"{path!r}: names no folder; give a path or a URL such as s3://bucket/prefix")
    # Absolute from now on: the working folder may change, and differs in another process.
    root = str(Path(path).expanduser().absolute())
    return Place(kind="folder", url=root, shown=shown.rstrip("/") or "/", bucket=root, prefix="")


def _shown(parts: SplitResult, kind: Kind) -> str:
    # In abfss://container@account… the first part is no secret.
    secret = "@" in parts.netloc and (kind != "azure" or ":" in parts.netloc.partition("@")[0])
    host = parts.netloc.rpartition("@")[2] if secret else parts.netloc
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")

"""Objects that notice damage: zlib of JSON, and the SHA-256 of what stands before it."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData

if TYPE_CHECKING:
    from collections.abc import Buffer

__all__ = ["seal", "unseal"]

_DIGEST_BYTES = 32
_HINT = "run lightkeep verify, or open an older snapshot with as_of"


def seal(key: str, document: dict[str, Any]) -> bytes:
    """Return a document as the bytes of the object `key`; the key is part of what is sealed."""
    text = json.dumps({"object": key, **document}, ensure_ascii=False, separators=(",", ":"))
    body = zlib.compress(text.encode(), 6)
    return body + hashlib.sha256(body).digest()


def unseal(key: str, data: Buffer) -> dict[str, Any]:
    """Return the document that the object `key` holds.

    Raises
    ------
    DamagedData
        The bytes are not those that were sealed, or were sealed under another key.
    """
    view = memoryview(data).cast("B")
    body = bytes(view[:-_DIGEST_BYTES])
    if len(view) <= _DIGEST_BYTES or hashlib.sha256(body).digest() != bytes(view[-_DIGEST_BYTES:]):
        raise DamagedData(f"{key}: the object is cut or altered ({len(view)} bytes); {_HINT}")
    document: dict[str, Any] = json.loads(zlib.decompress(body))
    if document.pop("object") != key:
        raise DamagedData(f"{key}: another object lies in its place; {_HINT}")
    return document

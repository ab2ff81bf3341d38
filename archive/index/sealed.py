"""Objects that notice damage: zlib of JSON, and the SHA-256 of what stands before it."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData

if TYPE_CHECKING:
    from collections.abc import Buffer

__all__ = ["seal", "sign", "signed", "unseal"]

_DIGEST_BYTES = 32
_MARK, _BLANK = b'"sealed": "', b"0" * 64
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


def sign(text: bytes) -> bytes:
    """Return JSON that other programs read too with its own SHA-256 in it, in place of 64 zeros named `sealed`.

    The hash is that of the text with the zeros.
    """
    return text.replace(_MARK + _BLANK, _MARK + hashlib.sha256(text).hexdigest().encode(), 1)


def signed(key: str, data: Buffer) -> dict[str, Any]:
    """Return the document that signed JSON holds.

    Raises
    ------
    DamagedData
        The bytes are not those that were signed.
    """
    body = bytes(data)
    start = body.find(_MARK) + len(_MARK)
    found = body[start : start + len(_BLANK)]
    whole = body[:start] + _BLANK + body[start + len(_BLANK) :]
    if start < len(_MARK) or hashlib.sha256(whole).hexdigest().encode() != found:
        raise DamagedData(f"{key}: the object is cut or altered ({len(body)} bytes); {_HINT}")
    document: dict[str, Any] = json.loads(body)
    return document

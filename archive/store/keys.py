"""Which keys are allowed: relative, without detours, printable."""

from __future__ import annotations

from archive.errors import InvalidInput

__all__ = ["check_key", "check_new_key", "check_prefix"]

# The limit of S3; Azure and Google Cloud Storage have the same.
_LONGEST = 1024


def check_key(key: str) -> str:
    """Return `key`, which can lead neither out of the store nor to two places.

    Raises
    ------
    InvalidInput
        It is empty, absolute or too long, or has an empty segment, `.`, `..` or a control character.
    """
    reason = _fault(key)
    if reason:
        raise InvalidInput(f"{key!r}: not a key of a store: {reason}; give a relative path like 'data/a'")
    return key


def check_new_key(key: str) -> str:
    """Return `key`, which may also be written.

    A folder keeps its temporary files and locks under names with a leading dot and never lists
    them, so no store may hold an object of such a name.

    Raises
    ------
    InvalidInput
        It is no key, or a segment of it begins with a dot.
    """
    check_key(key)
    if key.startswith(".") or "/." in key:
        raise InvalidInput(f"{key!r}: a name that begins with a dot is hidden; write under another name")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` as a folder: empty, or with one slash at its end."""
    folder = prefix.removesuffix("/")
    return f"{check_key(folder)}/" if folder else ""


def _fault(key: str) -> str | None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is not Unicode text"
    if not key:
        return "it is empty"
    if length > _LONGEST:
        return f"it has {length} bytes, more than {_LONGEST}"
    if any(character < " " or character == "\x7f" for character in key):
        return "it holds a control character"
    segments = key.split("/")
    if "" in segments:
        return "it is absolute or has an empty segment"
    if "." in segments or ".." in segments:
        return "it has a '.' or '..' segment"
    return None

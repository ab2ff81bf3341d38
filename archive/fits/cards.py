"""The cards of a FITS header: 80 bytes each, to keywords and values.

References
----------
FITS Standard 4.0, section 4: headers; 4.2.1.2: the CONTINUE convention for long strings.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from archive.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BLOCK", "CARD", "COMMENTARY", "CardValue", "integer", "keywords_of", "number"]

CARD = 80
BLOCK = 2880
COMMENTARY = ("COMMENT", "HISTORY", "")

type CardValue = str | int | float | bool | None

_VALUE, _COMMENT, _CONTINUED, _END = range(4)
_STRING = re.compile(r"'((?:[^']|'')*)'")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[EeDd][+-]?[0-9]+)?")
_KEYWORD = re.compile(r"[A-Z0-9_-]*")


def keywords_of(header: bytes, name: str = "header") -> dict[str, CardValue]:
    """Return the values of a header by keyword, without commentary; where a keyword is repeated, the first.

    Parameters
    ----------
    header
        Cards with the END card.
    name
        What to call the file in a message.

    Raises
    ------
    FormatError
        A card is not as the standard says.
    """
    values: dict[str, CardValue] = {}
    open_string: tuple[str, str] | None = None
    for start in range(0, len(header) - CARD + 1, CARD):
        card = header[start : start + CARD]
        try:
            key, value, kind = _read_card(card)
            if kind == _CONTINUED and open_string is not None:
                key, text = open_string
                more = _string(card[8:].decode("ascii").strip(), card.decode("ascii"))
                open_string = (key, text + more[:-1]) if more.endswith("&") else None
                values[key] = (text + more.removesuffix("&")).rstrip()
                continue
        except UnicodeDecodeError as error:
            raise FormatError(f"{name}: byte {start + error.start} of a header is no ASCII; set it aside") from error
        except _BadCard as error:
            raise FormatError(f"{name}: {error}; set it aside") from error
        if kind == _END:
            values.pop("", None)
            return values
        open_string = None
        if kind != _VALUE:
            continue
        first = key not in values
        if first:
            values[key] = value
        if isinstance(value, str) and value.endswith("&"):
            open_string = (key if first else "", value[:-1])
    raise FormatError(f"{name}: a header has no END card; the file is cut or damaged, fetch it again")


class _BadCard(ValueError):
    """A card that is not as the standard says."""


@lru_cache(maxsize=1 << 16)
def _read_card(card: bytes) -> tuple[str, CardValue, int]:
    """Return keyword, value and kind of a card; remembered, since most cards of a dataset's frames are the same."""
    text = card.decode("ascii")
    if text.rstrip() == "END":
        return "END", None, _END
    if text.startswith("CONTINUE"):
        return "CONTINUE", None, _CONTINUED
    key, body = _split(text)
    if body is None or key in COMMENTARY:
        return key, None, _COMMENT
    return key, _value(body.strip(), text), _VALUE


def _split(card: str) -> tuple[str, str | None]:
    """Return the keyword and the rest behind its `=`, or `None` where there is no value."""
    if card.startswith("HIERARCH ") and "=" in card:
        key, _, body = card[9:].partition("=")
        return key.strip().upper(), body
    key = card[:8].rstrip()
    if not _KEYWORD.fullmatch(key):
        raise _BadCard(f"{key!r} is no FITS keyword; the header is damaged")
    return key, card[10:] if card[8:10] == "= " else None


def _string(text: str, card: str) -> str:
    found = _STRING.match(text)
    if found is None:
        raise _BadCard(f"the string in card {card.rstrip()!r} does not end")
    return found.group(1).replace("''", "'").rstrip()


def _value(text: str, card: str) -> CardValue:
    if text.startswith("'"):
        return _string(text, card)
    word = text.partition("/")[0].strip()
    if not word:
        return None
    if word in {"T", "F"}:
        return word == "T"
    if _INTEGER.fullmatch(word):
        return int(word)
    if _FLOAT.fullmatch(word):
        return float(word.upper().replace("D", "E"))
    if word.startswith("("):  # a complex number: as it stands
        return word
    raise _BadCard(f"card {card.rstrip()!r} has no value that the standard knows")


def integer(values: Mapping[str, CardValue], key: str, name: str, default: int | None = None) -> int:
    """Return a keyword's value that must be a whole number.

    Raises
    ------
    FormatError
        It is missing without a default, or no whole number.
    """
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FormatError(f"{name}: {key} is {value!r}, not a whole number; set it aside")
    return value


def number(values: Mapping[str, CardValue], key: str, name: str, default: float) -> float:
    """Return a keyword's value that must be a number.

    Raises
    ------
    FormatError
        It is none.
    """
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FormatError(f"{name}: {key} is {value!r}, not a number; set it aside")
    return float(value)

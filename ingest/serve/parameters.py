"""What a request asks for: parameters by name, each checked before anything is looked up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NANOSECONDS", "Parameters"]

NANOSECONDS = (-(1 << 63) + 1, (1 << 63) - 1)
"""The stamps that int64 can tell, ns since 1970."""

_FIELDS = 16
_INTEGER = re.compile(r"-?\d{1,19}")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request, as texts by name."""

    held: Mapping[str, str]

    @classmethod
    def parse(cls, query: str, known: Sequence[str]) -> Parameters:
        """Return the parameters of a query.

        Raises
        ------
        InvalidInput
            One is unknown or given twice, or the query cannot be read.
        """
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=_FIELDS)
        except ValueError as error:
            raise InvalidInput(f"the query cannot be read: {error}") from error
        held: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                there = ", ".join(known) or "none"
                raise InvalidInput(f"{name[:40]!r}: no such parameter; this address takes: {there}")
            if name in held:
                raise InvalidInput(f"{name}: given twice")
            held[name] = value
        return cls(held)

    def text(self, name: str) -> str:
        """Return a text that must be there.

        Raises
        ------
        InvalidInput
            It is missing or empty.
        """
        value = self.held.get(name, "")
        if not value:
            raise InvalidInput(f"{name}: missing")
        return value

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number between two ends, both inclusive.

        Raises
        ------
        InvalidInput
            It is missing and has no default, is no whole number, or lies outside.
        """
        value = self.held.get(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise InvalidInput(f"{name}: missing; wanted a whole number from {low} to {high}")
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            raise InvalidInput(f"{name}={value[:40]!r}: wanted a whole number from {low} to {high}")
        return int(value)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return one of some words, the first where none is given.

        Raises
        ------
        InvalidInput
            It is another word.
        """
        value = self.held.get(name, choices[0])
        if value not in choices:
            raise InvalidInput(f"{name}={value[:40]!r}: wanted one of {', '.join(choices)}")
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        """Return whole numbers, as in `at=0,12`; none where the parameter is not there.

        Raises
        ------
        InvalidInput
            One is no whole number.
        """
        value = self.held.get(name, "")
        parts = value.split(",") if value else []
        if len(parts) > _FIELDS or not all(re.fullmatch(r"\d{1,9}", part) for part in parts):
            raise InvalidInput(f"{name}={value[:40]!r}: wanted whole numbers with commas, as in {name}=0,12")
        return tuple(int(part) for part in parts)

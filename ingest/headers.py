"""The headers of the sources of a granule: every value kept, what they share said once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["each_whole", "shared_once"]


def shared_once(headers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return headers, by the SHA-256 of their source, with what they share said once."""
    if not headers:
        return {}
    shared = _common(list(headers.values()))
    return {"shared": shared, "sources": {sha: _without(header, shared) for sha, header in headers.items()}}


def _common(headers: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the part of nested headers that is the same in all."""
    common: dict[str, Any] = {}
    for name, value in headers[0].items():
        others = [header.get(name) for header in headers]
        if all(isinstance(other, dict) for other in others):
            common[name] = _common(others)  # type: ignore[arg-type]
        elif all(name in header and other == value for header, other in zip(headers, others, strict=True)):
            common[name] = value
    return common


def _without(header: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a nested header holds beyond what is shared."""
    rest: dict[str, Any] = {}
    for name, value in header.items():
        if name not in shared:
            rest[name] = value
        elif isinstance(value, dict) and (inner := _without(value, shared[name])):
            rest[name] = inner
    return rest


def each_whole(held: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the header of each source in full, by its SHA-256: what `shared_once` was given."""
    shared = held.get("shared", {})
    return {sha256: _with(shared, header) for sha256, header in held.get("sources", {}).items()}


def _with(shared: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header with what it shares with others put back."""
    whole = {name: dict(value) if isinstance(value, dict) else value for name, value in shared.items()}
    for name, value in header.items():
        whole[name] = (
            _with(whole[name], value) if isinstance(value, dict) and isinstance(whole.get(name), dict) else value
        )
    return whole

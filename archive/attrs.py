"""The attributes of a Patch: scalars by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Attrs"]


class Attrs(Mapping[str, Any]):
    """Scalar metadata, read as `attrs["tag"]` or `attrs.tag`; immutable."""

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        held = {str(name): value for name, value in (values or {}).items()}
        object.__setattr__(self, "_values", dict(sorted(held.items())))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"no attribute {name!r}; there are {', '.join(self._values)}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"attributes are immutable; use patch.update_attrs({name}={value!r})")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Attrs({self._values!r})"

    def __reduce__(self) -> tuple[type[Attrs], tuple[dict[str, Any]]]:
        return Attrs, (self._values,)

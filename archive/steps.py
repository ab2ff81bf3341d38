"""What is done to the Patches of a Spool before they are read: selected, chunked, picked, sorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from archive.chunk import chunk
from archive.errors import InvalidInput
from archive.filters import attribute_mask, is_attribute
from archive.framed import only_patches, part_of, start_of
from archive.patch import Patch

__all__ = ["Chunk", "Pick", "Select", "Sort", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """Keep what a selection takes of each Patch, and the Patches of which it takes anything."""

    selectors: Mapping[str, Any] = field(default_factory=dict)
    relative: bool = False
    samples: bool = False

    def apply(self, patches: Sequence[Patch]) -> Sequence[Patch]:
        """Return the Patches that are left."""
        plain = [patch for patch in patches if isinstance(patch, Patch)]
        attributes = {name: value for name, value in self.selectors.items() if is_attribute(name, plain)}
        coords = {name: value for name, value in self.selectors.items() if name not in attributes}
        kept = []
        for patch in patches:
            if not isinstance(patch, Patch):
                kept += part_of(patch, self.selectors, plain=not (self.relative or self.samples))
                continue
            if not all(attribute_mask(patch.attrs, name, wanted) for name, wanted in attributes.items()):
                continue
            if not all(name in patch.coords for name in coords):
                continue
            part = patch.select(relative=self.relative, samples=self.samples, **coords)
            if part.size or not patch.size:
                kept.append(part)
        return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Merge and split."""

    dim: str
    length: Any
    options: Mapping[str, Any]

    def apply(self, patches: Sequence[Patch]) -> Sequence[Patch]:
        """Return the chunks."""
        return chunk(only_patches(patches, "are not chunked"), self.dim, self.length, **self.options)


@dataclass(frozen=True, slots=True)
class Pick:
    """Keep some Patches by their number."""

    key: slice | tuple[int, ...]

    def apply(self, patches: Sequence[Patch]) -> Sequence[Patch]:
        """Return the Patches that are left."""
        numbers = range(len(patches))[self.key] if isinstance(self.key, slice) else self.key
        return _Picked(patches, numbers)


@dataclass(frozen=True, slots=True)
class Sort:
    """Put the Patches in order of a coordinate's start or an attribute."""

    by: str

    def apply(self, patches: Sequence[Patch]) -> Sequence[Patch]:
        """Return the Patches in order."""
        name = self.by.removesuffix("_min")

        def key(patch: Patch) -> Any:
            if not isinstance(patch, Patch):
                return start_of(patch, name)
            if name in patch.coords:
                return patch.coords[name].min()
            if self.by in patch.attrs:
                return patch.attrs[self.by]
            raise InvalidInput(f"sort({self.by!r}): not every Patch has such a coordinate or attribute")

        return sorted(patches, key=key)


class _Picked(Sequence[Patch]):
    def __init__(self, base: Sequence[Patch], numbers: Sequence[int]) -> None:
        self._base, self._numbers = base, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Patch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Patch]: ...
    def __getitem__(self, index: int | slice) -> Patch | Sequence[Patch]:
        if isinstance(index, slice):
            return _Picked(self._base, self._numbers[index])
        return self._base[self._numbers[index]]


type Step = Select | Chunk | Pick | Sort

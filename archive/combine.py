"""Putting Patches together beyond what touches in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archive.chunk import join_patches
from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archive.chunk import Conflict
    from archive.patch import Patch

__all__ = ["concatenate", "stack"]


def concatenate(patches: Sequence[Patch], conflict: Conflict) -> list[Patch]:
    """Return one Patch with the samples of all, one after the other, each with its own times.

    Raises
    ------
    InvalidInput
        They have other dims or channels.
    """
    if not len(patches):
        return []
    first = patches[0]
    for patch in patches:
        rest = [length for dim, length in zip(patch.dims, patch.shape, strict=True) if dim != "time"]
        same = [length for dim, length in zip(first.dims, first.shape, strict=True) if dim != "time"]
        if patch.dims != first.dims or rest != same:
            raise InvalidInput("Patches with other dims or channels cannot be put one after the other")
    return [join_patches(list(patches), conflict)]


def stack(patches: Sequence[Patch]) -> Patch:
    """Return the sum of the samples of Patches, with the coordinates of the first.

    Raises
    ------
    InvalidInput
        There are none, or they have other shapes.
    """
    if not patches:
        raise InvalidInput("there are no Patches to stack")
    first = patches[0]
    total: Any = None
    for patch in patches:
        if patch.dims != first.dims or patch.shape != first.shape:
            raise InvalidInput(f"Patches of shape {first.shape} and {patch.shape} cannot be stacked; chunk them first")
        total = patch.data.copy() if total is None else total + patch.data
    return first.new(total)

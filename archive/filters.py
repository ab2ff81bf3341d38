"""Selecting whole Patches: attributes by glob, list or range, and windows of time."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from archive.select import is_open, time_bounds
from archive.view import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from archive.patch import Patch

__all__ = ["attribute_mask", "is_attribute", "time_window"]


def is_attribute(name: str, patches: Sequence[Patch]) -> bool:
    """Return whether a name is an attribute rather than a coordinate of some Patch."""
    return not any(name in patch.coords for patch in patches)


def attribute_mask(attrs: Mapping[str, Any], name: str, wanted: Any) -> bool:
    """Return whether an attribute is what is wanted.

    A text is a glob, a list or an array a choice, a tuple of two a range with both ends inclusive.
    """
    if is_open(wanted):
        return True
    if name not in attrs:
        return False
    value = attrs[name]
    if isinstance(wanted, (list, set, frozenset, np.ndarray)):
        return any(attribute_mask(attrs, name, one) for one in wanted)
    if isinstance(wanted, tuple) and len(wanted) == 2:  # noqa: PLR2004 - a pair
        low, high = wanted
        return bool((is_open(low) or value >= low) and (is_open(high) or value <= high))
    if isinstance(wanted, str):
        return fnmatchcase(str(value), wanted)
    return bool(value == wanted)


def time_window(selector: Any) -> tuple[int, int]:
    """Return the window of time (ns) outside of which a selector takes nothing.

    Raises
    ------
    InvalidInput
        A bound is no time, or the range ends before it starts.
    """
    if isinstance(selector, slice):
        selector = (selector.start, selector.stop)
    if not isinstance(selector, (tuple, list)) or len(selector) != 2:  # noqa: PLR2004 - a pair
        return ALWAYS
    low, high = time_bounds(selector[0], selector[1], None, None)
    first, last = ALWAYS[0] if low is None else low, ALWAYS[1] if high is None else high
    if first > last:
        raise InvalidInput(f"time=({selector[0]!r}, {selector[1]!r}) ends before it starts")
    return first, last

"""Every operation under its name: what Patches have as methods.

A new operation is a frozen value and the function that makes it, in one of the modules of this package,
and one line here.
"""

from __future__ import annotations

from archive.operations import detrending, filtering, moving, scaling, unit_changes
from archive.operations.method import Method

__all__ = ["Operations", "names"]


class Operations:
    """The operations as methods; see `archive.operations` for them as values."""

    __slots__ = ()

    # -- units
    set_units = Method(unit_changes.set_units)
    convert_units = Method(unit_changes.convert_units)
    simplify_units = Method(unit_changes.simplify_units)
    # -- levels and trends
    demean = Method(scaling.demean)
    demedian = Method(scaling.demedian)
    normalize = Method(scaling.normalize)
    standardize = Method(scaling.standardize)
    detrend = Method(detrending.detrend)
    taper = Method(detrending.taper)
    taper_range = Method(detrending.taper_range)
    # -- filters
    pass_filter = Method(filtering.pass_filter)
    notch_filter = Method(filtering.notch_filter)
    median_filter = Method(moving.median_filter)
    gaussian_filter = Method(moving.gaussian_filter)
    savgol_filter = Method(moving.savgol_filter)
    sobel_filter = Method(moving.sobel_filter)
    wiener_filter = Method(moving.wiener_filter)
    hampel_filter = Method(moving.hampel_filter)


def names() -> tuple[str, ...]:
    """Return the names of all operations."""
    return tuple(name for name, held in vars(Operations).items() if isinstance(held, Method))

"""Tapering windows by name."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WINDOWS", "window"]

_OTHER_NAMES = {"cos": "hann", "ramp": "triang"}
WINDOWS = (
    "barthann",
    "bartlett",
    "blackman",
    "blackmanharris",
    "bohman",
    "boxcar",
    "cos",
    "hamming",
    "hann",
    "nuttall",
    "parzen",
    "ramp",
    "triang",
)


@lru_cache(maxsize=32)
def window(kind: str, size: int) -> NDArray[Any]:
    """Return a symmetric window, shape `(size,)`.

    Raises
    ------
    InvalidInput
        There is no such window.

    References
    ----------
    `scipy.signal.windows`.
    """
    from scipy.signal import windows

    if kind not in WINDOWS:
        raise InvalidInput(f"window_type={kind!r}: one of {', '.join(WINDOWS)}")
    made = np.asarray(getattr(windows, _OTHER_NAMES.get(kind, kind))(size))
    made.flags.writeable = False
    return made

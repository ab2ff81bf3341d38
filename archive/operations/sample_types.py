"""Types of samples that come out of arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["complex_of", "floating", "real_of"]


def floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type itself where it has fractions, else float64."""
    return dtype if dtype.kind in "fc" else np.dtype(np.float64)


def complex_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the complex type of the same precision."""
    return np.result_type(floating(dtype), np.complex64)


def real_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of the real part."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype

"""The pixels of a frame: the numbers that its file holds, and what they stand for.

References
----------
FITS Standard 4.0, sections 4.4.2.5 (BSCALE, BZERO, BLANK), 10.1 (tiled images), 10.2 (quantisation and dithering).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["Image", "Scaling", "Tiling", "dequantize"]

_ZERO_VALUE = -2147483646  # stands for 0.0 under SUBTRACTIVE_DITHER_2
_RANDOMS = 10_000

type Window = tuple[slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How stored numbers become values: `BSCALE * stored + BZERO`.

    Parameters
    ----------
    bitpix
        8, 16, 32, 64, -32 or -64.
    scale, zero
        BSCALE and BZERO.
    blank
        The stored integer that stands for no value.
    """

    bitpix: int
    scale: float = 1.0
    zero: float = 0.0
    blank: int | None = None

    @property
    def stored(self) -> np.dtype[Any]:
        """Type of a stored number, native byte order."""
        return np.dtype(
            {8: np.uint8, 16: np.int16, 32: np.int32, 64: np.int64, -32: np.float32, -64: np.float64}[self.bitpix]
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value: unsigned where BZERO only shifts, else a float for scaled or blanked integers."""
        shifted = self._shifted()
        if shifted is not None:
            return shifted
        plain = self.scale == 1.0 and self.zero == 0.0
        if self.bitpix < 0 or (plain and self.blank is None):
            return self.stored
        return np.dtype(np.float64 if self.bitpix > 16 else np.float32)  # noqa: PLR2004 - FITS: 24 bits hold 16

    def _shifted(self) -> np.dtype[Any] | None:
        if self.bitpix <= 0 or self.scale != 1.0:
            return None
        if self.bitpix == 8:  # noqa: PLR2004 - the one unsigned type of FITS
            return np.dtype(np.int8) if self.zero == -128 else None  # noqa: PLR2004
        return np.dtype(f"u{self.bitpix // 8}") if self.zero == float(2 ** (self.bitpix - 1)) else None

    def values(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the values of stored numbers, of the same shape."""
        shifted = self._shifted()
        if shifted is not None:
            flipped = stored.view(shifted) if self.bitpix != 8 else stored  # noqa: PLR2004
            moved: NDArray[Any] = (flipped ^ flipped.dtype.type(1 << (self.bitpix - 1))).view(shifted)
            return moved
        out = stored.astype(self.dtype)
        if self.scale != 1.0:
            np.multiply(out, self.scale, out)
        if self.zero != 0.0:
            out += self.zero
        if self.blank is not None and self.bitpix > 0:
            out[stored == self.blank] = np.nan
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How an image was cut into tiles, and quantised.

    Parameters
    ----------
    shape
        Of a whole tile, in array order.
    algorithm
        ZCMPTYPE.
    block, item
        RICE's BLOCKSIZE in pixels and BYTEPIX in bytes.
    scale, zero
        ZSCALE and ZZERO of each tile, shape `(tiles,)`; `None` where the image was not quantised.
    blank
        The integer that stands for NaN: one for all tiles, or one for each, shape `(tiles,)`.
    dither, seed
        ZQUANTIZ and ZDITHER0.
    exact
        By number, the tiles that were not quantised: floats in the tile's shape.
    """

    shape: tuple[int, ...]
    algorithm: str
    block: int = 32
    item: int = 4
    scale: NDArray[np.float64] | None = None
    zero: NDArray[np.float64] | None = None
    blank: int | NDArray[np.int64] | None = None
    dither: str = "NO_DITHER"
    seed: int = 0
    exact: Mapping[int, NDArray[Any]] = field(default_factory=lambda: MappingProxyType({}))

    def noise_of(self, number: int, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Return what was added to the pixels of a tile of some shape before rounding; `None` for nothing."""
        if self.dither == "NO_DITHER":
            return None
        return _noise(number + self.seed, prod(shape)).reshape(shape)

    def windows(self, shape: tuple[int, ...]) -> Iterator[Window]:
        """Yield where each tile lies in an image, in the order of their numbers."""
        along = [range(0, length, step) for length, step in zip(shape, self.shape, strict=True)]
        for corner in product(*along):
            yield tuple(
                slice(start, min(start + step, length))
                for start, step, length in zip(corner, self.shape, shape, strict=True)
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The pixels of one frame, exactly as its file holds them.

    Parameters
    ----------
    stored
        The numbers of the file, native byte order; where the image was quantised, the integers.
    scaling
        What they stand for.
    tiling
        How they were compressed, `None` for an image that was not.
    """

    stored: NDArray[Any]
    scaling: Scaling
    tiling: Tiling | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of pixels along each axis, in array order."""
        return self.stored.shape

    def pixels(self) -> NDArray[Any]:
        """Return the values, bit by bit as astropy returns them."""
        tiling = self.tiling
        if tiling is None or tiling.scale is None or tiling.zero is None:
            return self.scaling.values(self.stored)
        out = np.empty(self.shape, self.scaling.stored)
        for number, window in enumerate(tiling.windows(self.shape)):
            exact = tiling.exact.get(number)
            if exact is None:
                blank = tiling.blank if isinstance(tiling.blank, int | None) else int(tiling.blank[number])
                dequantize(
                    self.stored[window],
                    out[window],
                    scale=tiling.scale[number],
                    zero=tiling.zero[number],
                    blank=blank,
                    dither=tiling.dither,
                    noise=tiling.noise_of(number, out[window].shape),
                )
            else:
                out[window] = exact
        return self.scaling.values(out)


def dequantize(
    integers: NDArray[Any],
    out: NDArray[Any],
    *,
    scale: Any,
    zero: Any,
    blank: Any = None,
    dither: str = "NO_DITHER",
    noise: NDArray[Any] | None = None,
) -> None:
    """Write the floats that the integers of one tile, or of a part of it, stand for.

    Parameters
    ----------
    integers, out
        Of one shape; `out` is float32 or float64.
    scale, zero, blank
        ZSCALE, ZZERO and ZBLANK of the tile, or arrays that broadcast with it.
    dither
        ZQUANTIZ: `NO_DITHER`, `SUBTRACTIVE_DITHER_1` or `SUBTRACTIVE_DITHER_2`.
    noise
        What was added before rounding, of the same shape (see `noise_of`); `None` for `NO_DITHER`.
    """
    if noise is None:
        out[...] = integers * np.float64(scale) + np.float64(zero)
    else:
        out[...] = (integers.astype(np.float64) - noise + 0.5) * scale + zero
        if dither == "SUBTRACTIVE_DITHER_2":
            out[integers == _ZERO_VALUE] = 0.0
    if blank is not None:
        out[integers == blank] = np.nan


@lru_cache(maxsize=1)
def _randoms() -> NDArray[np.float32]:
    """Return the 10 000 numbers of the standard's generator, in float32."""
    seed, numbers = 1, np.empty(_RANDOMS, np.float32)
    for index in range(_RANDOMS):
        seed = seed * 16807 % 2147483647
        numbers[index] = seed / 2147483647.0
    return numbers


def _noise(row: int, size: int) -> NDArray[np.float32]:
    """Return the numbers that were added to the pixels of a tile: stretches of `_randoms`, one after the other."""
    randoms, parts, have = _randoms(), [], 0
    seed = (row - 1) % _RANDOMS
    while have < size:
        stretch = randoms[int(randoms[seed] * np.float32(500)) :]
        parts.append(stretch)
        have, seed = have + stretch.size, (seed + 1) % _RANDOMS
    return np.concatenate(parts)[:size]

"""From the image plane to the sky and back: the gnomonic projection, fixed or by table.

References
----------
Calabretta and Greisen 2002, A&A 395, 1077: equations 2 (rotation), 12 to 17 (zenithal), 54 and 55 (TAN).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.wcs.steps import NoInverse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.wcs.steps import Arrays

__all__ = ["Sky", "VaryingSky"]


@dataclass(frozen=True, slots=True)
class Sky:
    """Degrees in the tangent plane to longitude and latitude in degrees, or back.

    Parameters
    ----------
    longitude, latitude
        Where the plane touches the sphere, degrees.
    pole
        LONPOLE, degrees.
    backward
        From the sky to the plane.
    """

    longitude: float
    latitude: float
    pole: float
    backward: bool = False
    n_inputs: int = 2
    n_outputs: int = 2

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return longitude and latitude, or the place in the plane."""
        first, second = arrays
        latitude = np.radians(self.latitude)
        where = _Tangent(np.radians(self.longitude), np.cos(latitude), np.sin(latitude), np.radians(self.pole))
        if self.backward:
            x, y = where.to_plane(first, second)
            return np.degrees(x), np.degrees(y)
        return where.to_sky(np.radians(first), np.radians(second))

    def inverse(self) -> Sky:
        """Return the way back."""
        return Sky(self.longitude, self.latitude, self.pole, not self.backward)

    def depends(self) -> NDArray[np.bool_]:
        """Return that both hang on both."""
        return np.ones((2, 2), dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class VaryingSky:
    """Pixels x and y to the sky by the entry of a table that further pixels name, or back.

    Parameters
    ----------
    crpix, pc, crval
        Shape `(..., 2)`, `(..., 2, 2)` and `(..., 2)`, one entry for each place in the table: the reference
        pixel from 0, the rotation matrix, the reference coordinate in degrees.
    cdelt
        Degrees a pixel, shape `(2,)`.
    pole
        LONPOLE, degrees.
    backward
        From the sky, and the same further pixels, to x and y.
    """

    crpix: NDArray[np.float64]
    pc: NDArray[np.float64]
    crval: NDArray[np.float64]
    cdelt: NDArray[np.float64]
    pole: float
    backward: bool = False
    _entries: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # What each entry comes to, once for all points: reference pixel, matrix to radians, and the tangent's angles.
        matrix = np.radians(self.pc * self.cdelt[:, None])
        longitude, latitude = np.radians(self.crval[..., 0]), np.radians(self.crval[..., 1])
        parts = (
            *(self.crpix[..., i] for i in range(2)),
            *(matrix[..., i, j] for i in range(2) for j in range(2)),
            *(longitude, np.cos(latitude), np.sin(latitude)),
        )
        entries = np.stack([part.ravel() for part in parts])
        object.__setattr__(self, "_entries", entries)

    @property
    def n_inputs(self) -> int:
        """Two, and one for each axis of the table."""
        return 2 + self.crval.ndim - 1

    @property
    def n_outputs(self) -> int:
        """Two."""
        return 2

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return longitude and latitude, or x and y; NaN where the table has no entry."""
        first, second, *places = arrays
        entry, inside = self._entry(places)
        x0, y0, a, b, c, d, longitude, cos, sin = (column.take(entry) for column in self._entries)
        where = _Tangent(longitude, cos, sin, np.radians(self.pole))
        out: Arrays
        if self.backward:
            x, y = where.to_plane(first, second)
            determinant = a * d - b * c
            out = (d * x - b * y) / determinant + x0, (a * y - c * x) / determinant + y0
        else:
            x, y = first - x0, second - y0
            out = where.to_sky(a * x + b * y, c * x + d * y)
        if inside.all():
            return out
        return np.where(inside, out[0], np.nan), np.where(inside, out[1], np.nan)

    def _entry(self, places: list[NDArray[np.float64]]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the number of the entry for each place, and where there is one."""
        entry: Any = 0
        inside: Any = np.True_
        for place, length in zip(places, self.crval.shape, strict=False):
            index = np.rint(place)
            valid = (index >= 0) & (index < length)
            entry = entry * length + np.where(valid, index, 0)
            inside = inside & valid
        return np.asarray(entry, dtype=np.intp), inside

    def inverse(self) -> VaryingSky:
        """Return the way back."""
        if not self.backward and (np.linalg.det(self.pc) == 0).any():
            raise NoInverse("a rotation matrix of these coordinates is singular")
        return VaryingSky(self.crpix, self.pc, self.crval, self.cdelt, self.pole, not self.backward)

    def depends(self) -> NDArray[np.bool_]:
        """Return that both hang on every input."""
        return np.ones((2, self.n_inputs), dtype=bool)


@dataclass(frozen=True, slots=True)
class _Tangent:
    """A plane that touches the sphere: longitude, cosine and sine of the latitude, LONPOLE; radians.

    Numbers, or arrays that broadcast with the points.
    """

    longitude: Any
    cos: Any
    sin: Any
    pole: Any

    def to_sky(self, x: Any, y: Any) -> Arrays:
        """Return longitude from -180 (not with) to 180 and latitude in degrees, of a place in the plane in radians."""
        # The direction in native coordinates is (-y, x, 1), not normalised: no angles are needed for it.
        cos_pole, sin_pole = np.cos(self.pole), np.sin(self.pole)
        along, across = -y * cos_pole + x * sin_pole, x * cos_pole + y * sin_pole
        out, up = self.cos - along * self.sin, self.sin + along * self.cos
        longitude = np.degrees(self.longitude + np.arctan2(-across, out))
        latitude = np.degrees(np.arctan2(up, np.sqrt(out * out + across * across)))
        return longitude - 360 * np.ceil((longitude - 180) / 360), latitude

    def to_plane(self, longitude: Any, latitude: Any) -> Arrays:
        """Return the place in the plane, radians, of a direction in degrees; NaN for the far half of the sphere."""
        around, lat = np.radians(longitude) - self.longitude, np.radians(latitude)
        cos, sin = self.cos, self.sin
        out, across, up = np.cos(lat) * np.cos(around), -np.cos(lat) * np.sin(around), np.sin(lat)
        along, depth = up * cos - out * sin, up * sin + out * cos
        depth = np.where(depth > 0, depth, np.nan)
        cos_pole, sin_pole = np.cos(self.pole), np.sin(self.pole)
        return (along * sin_pole + across * cos_pole) / depth, (across * sin_pole - along * cos_pole) / depth

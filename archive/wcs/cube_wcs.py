"""The coordinates of a Cube: those of the whole dataset, seen through a slice. APE 14, low and high level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from astropy.wcs.wcsapi import BaseLowLevelWCS
from astropy.wcs.wcsapi.high_level_api import HighLevelWCSMixin

from archive.errors import InvalidInput
from archive.wcs.axes import component, object_class
from archive.wcs.value import WorldCoordinates

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CubeWcs", "Line", "Points"]


@dataclass(frozen=True, slots=True)
class Line:
    """Pixels `start + step * i` of the whole dataset, for i from 0 to `size - 1`; of bins, their centres."""

    start: float
    step: float
    size: int

    def to_root(self, pixel: Any) -> Any:
        """Return where pixels of the slice lie in the whole."""
        return self.start + self.step * pixel

    def from_root(self, pixel: Any) -> Any:
        """Return where pixels of the whole lie in the slice."""
        return (pixel - self.start) / self.step

    def take(self, key: slice | NDArray[np.int64]) -> Line | Points:
        """Return a part, by a slice or by numbers."""
        if isinstance(key, np.ndarray):
            return Points(tuple((self.start + self.step * key).tolist()))
        start, stop, step = key.indices(self.size)
        return Line(self.start + self.step * start, self.step * step, len(range(start, stop, step)))

    def at(self, number: int) -> float:
        """Return one pixel of the whole."""
        return self.start + self.step * number

    def binned(self, size: int) -> Line:
        """Return bins of so many pixels each: a bin's centre is the middle of its pixels."""
        return Line(self.start + self.step * (size - 1) / 2, self.step * size, self.size // size)


@dataclass(frozen=True, slots=True)
class Points:
    """Any pixels of the whole dataset; between two of them, and beyond, on the line through the nearest two."""

    numbers: tuple[float, ...]

    @property
    def size(self) -> int:
        """How many."""
        return len(self.numbers)

    def to_root(self, pixel: Any) -> Any:
        """Return where pixels of the slice lie in the whole."""
        return _line_through(pixel, np.arange(self.size, dtype=float), np.array(self.numbers, dtype=float))

    def from_root(self, pixel: Any) -> Any:
        """Return where pixels of the whole lie in the slice."""
        order = np.argsort(self.numbers)
        numbers = np.array(self.numbers, dtype=float)[order]
        return _line_through(pixel, numbers, order.astype(float))

    def take(self, key: slice | NDArray[np.int64]) -> Points:
        """Return a part, by a slice or by numbers."""
        return Points(tuple(np.array(self.numbers)[key].tolist()))

    def at(self, number: int) -> float:
        """Return one pixel of the whole."""
        return self.numbers[number]

    def binned(self, size: int) -> Points:
        """Return bins of so many pixels each: a bin's centre is the mean of its pixels."""
        numbers = np.array(self.numbers, dtype=float).reshape(-1, size)
        return Points(tuple(numbers.mean(axis=1).tolist()))


def _line_through(x: Any, points: NDArray[np.float64], values: NDArray[np.float64]) -> Any:
    if points.size == 1:
        return np.asarray(x) - points[0] + values[0]
    low = np.clip(np.searchsorted(points, x, side="right") - 1, 0, points.size - 2)
    slope = (values[low + 1] - values[low]) / (points[low + 1] - points[low])
    return values[low] + slope * (x - points[low])


class CubeWcs(BaseLowLevelWCS, HighLevelWCSMixin):  # type: ignore[misc]
    """World coordinates of a slice; itself sliced like the array.

    Parameters
    ----------
    root
        Of the whole dataset: a `WorldCoordinates`, or any low-level WCS (a gWCS, a FITS WCS).
    window
        In array order, for each axis of the whole: one pixel, a `Line` or `Points`.
    """

    def __init__(self, root: Any, window: tuple[float | Line | Points, ...]) -> None:
        n_pixel = len(root.pixel_names) if isinstance(root, WorldCoordinates) else root.pixel_n_dim
        if len(window) != n_pixel:
            raise InvalidInput(f"a window of {len(window)} axes for coordinates of {n_pixel} pixel axes")
        self.root, self.window = root, window
        if isinstance(root, WorldCoordinates):
            self._whole: NDArray[np.bool_] = root.depends()
        else:
            self._whole = np.asarray(root.axis_correlation_matrix, dtype=bool)
        # Pixel axes in APE 14's order, the reverse of the array's.
        self._parts = window[::-1]
        self._pixel = [number for number, part in enumerate(self._parts) if not isinstance(part, (int, float))]
        self._world = [number for number, row in enumerate(self._whole) if row[self._pixel].any() or not row.any()]
        self._dropped = [number for number in range(len(self._whole)) if number not in self._world]

    @classmethod
    def whole(cls, root: Any, shape: tuple[int, ...]) -> Self:
        """Return the coordinates of a whole dataset of this shape."""
        return cls(root, tuple(Line(0, 1, length) for length in shape))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.root, self.window)

    def __getitem__(self, key: Any) -> CubeWcs:
        """Return the coordinates of a slice, with NumPy's rules for ints and slices along each axis."""
        items = key if isinstance(key, tuple) else (key,)
        kept = [axis for axis, part in enumerate(self.window) if not isinstance(part, (int, float))]
        dots = [number for number, item in enumerate(items) if item is Ellipsis]
        if dots:
            place = dots[0]
            fill = (slice(None),) * (len(kept) - len(items) + 1)
            items = (*items[:place], *fill, *items[place + 1 :])
        if len(items) > len(kept):
            raise InvalidInput(f"{len(items)} indices for {len(kept)} axes")
        window = list(self.window)
        for axis, item in zip(kept, items, strict=False):
            part = window[axis]
            assert not isinstance(part, (int, float))  # noqa: S101 - kept are those that are none
            window[axis] = _sub(part, item)
        return CubeWcs(self.root, tuple(window))

    def rebin(self, sizes: tuple[int, ...]) -> CubeWcs:
        """Return the coordinates of bins; `sizes` in array order, one for each axis."""
        given = iter(sizes)
        parts = [part if isinstance(part, (int, float)) else part.binned(next(given)) for part in self.window]
        return CubeWcs(self.root, tuple(parts))

    # -- pixels and world in numbers ------------------------------------------------------------

    def pixel_to_world_values(self, *pixel_arrays: Any) -> Any:
        """Return the numbers of each world axis, longitudes from -180 degrees (not with) to 180."""
        values = self._evaluate(pixel_arrays)
        out = [values[number] for number in self._world]
        shape = np.broadcast_shapes(*(np.shape(array) for array in pixel_arrays))
        out = [np.broadcast_to(array, shape)[()] for array in out]
        return out[0] if len(out) == 1 else tuple(out)

    def _evaluate(self, pixel_arrays: tuple[Any, ...]) -> list[NDArray[np.float64]]:
        """Return the numbers of every world axis of the whole, not broadcast."""
        if len(pixel_arrays) != len(self._pixel):
            raise InvalidInput(f"{len(pixel_arrays)} pixel arrays for {len(self._pixel)} axes")
        given = iter(pixel_arrays)
        pixels = [
            np.asarray(float(part))
            if isinstance(part, (int, float))
            else part.to_root(np.asarray(next(given), dtype=float))
            for part in self._parts
        ]
        if isinstance(self.root, WorldCoordinates):
            return [np.asarray(array) for array in self.root.to_world(*pixels)]
        values = self.root.pixel_to_world_values(*np.broadcast_arrays(*pixels))
        return _wrapped(self.root, [np.asarray(array) for array in (values if isinstance(values, tuple) else [values])])

    def world_to_pixel_values(self, *world_arrays: Any) -> Any:
        """Return the pixels of the slice, fractions and those beyond its ends included."""
        if len(world_arrays) != len(self._world):
            raise InvalidInput(f"{len(world_arrays)} world arrays for {len(self._world)} axes")
        world: list[Any] = [None] * len(self._whole)
        for number, array in zip(self._world, world_arrays, strict=True):
            world[number] = np.asarray(array, dtype=float)
        if self._dropped:
            fixed = self._evaluate((0.0,) * len(self._pixel))
            for number in self._dropped:
                world[number] = fixed[number]
        if isinstance(self.root, WorldCoordinates):
            pixels = self.root.to_pixel(*world)
        else:
            pixels = self.root.world_to_pixel_values(*np.broadcast_arrays(*world))
        shape = np.broadcast_shapes(*(np.shape(array) for array in world_arrays))
        out = []
        for number in self._pixel:
            part = self._parts[number]
            assert not isinstance(part, (int, float))  # noqa: S101 - listed are those that are none
            out.append(np.broadcast_to(part.from_root(np.asarray(pixels[number])), shape)[()])
        return out[0] if len(out) == 1 else tuple(out)

    # -- what the axes are ----------------------------------------------------------------------

    @property
    def pixel_n_dim(self) -> int:
        """Number of pixel axes of the slice."""
        return len(self._pixel)

    @property
    def world_n_dim(self) -> int:
        """Number of world axes that still vary."""
        return len(self._world)

    @property
    def array_shape(self) -> tuple[int, ...]:
        """Shape of the slice, in array order."""
        return tuple(part.size for part in self.window if not isinstance(part, (int, float)))

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Shape of the slice, in APE 14's order."""
        return self.array_shape[::-1]

    @property
    def pixel_bounds(self) -> None:
        """None: outside of the array the coordinates go on."""
        return

    @property
    def axis_correlation_matrix(self) -> NDArray[np.bool_]:
        """Which world axis hangs on which pixel axis, shape `(world, pixel)`."""
        return self._whole[np.ix_(self._world, self._pixel)]

    def _axis_texts(self, name: str) -> list[Any]:
        if isinstance(self.root, WorldCoordinates):
            return [getattr(axis, name) for axis in self.root.axes]
        plural = {"name": "world_axis_names", "unit": "world_axis_units"}.get(name, "world_axis_physical_types")
        return list(getattr(self.root, plural))

    @property
    def world_axis_physical_types(self) -> list[str | None]:
        """Physical type of each world axis."""
        return [self._axis_texts("physical_type")[number] for number in self._world]

    @property
    def world_axis_units(self) -> list[str]:
        """Unit of each world axis."""
        return [self._axis_texts("unit")[number] for number in self._world]

    @property
    def world_axis_names(self) -> list[str]:
        """Name of each world axis, as the file has it."""
        return [self._axis_texts("name")[number] for number in self._world]

    @property
    def pixel_axis_names(self) -> list[str]:
        """Name of each pixel axis."""
        known = isinstance(self.root, WorldCoordinates)
        names = self.root.pixel_names if known else self.root.pixel_axis_names
        return [names[number] for number in self._pixel]

    # -- objects --------------------------------------------------------------------------------

    @property
    def low_level_wcs(self) -> CubeWcs:
        """Itself: low and high level are one."""
        return self

    @property
    def world_axis_object_components(self) -> list[tuple[str, int, Any]]:
        """How the number of each axis is taken from its coordinate."""
        return [self._components()[number] for number in self._world]

    def _components(self) -> list[tuple[str, int, Any]]:
        if isinstance(self.root, WorldCoordinates):
            return [component(axis, self.root.epoch) for axis in self.root.axes]
        return list(self.root.world_axis_object_components)

    @property
    def world_axis_object_classes(self) -> dict[str, tuple[Any, ...]]:
        """How the coordinates are made, in the order in which `pixel_to_world` returns them."""
        names = dict.fromkeys(name for name, _, _ in self.world_axis_object_components)
        return {name: self._classes()[name] for name in names}

    def _classes(self) -> dict[str, tuple[Any, ...]]:
        root = self.root
        if not isinstance(root, WorldCoordinates):
            return dict(root.world_axis_object_classes)
        kinds = dict.fromkeys(axis.kind for axis in root.axes)
        return {kind: object_class(kind, _units_of(root, kind), root.sky, root.epoch) for kind in kinds}

    @property
    def dropped_world_dimensions(self) -> dict[str, Any]:
        """What is known of the world axes that no longer vary: as astropy's `SlicedLowLevelWCS` tells it."""
        numbers = self._dropped
        values = self._evaluate((0.0,) * len(self._pixel)) if numbers else []
        components = self._components()
        classes = self._classes() if numbers else {}
        names = dict.fromkeys(components[number][0] for number in numbers)
        return {
            "value": [float(values[number]) for number in numbers],
            "world_axis_names": [self._axis_texts("name")[number] for number in numbers],
            "world_axis_physical_types": [self._axis_texts("physical_type")[number] for number in numbers],
            "world_axis_units": [self._axis_texts("unit")[number] for number in numbers],
            "world_axis_object_components": [components[number] for number in numbers],
            "world_axis_object_classes": {name: classes[name] for name in names},
            "serialized_classes": False,
        }


def _units_of(root: WorldCoordinates, kind: str) -> tuple[str, ...]:
    axes = sorted((axis for axis in root.axes if axis.kind == kind), key=lambda axis: axis.part)
    return tuple(axis.unit for axis in axes)


def _wrapped(root: Any, values: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return the numbers with longitudes from -180 degrees to 180."""
    import astropy.units as u

    for number, kind in enumerate(root.world_axis_physical_types):
        if kind is not None and kind.startswith(("custom:pos.", "pos.")) and kind.endswith((".lon", ".ra")):
            turn = (360 * u.deg).to_value(root.world_axis_units[number])
            values[number] = values[number] - turn * np.ceil((values[number] - turn / 2) / turn)
    return values


def _sub(part: Line | Points, item: Any) -> float | Line | Points:
    if isinstance(item, slice):
        return part.take(item)
    if isinstance(item, np.ndarray) and item.ndim == 1:
        numbers = np.flatnonzero(item) if item.dtype == np.bool_ else item
        if item.dtype == np.bool_ and item.size != part.size:
            raise InvalidInput(f"a mask of {item.size} for an axis of {part.size}")
        return part.take(numbers.astype(np.int64))
    number = int(item)
    if not -part.size <= number < part.size:
        raise InvalidInput(f"index {number} is beyond an axis of {part.size}")
    return part.at(number % part.size)

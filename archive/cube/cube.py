"""A Cube: frames of a telescope as one array with world coordinates, headers and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube import arithmetic, coordinates, cropping
from archive.cube.pixels import FramePixels
from archive.cube.raw_pixels import RawFrames
from archive.cube.slicing import cut, orthogonal, per_axis
from archive.errors import InvalidInput
from archive.lazy import InMemory, Lazy
from archive.reading import LIMIT, load_many
from archive.wcs.cube_wcs import CubeWcs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.cube.frames import Frames
    from archive.cube.io import CubeIO

__all__ = ["Cube"]

_ATTRS = ("dataset", "instrument", "tile")


class Cube:
    """An N-d array of frames with world coordinates. Immutable; pixels are read when they are needed.

    Parameters
    ----------
    data
        An array, or what knows how to be one. Its first axes are those across frames.
    wcs
        A `CubeWcs`, or any APE 14 WCS of the whole array.
    unit
        Of the pixels, as astropy knows it.
    mask
        True where there is no valid pixel: `None`, or an array that broadcasts with the data. Pixels of
        missing frames are masked in any case.
    frames
        The frames of the whole dataset.
    grid
        Which frame lies where along the first axes, by number, -1 where one is missing: shape of these axes
        and one axis more for frames that were binned together.
    meta
        Anything else that is known, kept as it is: `inventory` and the documents of the data centre.
    """

    __array_ufunc__ = None  # NumPy's arrays and astropy's quantities leave `5 * u.ct + cube` to the Cube
    __slots__ = ("_data", "_frames", "_grid", "_mask", "meta", "unit", "wcs")

    def __init__(
        self,
        data: NDArray[Any] | Lazy,
        wcs: Any,
        *,
        unit: Any = None,
        mask: Any = None,
        frames: Frames | None = None,
        grid: NDArray[np.intp] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        self._data: Lazy = InMemory(data) if isinstance(data, np.ndarray) else data
        shape = self._data.shape
        low_level = getattr(wcs, "low_level_wcs", wcs)
        self.wcs = low_level if isinstance(low_level, CubeWcs) else CubeWcs.whole(low_level, shape)
        if self.wcs.array_shape != shape:
            raise InvalidInput(f"coordinates of shape {self.wcs.array_shape} for data of shape {shape}")
        self.unit = arithmetic.unit_of(unit)
        self._mask = None if mask is None or mask is np.False_ or mask is False else np.asarray(mask, dtype=bool)
        self._frames = frames
        self._grid = grid
        self.meta = dict(meta or {})
        if grid is not None and grid.shape[:-1] != shape[: grid.ndim - 1]:
            raise InvalidInput(f"frames on a grid of {grid.shape[:-1]} for data of shape {shape}")

    def _with(self, **changed: Any) -> Cube:
        """Return a Cube that differs in some of its parts."""
        parts = {
            "data": self._data,
            "wcs": self.wcs,
            "unit": self.unit,
            "mask": self._mask,
            "frames": self._frames,
            "grid": self._grid,
            "meta": self.meta,
        }
        return Cube(**{**parts, **changed})

    # -- what it is -----------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of pixels along each axis."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""
        return self._data.dtype

    @property
    def data(self) -> Any:
        """The pixels: the NumPy array where they are there, else a dask array that reads when it computes."""
        if isinstance(self._data, InMemory):
            return self._data.array
        try:
            import dask.array as da
        except ModuleNotFoundError:
            return self.to_numpy()
        from_array: Any = da.from_array
        return from_array(
            _Source(self._data), chunks="auto", asarray=False, meta=np.empty((0,) * self.ndim, self.dtype)
        )

    def to_numpy(self, limit: int | None = LIMIT) -> NDArray[Any]:
        """Return the pixels, read in one wave of requests.

        Raises
        ------
        InvalidInput
            They take more memory than `limit` bytes.
        """
        (array,) = load_many([self._data], limit=limit)
        return array

    def load(self) -> Cube:
        """Return this Cube with its pixels in memory."""
        return self._with(data=self.to_numpy())

    @property
    def quantity(self) -> Any:
        """The pixels with their unit, read."""
        import astropy.units as u

        return u.Quantity(self.to_numpy(), self.unit, copy=False)

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """True where there is no valid pixel, in the data's shape; `None` where all are valid."""
        missing = self._missing()
        if self._mask is None and missing is None:
            return None
        masks = [part for part in (self._mask, missing) if part is not None]
        joined = masks[0] if len(masks) == 1 else masks[0] | masks[1]
        return np.broadcast_to(joined, self.shape)

    def _missing(self) -> NDArray[np.bool_] | None:
        """Return where frames are missing, with axes of length one for the pixels."""
        if self._grid is None or (self._grid >= 0).all():
            return None
        missing = (self._grid < 0).any(axis=-1)
        return missing.reshape(missing.shape + (1,) * (self.ndim - missing.ndim))

    @property
    def files(self) -> list[str]:
        """Names of the files of just these frames, in order."""
        return [] if self._frames is None else [self._frames.files[number] for number in self.frame_numbers]

    @property
    def headers(self) -> Any:
        """The headers of just these frames: an astropy table with a row for each, `None` without frames."""
        return None if self._frames is None else self._frames.to_table(self.frame_numbers)

    @property
    def frame_numbers(self) -> NDArray[np.intp]:
        """Numbers of just these frames in the dataset, in order, without those that are missing."""
        if self._grid is None:
            return np.arange(0)
        numbers = self._grid.ravel()
        return numbers[numbers >= 0]

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels once they are read."""
        return self.size * self.dtype.itemsize

    @property
    def loaded(self) -> bool:
        """Whether the pixels are in memory."""
        return isinstance(self._data, InMemory)

    @property
    def lazy(self) -> Lazy:
        """The pixels, unread."""
        return self._data

    @property
    def attrs(self) -> dict[str, Any]:
        """What tells this Cube from others: dataset and instrument."""
        return {name: value for name, value in self.meta.items() if name in _ATTRS}

    def new(self) -> Cube:
        """Return the same Cube again."""
        return self._with()

    @property
    def header_names(self) -> tuple[str, ...]:
        """Keywords of the headers."""
        return () if self._frames is None else self._frames.names

    def header(self, key: str) -> NDArray[Any]:
        """Return the values of one keyword for just these frames, in order.

        Raises
        ------
        InvalidInput
            No header has such a keyword.
        """
        if self._frames is None:
            raise InvalidInput(f"{key}: this Cube has no frames, and no headers")
        return self._frames.column(key, self.frame_numbers)

    def with_frames(self, keep: NDArray[np.bool_]) -> Cube | None:
        """Return the smallest Cube with some of these frames, others masked and not read; `None` without any.

        Parameters
        ----------
        keep
            For each of `frame_numbers`.
        """
        if self._grid is None or self._grid.shape[-1] != 1:
            raise InvalidInput("the frames of this Cube were binned, or are not known; select before that")
        wanted = np.zeros(self._grid.shape[:-1], dtype=bool)
        wanted[self._grid[..., 0] >= 0] = keep
        if not wanted.any():
            return None
        if wanted.all():
            return self
        data = self._data.only(wanted) if isinstance(self._data, (FramePixels, RawFrames)) else self._data
        grid = np.where(wanted[..., None], self._grid, -1)
        axes = range(wanted.ndim)
        key: list[Any] = []
        for axis in axes:
            places = np.flatnonzero(wanted.any(axis=tuple(other for other in axes if other != axis)))
            whole = len(places) == places[-1] - places[0] + 1
            key.append(slice(int(places[0]), int(places[-1]) + 1) if whole else places)
        return self._with(data=data, grid=grid)[tuple(key)]

    @property
    def missing(self) -> list[tuple[int, ...]]:
        """Places along the first axes at which frames are missing."""
        if self._grid is None:
            return []
        return [tuple(place) for place in np.argwhere((self._grid < 0).any(axis=-1)).tolist()]

    @property
    def times(self) -> NDArray[np.datetime64]:
        """Times of just these frames, UTC, in order; empty where they are not known."""
        if self._frames is None or self._frames.times is None:
            return np.empty(0, "datetime64[ns]")
        return self._frames.times[self.frame_numbers].view("datetime64[ns]")

    @property
    def tiles(self) -> Any:
        """The whole Cubes of the mosaic that this one is a tile of: a masked array of its shape, unread.

        Raises
        ------
        InvalidInput
            This Cube is of no mosaic.
        """
        if "tiles" not in self.meta:
            raise InvalidInput("this Cube is no tile of a mosaic")
        return self.meta["tiles"]()

    def mosaic(self, *key: Any, **options: Any) -> Cube:
        """Return all tiles at one index on one grid of the sky, as `mosaic(3)`; `archive.cube.mosaic` says the rest."""
        from archive.cube.mosaic import mosaic_of

        return mosaic_of([tile[key] if key else tile for tile in self.tiles.compressed()], **options)

    @property
    def inventory(self) -> Any:
        """The data centre's inventory record of the dataset, `None` where there is none."""
        return self.meta.get("inventory")

    @property
    def io(self) -> CubeIO:
        """What the Cube can be turned into, and written to."""
        from archive.cube.io import CubeIO

        return CubeIO(self)

    # -- slicing --------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Cube:
        """Return a part, unread: data, coordinates, headers and files together.

        Each axis takes an int, a slice with any step, or a mask; `...` stands for whole axes.

        Raises
        ------
        InvalidInput
            There are more indices than axes, an index is beyond its axis, a mask is of another length,
            nothing is left of an axis, or no axis is left.
        """
        keys = per_axis(key, self.shape)
        if all(isinstance(one, int) for one in keys):
            raise InvalidInput("a single pixel is no Cube; keep an axis, with a slice of length one")
        mask, grid = self._mask, self._grid
        if mask is not None:
            mask = orthogonal(np.broadcast_to(mask, self.shape), keys)
        if grid is not None:
            grid = orthogonal(grid, (*keys[: grid.ndim - 1], slice(None)))
        return self._with(
            data=cut(self._data, keys, 1 if self._grid is None else self._grid.ndim - 1),
            wcs=self.wcs[tuple(keys)],
            mask=mask,
            grid=grid,
        )

    def squeeze(self, axis: int | Sequence[int] | None = None) -> Cube:
        """Return this Cube without axes of length one: all of them, or those that are named.

        Raises
        ------
        InvalidInput
            A named axis is longer, or no axis would be left.
        """
        single = [number for number, length in enumerate(self.shape) if length == 1]
        if axis is not None:
            named = [axis] if isinstance(axis, int) else list(axis)
            wanted = [number % self.ndim for number in named]
            if not set(wanted) <= set(single):
                raise InvalidInput(f"axis {axis} of a Cube of shape {self.shape} is not of length one")
            single = wanted
        return self[tuple(0 if number in single else slice(None) for number in range(self.ndim))]

    def explode_along_axis(self, axis: int) -> tuple[Cube, ...]:
        """Return a Cube for each place along an axis."""
        before = (slice(None),) * (axis % self.ndim)
        return tuple(self[(*before, number)] for number in range(self.shape[axis]))

    # -- coordinates ----------------------------------------------------------------------------

    def pixel_to_world(self, *pixels: Any) -> Any:
        """Return the world coordinates of pixels, in APE 14's order: the reverse of the array's."""
        return self.wcs.pixel_to_world(*(_plain(pixel) for pixel in pixels))

    def world_to_pixel(self, *world: Any) -> Any:
        """Return the pixels of world coordinates."""
        return self.wcs.world_to_pixel(*world)

    @property
    def array_axis_physical_types(self) -> list[tuple[str, ...]]:
        """Physical types of the world coordinates that vary along each array axis."""
        return coordinates.array_axis_physical_types(self.wcs)

    def axis_world_coords(self, *axes: int | str, pixel_corners: bool = False) -> tuple[Any, ...]:
        """Return the world coordinates of every pixel along some axes: all, array axes, or physical types."""
        return coordinates.axis_world_coords(self.wcs, axes, corners=pixel_corners)

    def axis_world_coords_values(self, *axes: int | str, pixel_corners: bool = False) -> Any:
        """Return the same as quantities in a named tuple, in array order."""
        return coordinates.axis_world_coords_values(self.wcs, axes, corners=pixel_corners)

    @property
    def global_coords(self) -> dict[Any, Any]:
        """The world coordinates that no longer vary, by name."""
        return coordinates.global_coords(self.wcs)

    def crop(self, *points: Sequence[Any], keepdims: bool = False) -> Cube:
        """Return the smallest Cube that holds some points in the world.

        Parameters
        ----------
        points
            Coordinates as `pixel_to_world` returns them, told apart by their class: any subset in any order,
            time only, wavelength only (a quantity of length is one), sky only. `None` stands for one that does
            not matter; text for a Stokes parameter stands in its place among all of them.
        keepdims
            Keep axes of which one pixel is left.

        Raises
        ------
        InvalidInput
            The points are outside of the Cube, or of another number of coordinates.
        """
        return self[cropping.crop_key(self.wcs, points, keepdims=keepdims)]

    def crop_by_values(
        self, *points: Sequence[Any], units: Sequence[Any] | None = None, keepdims: bool = False
    ) -> Cube:
        """Return the smallest Cube that holds some points, one quantity (or number and unit) for each world axis."""
        return self[cropping.crop_values_key(self.wcs, points, units, keepdims=keepdims)]

    # -- numbers --------------------------------------------------------------------------------

    def to(self, unit: Any, equivalencies: Any = ()) -> Cube:
        """Return this Cube in another unit, unread."""
        return arithmetic.to_unit(self, unit, equivalencies)

    def rebin(self, bin_shape: Sequence[int], operation: Callable[..., Any] = np.mean, **options: Any) -> Cube:
        """Return bins of so many pixels along each axis, -1 for the whole axis; reads the pixels.

        Parameters
        ----------
        bin_shape
            In array order.
        operation
            Takes an array and `axis=`: `numpy.mean`, `numpy.sum`, ...
        options
            `operation_ignores_mask` (False), `handle_mask` (`numpy.all`; `None` drops the mask), `new_unit`.
        """
        return arithmetic.rebin(self, bin_shape, operation, **options)

    def fill_masked(self, fill_value: Any, *, unmask: bool = False) -> Cube:
        """Return this Cube with a number or quantity where pixels are masked; reads the pixels."""
        return arithmetic.fill_masked(self, fill_value, unmask=unmask)

    def reproject_to(self, target: Any, **options: Any) -> Cube:
        """Return the pixels on the grid of another WCS, by ndcube and reproject; reads the pixels."""
        from archive.cube.io import from_ndcube

        return from_ndcube(self.io.to_ndcube().reproject_to(getattr(target, "wcs", target), **options), meta=self.meta)

    def plot(self, *args: Any, **options: Any) -> Any:
        """Return a picture on WCSAxes, with sliders where there are more than two axes; reads the pixels."""
        return self.io.to_ndcube().plot(*args, **options)

    def __add__(self, other: Any) -> Cube:
        return arithmetic.add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Cube:
        return arithmetic.add(self, other, np.subtract)

    def __rsub__(self, other: Any) -> Cube:
        return arithmetic.add(-self, other)

    def __mul__(self, other: Any) -> Cube:
        return arithmetic.multiply(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Cube:
        return arithmetic.multiply(self, other, np.divide)

    def __rtruediv__(self, other: Any) -> Cube:
        return arithmetic.multiply(self**-1, other)

    def __pow__(self, power: float) -> Cube:
        return arithmetic.power(self, power)

    def __neg__(self) -> Cube:
        return arithmetic.negative(self)

    def __repr__(self) -> str:
        axes = ", ".join(
            f"{'/'.join(types) or '-'}: {length}"
            for types, length in zip(self.array_axis_physical_types, self.shape, strict=True)
        )
        count = "" if self._frames is None else f", {len(self.frame_numbers)} frames"
        return f"<Cube ({axes}) {self.dtype} [{self.unit if self.unit is not None else ''}]{count}>"


class _Source:
    """What dask reads from: any part of a lazy array."""

    def __init__(self, lazy: Lazy) -> None:
        self.lazy, self.shape, self.dtype, self.ndim = lazy, lazy.shape, lazy.dtype, len(lazy.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        (array,) = load_many([cut(self.lazy, per_axis(key, self.shape), 0)], limit=None)
        return array


def _plain(pixel: Any) -> Any:
    """Return a pixel without its unit `pix`."""
    return pixel.to_value("pix") if hasattr(pixel, "to_value") else pixel

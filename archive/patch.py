"""A Patch: contiguous data with its dims, coordinates, units and attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from archive.attrs import Attrs
from archive.coords import Coord, Coords, Linear, TimeAxis, values_from_array
from archive.errors import InvalidInput
from archive.lazy import Indexed, InMemory, Lazy, Transposed
from archive.operations.registry import Operations
from archive.reading import LIMIT, load_many
from archive.select import Key, key_of
from archive.times import time_to_ns
from archive.units import get_quantity, is_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from archive.exchange.patch_io import PatchIO
    from archive.viz import PatchViz

__all__ = ["Patch"]


class Patch(Operations, np.lib.mixins.NDArrayOperatorsMixin):
    """Contiguous data with dims, coordinates and attributes. Immutable; samples are read when needed.

    Parameters
    ----------
    data
        An array, or what knows how to be one.
    coords
        By name: a `Coord`, or an array of values; one for each dim.
    dims
        Names of the dims, in order.
    attrs
        Scalars by name.

    Raises
    ------
    InvalidInput
        Shapes and names do not fit each other.
    """

    __slots__ = ("_attrs", "_coords", "_data")

    def __init__(
        self,
        data: NDArray[Any] | Lazy,
        coords: Coords | Mapping[str, Any],
        dims: Sequence[str] | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(coords, Coords):
            if dims is None:
                raise InvalidInput("a Patch made of plain coordinates needs dims=(...)")
            coords = Coords(tuple(dims), {name: _coord(name, value) for name, value in coords.items()})
        if isinstance(data, (np.ndarray, list, tuple, float, int)):
            data = InMemory(_frozen(np.asarray(data)))
        if data.shape != coords.shape:
            raise InvalidInput(f"data of shape {data.shape} does not fit dims {coords.dims} of shape {coords.shape}")
        self._data: Lazy = data
        self._coords = coords
        self._attrs = attrs if isinstance(attrs, Attrs) else Attrs(attrs)

    # -- what it is -----------------------------------------------------------------------------

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dims, in order."""
        return self._coords.dims

    @property
    def coords(self) -> Coords:
        """The coordinates by name."""
        return self._coords

    @property
    def attrs(self) -> Attrs:
        """The attributes by name."""
        return self._attrs

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """Number of dims."""
        return len(self.dims)

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the samples in memory."""
        return self.size * self.dtype.itemsize

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return self._data.dtype

    @property
    def lazy(self) -> Lazy:
        """The samples, as far as they are there."""
        return self._data

    @property
    def loaded(self) -> bool:
        """Whether the samples are in memory."""
        return isinstance(self._data, InMemory)

    @property
    def data(self) -> NDArray[Any]:
        """The samples; read at the first use, read-only.

        Raises
        ------
        InvalidInput
            They are more than fit: see `load`.
        """
        self.load()
        assert isinstance(self._data, InMemory)  # noqa: S101 - load has just seen to it
        return self._data.array

    def load(self, limit: int | None = LIMIT) -> Self:
        """Read the samples now, in one wave of requests, and return the Patch itself.

        Parameters
        ----------
        limit
            Bytes of samples above which it refuses; `None` for no limit.
        """
        load_patches([self], limit)
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 - NumPy's protocol
        return np.array(self.data, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return self.shape[0]

    def get_coord(self, name: str) -> Coord:
        """Return one coordinate."""
        return self._coords[name]

    def get_array(self, name: str | None = None) -> NDArray[Any]:
        """Return the values of a coordinate, or the samples."""
        return self.data if name is None else self._coords.get_array(name)

    def get_axis(self, dim: str) -> int:
        """Return the number of a dim."""
        if dim not in self.dims:
            raise InvalidInput(f"{dim}: no such dim; there are {', '.join(self.dims)}")
        return self.dims.index(dim)

    def equals(self, other: object) -> bool:
        """Return whether another Patch has the same dims, coordinates, attributes and samples."""
        if not isinstance(other, Patch) or self.dtype != other.dtype or self.coords != other.coords:
            return False
        if dict(self.attrs) != dict(other.attrs):
            return False
        return bool(np.array_equal(self.data, other.data, equal_nan=self.dtype.kind in "fc"))

    # -- parts and changes ----------------------------------------------------------------------

    def new(
        self,
        data: NDArray[Any] | Lazy | None = None,
        coords: Coords | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> Patch:
        """Return a Patch with some of its parts replaced."""
        return Patch(
            self._data if data is None else data,
            self._coords if coords is None else coords,
            attrs=self._attrs if attrs is None else attrs,
        )

    def select(self, *, relative: bool = False, samples: bool = False, **selectors: Any) -> Patch:
        """Return a part, unread.

        Parameters
        ----------
        relative
            Bounds count from the start of the coordinate, negative ones from its end.
        samples
            Bounds are sample numbers as in Python's slices; a single number keeps the dim.
        **selectors
            For any coordinate: a pair is a range with both ends inclusive, `None` or `...` leave an
            end open; an array is a set of values, a boolean array a mask. Bare numbers on time are
            seconds since 1970; quantities are converted.

        Raises
        ------
        InvalidInput
            There is no such coordinate, or the selector cannot be understood.
        """
        patch = self
        for name, selector in selectors.items():
            coord = patch.coords[name]
            if len(coord.dims) != 1:
                raise InvalidInput(f"{name} lies along no single dim and cannot be selected on")
            key = key_of(coord, selector, name=name, relative=relative, samples=samples)
            patch = patch.take(coord.dims[0], key)
        return patch

    def take(self, dim: str, key: Key) -> Patch:
        """Return some samples along one dim: a slice, or an array of sample numbers; unread."""
        axis = self.get_axis(dim)
        if isinstance(key, slice):
            start, stop, step = key.indices(self.shape[axis])
            if (start, stop, step) == (0, self.shape[axis], 1):
                return self
            key = slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)
        if isinstance(key, slice):
            window = [slice(0, length) for length in self.shape]
            window[axis] = key
            data: Lazy = self._data.cut(tuple(window))
        else:
            data = Indexed(self._data, axis, key)
        return self.new(data, self._coords.take({dim: key}))

    def transpose(self, *dims: Any) -> Patch:
        """Return the Patch with its dims in another order (reversed without arguments), unread."""
        order = tuple(dims) or self.dims[::-1]
        if ... in order:
            named = [dim for dim in order if dim is not ...]
            rest = [dim for dim in self.dims if dim not in named]
            place = order.index(...)
            order = (*order[:place], *rest, *order[place + 1 :])
        if sorted(order) != sorted(self.dims):
            raise InvalidInput(f"transpose({', '.join(map(str, order))}) must name each of {self.dims} once")
        axes = tuple(self.dims.index(dim) for dim in order)
        data = (
            InMemory(self._data.array.transpose(axes))
            if isinstance(self._data, InMemory)
            else Transposed(self._data, axes)
        )
        return self.new(data, self._coords.transposed(order))

    def update_attrs(self, **attrs: Any) -> Patch:
        """Return the Patch with some attributes set."""
        return self.new(attrs={**self._attrs, **attrs})

    def update_coords(self, **coords: Any) -> Patch:
        """Return the Patch with some coordinates replaced or added.

        Parameters
        ----------
        **coords
            An array or a `Coord` under the coordinate's name; a pair `(dim, values)` for a new one
            beside a dim; `time_min`, `distance_max` and so on move a coordinate as a whole.
        """
        changed = self._coords
        for name, value in coords.items():
            base, _, edge = name.rpartition("_")
            if name not in changed and base in changed and edge in {"min", "max", "step"}:
                changed = changed.update({base: _moved(changed[base], edge, value, base)})
            else:
                old = changed[name] if name in changed else None  # noqa: SIM401 - no KeyError
                changed = changed.update({name: _coord(name, value, old)})
        return self.new(coords=changed)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from archive.arithmetic import apply_method, apply_ufunc

        if kwargs.get("out") is not None or method not in {"__call__", "reduce", "accumulate"}:
            return NotImplemented
        return (
            apply_ufunc(ufunc, inputs, kwargs) if method == "__call__" else apply_method(ufunc, method, inputs, kwargs)
        )

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from archive.arithmetic import apply_function

        return apply_function(func, args, kwargs)

    # -- faces ----------------------------------------------------------------------------------

    @property
    def io(self) -> PatchIO:
        """Ways out: `patch.io.to_xarray()`."""
        from archive.exchange.patch_io import PatchIO

        return PatchIO(self)

    @property
    def viz(self) -> PatchViz:
        """Pictures: `patch.viz.waterfall()`."""
        from archive.viz import PatchViz

        return PatchViz(self)

    def __repr__(self) -> str:
        from archive.display import patch_text

        return patch_text(self)

    def _repr_html_(self) -> str:
        from archive.display import patch_html

        return patch_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Patch, (self._data, self._coords, None, self._attrs)


def load_patches(patches: Sequence[Patch], limit: int | None = LIMIT) -> None:
    """Read the samples of several Patches in one wave of requests."""
    waiting = [patch for patch in patches if not patch.loaded]
    for patch, samples in zip(waiting, load_many([patch.lazy for patch in waiting], limit), strict=True):
        patch._data = InMemory(_frozen(samples))  # noqa: SLF001 - what was lazy is now there, and the same


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _coord(name: str, value: Any, old: Coord | None = None) -> Coord:
    """Return what a user gives for a coordinate, as one; units stay unless new ones are given."""
    if isinstance(value, Coord):
        return value
    dims: tuple[str, ...] = old.dims if old is not None else (name,)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], (str, type(None))):  # noqa: PLR2004 - a pair
        dims, value = (value[0],) if value[0] else (), value[1]
    elif isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], tuple):  # noqa: PLR2004 - a pair
        dims, value = value
        if len(dims) > 1:
            raise InvalidInput(f"{name} lies along {', '.join(map(str, dims))}, but a coordinate lies along one dim")
    units = old.units if old is not None else None
    if is_quantity(value):
        value, units = value.magnitude, str(value.units)
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind == "M" and units is None:
        units = "s"
    return Coord(dims=dims, values=values_from_array(array), units=units)


def _moved(coord: Coord, edge: str, value: Any, name: str) -> Coord:
    values = coord.values
    if isinstance(values, TimeAxis):
        if edge == "step":
            raise InvalidInput("a new time step is a new coordinate: give update_coords(time=...)")
        return coord.with_values(values.shifted(time_to_ns(value) - (values.first if edge == "min" else values.last)))
    number = get_quantity(str(value)).to(coord.units).magnitude if is_quantity(value) else value
    if edge == "step":
        return coord.with_values(Linear(start=float(values[0]), step=float(number), size=values.size))
    if isinstance(values, Linear) and values.offset == 0:
        shift = number - (coord.min() if edge == "min" else coord.max())
        return coord.with_values(
            Linear(start=float(values.start + shift), step=float(values.step), size=values.size, stride=values.stride)
        )
    array = coord.to_numpy()
    if array.dtype.kind not in "iuf":
        raise InvalidInput(f"{name} holds no numbers and cannot be moved")
    return coord.with_values(values_from_array(array + (number - (array.min() if edge == "min" else array.max()))))

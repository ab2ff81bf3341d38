"""xarray: lazy DataArrays with exact times, and the engine `lightkeep` for `xarray.open_dataset`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from archive.chunk import join_patches, merge
from archive.coords import Coord, Coords, TimeAxis, values_from_array
from archive.coords.coord import same_values
from archive.errors import InvalidInput, MissingExtra
from archive.lazy import Indexed
from archive.patch import Patch
from archive.reading import load
from archive.time_index import Stamps, TimeAxisIndex, rises

try:
    import xarray as xr
    from xarray.backends import BackendArray, BackendEntrypoint
    from xarray.core import indexing
except ImportError as error:  # pragma: no cover - the tests have it
    raise MissingExtra("to_xarray needs xarray: pip install 'lightkeep[interop]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.lazy import Lazy

__all__ = ["LightkeepEntrypoint", "TimeAxisIndex", "from_xarray", "patch_to_xarray", "spool_to_xarray"]

_BLOCK = 64 << 20  # bytes of a Dask chunk
_STEP_TOLERANCE = 0.05


# -- arrays that read themselves ----------------------------------------------------------------


class _Samples(BackendArray):
    """Samples of a `Lazy`, read when xarray asks for them."""

    def __init__(self, lazy: Lazy) -> None:
        self.lazy, self.shape, self.dtype = lazy, lazy.shape, lazy.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        array: NDArray[Any] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )
        return array

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        window, picks, squeezed = [], [], []
        for axis, (part, size) in enumerate(zip(key, self.shape, strict=True)):
            if isinstance(part, slice):
                numbers = range(*part.indices(size))
                if numbers.step == 1:
                    window.append(slice(numbers.start, max(numbers.start, numbers.stop)))
                    continue
                part = np.asarray(numbers, dtype=np.int64)  # noqa: PLW2901 - the same samples, numbered
            if np.ndim(part) == 0:
                start = int(part) % size
                window.append(slice(start, start + 1))
                squeezed.append(axis)
                continue
            window.append(slice(0, size))
            picks.append((axis, np.where(part < 0, part + size, part)))
        lazy = self.lazy.cut(tuple(window))
        for axis, numbers in picks:
            lazy = Indexed(lazy, axis, numbers)
        return load(lazy).squeeze(tuple(squeezed))

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # nothing in it changes


def patch_to_xarray(patch: Patch) -> xr.DataArray:
    """Return a Patch as a DataArray: samples unread, times exact."""
    return _data_array(patch, _cached)


def spool_to_xarray(patches: Sequence[Patch]) -> xr.DataArray | xr.DataTree:
    """Return Patches as one lazy DataArray, gaps staying gaps; a DataTree where they do not fit together.

    Raises
    ------
    InvalidInput
        There are no Patches, or they have no times.
    """
    arrays = {name: _data_array(patch, _cached) for name, patch in _joined(patches).items()}
    if not arrays:
        raise InvalidInput("there are no Patches to convert; widen the selection")
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    return xr.DataTree.from_dict({name: array.to_dataset(name="data") for name, array in arrays.items()})


def from_xarray(array: xr.DataArray) -> Patch:
    """Return a Patch with the samples of a DataArray, read now, its coordinates, units and attributes.

    Raises
    ------
    InvalidInput
        It is no DataArray, or a coordinate lies along several dims.
    """
    if not isinstance(array, xr.DataArray):
        raise InvalidInput(f"from_xarray takes a DataArray, not {type(array).__name__}; of a Dataset name one variable")
    coords = {}
    for name, held in array.coords.items():
        if held.ndim > 1:
            raise InvalidInput(f"the coordinate {name} lies along {', '.join(map(str, held.dims))}; drop_vars it first")
        index = array.xindexes.get(name)
        values: Any = index.axis if isinstance(index, TimeAxisIndex) else values_from_array(np.atleast_1d(held.values))
        units = held.attrs.get("units", "s" if values.dtype.kind == "M" else None)
        coords[str(name)] = Coord(dims=tuple(map(str, held.dims)), values=values, units=units)
    for dim in map(str, array.dims):
        if dim not in coords:
            coords[dim] = Coord(dims=(dim,), values=values_from_array(np.arange(array.sizes[dim])))
    attrs = {str(name): value for name, value in array.attrs.items() if name != "units"}
    if "units" in array.attrs:
        attrs["data_units"] = array.attrs["units"]
    return Patch(array.values, Coords(tuple(map(str, array.dims)), coords), attrs=attrs)


def _joined(patches: Sequence[Patch]) -> dict[str, Patch]:
    """Return one Patch for each dataset, or more where channels or steps differ, by name."""
    groups: list[list[Patch]] = []
    for patch in merge(list(patches), conflict="drop"):
        for members in groups:
            if _fits(members[0], patch):
                members.append(patch)
                break
        else:
            groups.append([patch])
    joined: dict[str, Patch] = {}
    for members in groups:
        stem = name = str(members[0].attrs.get("dataset", "") or "data")
        number = 1
        while name in joined:
            number += 1
            name = f"{stem}_{number}"
        joined[name] = join_patches(members, "drop")
    return joined


def _fits(one: Patch, other: Patch) -> bool:
    if (one.dims, one.dtype, one.attrs.get("dataset")) != (other.dims, other.dtype, other.attrs.get("dataset")):
        return False
    steps = [cast("TimeAxis", patch.coords["time"].values).typical_step for patch in (one, other)]
    if steps[0] and steps[1] and abs(steps[0] - steps[1]) > _STEP_TOLERANCE * steps[0]:
        return False
    names = [{name for name, coord in patch.coords.items() if "time" not in coord.dims} for patch in (one, other)]
    return names[0] == names[1] and all(same_values(one.coords[name], other.coords[name]) for name in names[0])


def _cached(array: indexing.LazilyIndexedArray) -> Any:
    """Return an array that keeps what it has read and is copied when it is written to."""
    wrapped: Any = indexing  # xarray types these as NumPy arrays, which they are not
    return wrapped.CopyOnWriteArray(wrapped.MemoryCachedArray(array))


def _data_array(patch: Patch, wrapped: Callable[[Any], Any]) -> xr.DataArray:
    coords = xr.Coordinates()
    for name, coord in patch.coords.items():
        if coord.dims == (name,):
            coords = coords.merge(_index_coords(name, coord)).coords
    beside = {name: _variable(coord, wrapped) for name, coord in patch.coords.items() if coord.dims != (name,)}
    attrs: dict[Any, Any] = {name: value for name, value in patch.attrs.items() if name != "data_units"}
    if patch.attrs.get("data_units") is not None:
        attrs["units"] = patch.attrs["data_units"]
    data = xr.Variable(patch.dims, wrapped(indexing.LazilyIndexedArray(_Samples(patch.lazy))), fastpath=True)
    name = str(patch.attrs.get("data_type", "") or "data")
    return xr.DataArray(data, coords=coords, name=name, attrs=attrs).assign_coords(beside)


def _attributes(coord: Coord) -> dict[str, Any]:
    # xarray writes the units of times itself, and refuses to overwrite others.
    return {} if coord.is_time or coord.units is None else {"units": coord.units}


def _index_coords(name: str, coord: Coord) -> xr.Coordinates:
    if isinstance(coord.values, TimeAxis) and rises(coord.values):
        return xr.Coordinates.from_xindex(TimeAxisIndex(coord.values, name))
    variable = xr.Variable(coord.dims, coord.to_numpy(), _attributes(coord))
    return xr.Coordinates({name: variable})


def _variable(coord: Coord, wrapped: Callable[[Any], Any]) -> xr.Variable:
    if isinstance(coord.values, TimeAxis) and coord.dims:
        return xr.Variable(coord.dims, wrapped(indexing.LazilyIndexedArray(Stamps(coord.values))), fastpath=True)
    values = coord.to_numpy()
    return xr.Variable(coord.dims, values if coord.dims else values.reshape(()), _attributes(coord))


# -- the engine ---------------------------------------------------------------------------------


class LightkeepEntrypoint(BackendEntrypoint):
    """`xarray.open_dataset(url, engine="lightkeep")`: one dataset of an archive, lazily."""

    description = "Lightkeep archives of fibre-optic sensing and solar data"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "dataset", "as_of", "storage_options")
    supports_groups = True

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        dataset: str | None = None,
        as_of: Any = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> xr.Dataset:
        """Return one dataset of an archive, its samples as the variable `data`.

        Raises
        ------
        InvalidInput
            The archive has several datasets and none was named.
        """
        groups = _opened(filename_or_obj, dataset, as_of, storage_options, drop_variables)
        if len(groups) != 1:
            raise InvalidInput(
                f"{filename_or_obj} holds {len(groups)} datasets ({', '.join(groups) or 'none yet'}); "
                "name one with dataset=..., or take all with xarray.open_datatree"
            )
        return next(iter(groups.values()))

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        dataset: str | None = None,
        as_of: Any = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> dict[str, xr.Dataset]:
        """Return the datasets of an archive by name."""
        groups = _opened(filename_or_obj, dataset, as_of, storage_options, drop_variables)
        return {f"/{name}": group for name, group in groups.items()}

    def open_datatree(self, filename_or_obj: Any, **options: Any) -> xr.DataTree:
        """Return all datasets of an archive as a tree."""
        return xr.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, **options))

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Return False: an archive does not show by its name; say engine="lightkeep"."""
        del filename_or_obj
        return False


def _opened(
    url: Any,
    dataset: Any,
    as_of: Any,
    storage_options: Mapping[str, Any] | None,
    drop_variables: str | Iterable[str] | None,
) -> dict[str, xr.Dataset]:
    """Return the datasets of an archive by name, without the variables to drop."""
    from archive.catalog import open as open_archive

    patches = _joined(list(open_archive(str(url), dataset, as_of, storage_options)))
    dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
    opened = {}
    for name, patch in patches.items():
        array = _data_array(patch, lambda lazy: lazy)
        row = max(patch.nbytes // max(patch.shape[0], 1), 1)
        rows = max(1 << int(math.log2(max(_BLOCK // row, 1))), 1)
        preferred = dict(zip(patch.dims, (min(rows, patch.shape[0]), *patch.shape[1:]), strict=True))
        group = array.to_dataset(name="data")
        group["data"].encoding["preferred_chunks"] = preferred
        opened[name] = group.drop_vars(dropped, errors="ignore")
    return opened

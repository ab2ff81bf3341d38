"""The same data as a Patch and as a DASCore Patch, and the comparison of what comes out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hypothesis import strategies as st

import archive as lk
from archive.units import get_quantity

__all__ = ["assert_same", "dascore_of", "patch_of", "patches", "units"]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dascore as dc
    from dascore import units

START = np.datetime64("2016-03-14T08:00", "ns")
STEP = np.timedelta64(4, "ms")
DTYPES = ("float64", "float32", "int16", "int32")


def patch_of(
    data: np.ndarray, *, units: str | None = None, flip: str | None = None, distance: np.ndarray | None = None
) -> lk.Patch:
    """Return a Patch of time and distance at 250 Hz and 2.5 m."""
    coords: dict[str, Any] = {"time": START + np.arange(data.shape[0]) * STEP}
    coords["distance"] = np.arange(data.shape[1]) * 2.5 + 10.0 if distance is None else distance
    if flip:
        coords[flip] = coords[flip][::-1]
    attrs = {} if units is None else {"data_units": units}
    return lk.Patch(data, coords, ("time", "distance"), attrs).set_units(units, distance="m")


def dascore_of(patch: lk.Patch) -> Any:
    """Return the same as a DASCore Patch."""
    coords = {name: (coord.dims, coord.to_numpy().copy()) for name, coord in patch.coords.items()}
    attrs = {name: value for name, value in patch.attrs.items() if name != "history"}
    made = dc.Patch(data=patch.data.copy(), coords=coords, dims=patch.dims, attrs=attrs)
    units = {name: coord.units for name, coord in patch.coords.items() if coord.units}
    return made.set_units(attrs.get("data_units"), **units)


def assert_same(
    mine: lk.Patch,
    theirs: Any,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    dtype: bool = True,
    size: float = 0,
    stamps: int = 1,
    coord_units: bool = True,
    data_units: bool = True,
) -> None:
    """Compare dims, shapes, types, samples (`atol` times their size), coordinates (`stamps` in ns) and units."""
    assert mine.dims == theirs.dims
    assert mine.shape == theirs.shape
    if dtype:
        assert mine.dtype == theirs.data.dtype, (mine.dtype, theirs.data.dtype)
    scale = np.max(np.abs(theirs.data), initial=size, where=np.isfinite(theirs.data))
    np.testing.assert_allclose(mine.data, theirs.data, rtol=rtol, atol=atol * scale)
    for name in mine.dims:
        one, other = mine.get_array(name), theirs.get_array(name)
        if other.dtype.kind == "m" and one.dtype.kind == "f":
            np.testing.assert_allclose(one, other / np.timedelta64(1, "s"), atol=1e-9, err_msg=name)
        elif one.dtype.kind in "Mm":
            apart = np.abs((one - other).astype("timedelta64[ns]").astype(np.int64))
            assert apart.max(initial=0) <= stamps, name
        elif one.dtype.kind == "f":
            np.testing.assert_allclose(one, other.astype(float), rtol=1e-9, atol=1e-9, err_msg=name)
        if coord_units:
            assert_same_units(mine.coords[name].units, theirs.get_coord(name).units, name)
    if data_units:
        assert_same_units(mine.attrs.get("data_units"), theirs.attrs.data_units, "data_units")


def assert_same_units(mine: str | None, theirs: Any, name: str) -> None:
    """Compare units, whatever they are written as."""
    if theirs is None or mine is None:
        assert mine is None, (name, mine, theirs)
        assert theirs is None, (name, mine, theirs)
    else:
        own, other = get_quantity(mine).to_base_units(), get_quantity(str(theirs)).to_base_units()
        assert own.units == other.units, (name, mine, theirs)
        assert np.isclose(own.magnitude, other.magnitude), (name, mine, theirs)


@st.composite
def patches(
    draw: st.DrawFn,
    *,
    times: tuple[int, int] = (8, 80),
    channels: tuple[int, int] = (2, 6),
    dtypes: tuple[str, ...] = DTYPES,
    nan: bool = False,
    flips: bool = False,
    units: tuple[str | None, ...] = (None, "m/s", "nm", "1/s"),
) -> lk.Patch:
    """Make Patches of random shape, type, units and samples, some with NaN or with a dim reversed."""
    shape = draw(st.integers(*times)), draw(st.integers(*channels))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    data = rng.normal(scale=1000 if dtype.kind == "i" else 1, size=shape).astype(dtype)
    if nan and dtype.kind == "f" and draw(st.booleans()):
        data[rng.random(shape) < 0.1] = np.nan
    flip = draw(st.sampled_from([None, "time", "distance"])) if flips else None
    patch = patch_of(data, units=draw(st.sampled_from(units)), flip=flip)
    return patch.transpose() if draw(st.booleans()) else patch

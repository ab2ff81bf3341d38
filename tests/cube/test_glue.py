"""A Cube in Glue, as docs/frames.md says."""

from __future__ import annotations

import numpy as np
from glue.core import Data, DataCollection

import archive as lk


def test_glue_takes_a_cube_with_its_coordinates() -> None:
    cube = lk.get_example_cube("raster")[:, ::2]
    data = Data(label="raster", coords=cube.wcs, counts=cube.to_numpy())
    collection = DataCollection([data])
    assert data.shape == cube.shape
    wavelength = next(name for name in data.world_component_ids if name.label.lower() == "wavelength")
    world = cube.axis_world_coords("em.wl")[0]
    np.testing.assert_allclose(data[wavelength][0, 0, :, 0], world.to_value("nm"), rtol=1e-12)
    bright = collection.new_subset_group("bright", data.id["counts"] > 20000)
    np.testing.assert_array_equal(bright.subsets[0].to_mask(), cube.to_numpy() > 20000)

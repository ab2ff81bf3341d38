"""What a Cube can be turned into: ndcube, xarray, the very same FITS files, the data centre's asdf."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.coordinates import axis_values
from archive.errors import InvalidInput, MissingExtra, NotFound
from archive.wcs.cube_wcs import Line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archive.cube.cube import Cube

__all__ = ["CubeIO", "from_ndcube"]


@dataclass(frozen=True, slots=True)
class CubeIO:
    """The ways out of a Cube."""

    cube: Cube

    def to_ndcube(self) -> Any:
        """Return the familiar object, pixels lazy where this Cube's are.

        Raises
        ------
        MissingExtra
            ndcube is not installed.
        """
        try:
            from ndcube import NDCube
        except ModuleNotFoundError as error:
            message = "an NDCube needs ndcube, which is not installed; pip install 'lightkeep[frames]'"
            raise MissingExtra(message) from error
        cube = self.cube
        mask = cube.mask
        return NDCube(cube.data, wcs=cube.wcs, unit=cube.unit, mask=mask, meta=dict(cube.meta))

    def to_xarray(self) -> Any:
        """Return a DataArray: dims named as the pixel axes, world coordinates on those that they hang on."""
        import xarray as xr

        cube, wcs = self.cube, self.cube.wcs
        dims = _unique([name or f"axis{number}" for number, name in enumerate(wcs.pixel_axis_names[::-1])])
        coords: dict[str, Any] = {}
        values = axis_values(wcs, range(wcs.world_n_dim))
        for number, array in values.items():
            kind = wcs.world_axis_object_components[number][0]
            along = [dims[wcs.pixel_n_dim - 1 - axis] for axis in np.flatnonzero(wcs.axis_correlation_matrix[number])]
            name = str(wcs.world_axis_physical_types[number]).rpartition(":")[2]
            attrs = {"units": wcs.world_axis_units[number], "physical_type": wcs.world_axis_physical_types[number]}
            if kind == "temporal":
                make = wcs.world_axis_object_classes[kind][3]
                array, attrs = make(array).datetime64.astype("datetime64[ns]"), {"physical_type": "time"}  # noqa: PLW2901
            coords[name] = (along[::-1], array, attrs)
        attrs = {"units": "" if cube.unit is None else str(cube.unit)}
        return xr.DataArray(cube.data, dims=dims, coords=coords, attrs=attrs, name="pixels")

    def to_fits(self, folder: str | Path) -> list[Path]:
        """Write the files of this Cube's frames, byte for byte as they came in; return their paths.

        Raises
        ------
        InvalidInput
            The Cube has no files, or one of them is there already.
        """
        cube, frames = self.cube, self.cube._frames  # noqa: SLF001 - of one package
        if frames is None or frames.content is None:
            raise InvalidInput("this Cube was not made of FITS files that could be written")
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        written = []
        for number in np.unique(cube.frame_numbers).tolist():
            path = target / Path(frames.files[number]).name
            content = frames.content(number)
            try:
                with path.open("xb") as file:
                    file.write(content)
            except FileExistsError as error:
                raise InvalidInput(f"{path}: there is such a file already; give an empty folder") from error
            written.append(path)
        return written

    def to_asdf(self, path: str | Path) -> Path:
        """Write the data centre's asdf: byte for byte as it came in, or that of a slice.

        What was computed, binned or masked since is not in it: it tells of the files.

        Raises
        ------
        NotFound
            The dataset came without one.
        InvalidInput
            The Cube is a slice in steps, which a gWCS cannot tell of.
        """
        content = self.cube.meta.get("asdf")
        content = content() if callable(content) else content
        if not isinstance(content, bytes):
            raise NotFound("this dataset came without an asdf; its frames are written with io.to_fits")
        target, key = Path(path), self._slice()
        if key is None:
            target.write_bytes(content)
        else:
            _write_slice(content, self.cube.meta.get("tile"), key, target)
        return target

    def _slice(self) -> tuple[int | slice, ...] | None:
        """Return what this Cube is of the whole dataset, `None` for all of it."""
        window, whole = self.cube.wcs.window, self.cube.meta.get("shape")
        if whole is None:
            return None
        key: list[int | slice] = []
        for part in window:
            if isinstance(part, Line) and part.step == 1 and float(part.start).is_integer():
                key.append(slice(int(part.start), int(part.start) + part.size))
            elif isinstance(part, (int, float)) and float(part).is_integer():
                key.append(int(part))
            else:
                raise InvalidInput("an asdf cannot tell of steps, masks or bins; write the Cube that this was made of")
        return None if key == [slice(0, length) for length in whole] else tuple(key)


def _write_slice(content: bytes, tile: tuple[int, ...] | None, key: tuple[int | slice, ...], target: Path) -> None:
    import io
    import warnings

    try:
        import asdf
        import dkist  # noqa: F401 - its schemas are there
    except ModuleNotFoundError as error:
        message = f"an asdf of a slice needs {error.name}, which is not installed; pip install 'lightkeep[frames]'"
        raise MissingExtra(message) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # older files than libraries
        with asdf.open(io.BytesIO(content), lazy_load=False, memmap=False) as file:
            dataset = file.tree["dataset"]
            whole = dataset if tile is None else dataset._data[tile]  # noqa: SLF001 - a slice is checked
            asdf.AsdfFile({"dataset": whole[key]}).write_to(target)


def _unique(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names)]


def from_ndcube(ndcube: Any, meta: Mapping[str, Any] | None = None) -> Cube:
    """Return a Cube of an NDCube: its pixels, coordinates, unit and mask."""
    from archive.cube.cube import Cube

    return Cube(np.asarray(ndcube.data), ndcube.wcs, unit=ndcube.unit, mask=ndcube.mask, meta=meta or ndcube.meta)

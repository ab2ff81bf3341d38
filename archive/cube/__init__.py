"""A hypercube of frames: data, world coordinates, headers and files that are sliced together."""

from archive.errors import MissingExtra

try:
    from archive.cube.cube import Cube
except ModuleNotFoundError as error:
    message = f"Cubes need {error.name}, which is not installed; pip install 'lightkeep[frames]'"
    raise MissingExtra(message) from error
from archive.cube.frames import Frames
from archive.cube.stored import cubes_of

__all__ = ["Cube", "Frames", "cubes_of"]

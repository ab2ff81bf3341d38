"""A hypercube of frames: data, world coordinates, headers and files that are sliced together."""

from archive.cube.cube import Cube
from archive.cube.frames import Frames

__all__ = ["Cube", "Frames"]

"""Examples: made data to try things on, the same everywhere and without a network."""

from archive.examples.cubes import get_example_cube
from archive.examples.patches import get_example_patch, get_example_spool

__all__ = ["get_example_cube", "get_example_patch", "get_example_spool"]

"""Read an archive of fibre-optic sensing or solar data straight from the bucket.

>>> import archive as lk
>>> spool = lk.open("s3://bucket/porotomo")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archive import errors, units
    from archive.catalog import open, open_raw, read, spool  # noqa: A004 - lk.open is the archive's own
    from archive.coords import Coord
    from archive.cube import Cube
    from archive.examples import get_example_cube, get_example_patch, get_example_spool
    from archive.exchange.with_dascore import from_dascore
    from archive.exchange.with_obspy import from_obspy
    from archive.exchange.with_pandas import from_dataframe
    from archive.patch import Patch
    from archive.spools import Spool
    from archive.xarray import from_xarray

__all__ = [
    "Coord",
    "Cube",
    "Patch",
    "Spool",
    "errors",
    "from_dascore",
    "from_dataframe",
    "from_obspy",
    "from_xarray",
    "get_example_cube",
    "get_example_patch",
    "get_example_spool",
    "open",
    "open_raw",
    "read",
    "spool",
    "units",
]

# Loaded when first used, so that the command line's help and workers that only need errors start at once.
_HOMES = {
    "Coord": "archive.coords",
    "Cube": "archive.cube",
    "Patch": "archive.patch",
    "Spool": "archive.spools",
    "from_dascore": "archive.exchange.with_dascore",
    "from_dataframe": "archive.exchange.with_pandas",
    "from_obspy": "archive.exchange.with_obspy",
    "from_xarray": "archive.xarray",
    "get_example_cube": "archive.examples",
    "get_example_patch": "archive.examples",
    "get_example_spool": "archive.examples",
    "open": "archive.catalog",
    "open_raw": "archive.catalog",
    "read": "archive.catalog",
    "spool": "archive.catalog",
}


def __getattr__(name: str) -> Any:
    """Return a public name, loading the module that it lives in."""
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in {"errors", "units"}:
        value = import_module(f"archive.{name}")
    else:
        raise AttributeError(f"module 'archive' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

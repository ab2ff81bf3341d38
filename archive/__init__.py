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
    from archive.patch import Patch
    from archive.spools import Spool

__all__ = ["Coord", "Cube", "Patch", "Spool", "errors", "open", "open_raw", "read", "spool", "units"]

# Loaded when first used, so that the command line's help and workers that only need errors start at once.
_HOMES = {
    "Coord": "archive.coords",
    "Cube": "archive.cube",
    "Patch": "archive.patch",
    "Spool": "archive.spools",
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

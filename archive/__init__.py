"""Read an archive of fibre-optic sensing or solar data straight from the bucket.

>>> import archive as lk
>>> spool = lk.open("s3://bucket/porotomo")  # doctest: +SKIP
"""

from archive import errors, units
from archive.catalog import (
    open,  # noqa: A004 - lk.open is the archive's own
    spool,
)
from archive.coords import Coord
from archive.patch import Patch
from archive.spool import Spool

__all__ = ["Coord", "Patch", "Spool", "errors", "open", "spool", "units"]

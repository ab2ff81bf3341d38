"""A tile of a picture: 256 columns by up to 256 rows of float32, on a grid that all zooms and windows share."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["MEDIA_TYPE", "NOTHING", "SIDE", "Tile", "marked"]

SIDE = 256
MEDIA_TYPE = "application/vnd.lightkeep.tile"
NOTHING = -np.inf
"""The value of a pixel where no sample is; NaN is one where samples are, and none is a finite number."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Values on a grid of pixels, the first axis down the rows.

    Parameters
    ----------
    values
        float32, shape `(rows, columns)`; `NOTHING` where no sample is.
    said
        What else is known: `read`, the share of the samples in it that were read.
    """

    values: NDArray[np.float32]
    said: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the length of a JSON header (uint32), the header, padding to four bytes, and the values row by row.

        All little-endian. The header has `rows`, `columns` and what else is known.
        """
        rows, columns = self.values.shape
        head = json.dumps({"rows": rows, "columns": columns, **self.said}).encode()
        head += b" " * (-len(head) % 4)
        return struct.pack("<I", len(head)) + head + self.values.astype("<f4").tobytes()


def marked(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return values as float32, NaN where they are not finite."""
    with np.errstate(over="ignore"):
        narrow = np.asarray(values, dtype=np.float32)
    return np.where(np.isfinite(narrow), narrow, np.float32(np.nan))

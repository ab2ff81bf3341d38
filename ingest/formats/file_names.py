"""What the name of a file tells where its content does not: the time of its first sample."""

from __future__ import annotations

import re
from typing import BinaryIO

from archive.errors import FormatError
from ingest.formats.edge import name_of
from ingest.formats.fields import time_of

__all__ = ["label_of", "time_from_name"]

# A day and a time of day with any of the usual signs between; more digits are a fraction of the second.
_STAMP = re.compile(
    r"(?<!\d)(\d{4})([-._]?)(\d\d)\2(\d\d)[-_T ]?(\d\d)([-.:_]?)(\d\d)\6(\d\d)"
    r"(?:[.,](\d{1,9})|_(\d{6}|\d{9})|(\d{3}|\d{6}|\d{9}))?"
    r"(Z|[+-]\d\d:?\d\d)?(?!\d)"
)


def label_of(file: BinaryIO) -> str:
    """Return the name of a file without its folder, its last suffix and the time in it."""
    name = name_of(file).replace("\\", "/").rpartition("/")[2]
    return _STAMP.sub("", name.rpartition(".")[0] or name).strip("-_. ")


def time_from_name(file: BinaryIO, *, folder: bool = False) -> int:
    """Return the time that a file is named by, ns since 1970; without a zone it is UTC.

    Parameters
    ----------
    file
        A file that knows its name.
    folder
        Whether the folder's name counts where the file's own has no time.

    Raises
    ------
    FormatError
        The name holds no time.
    """
    parts = name_of(file).replace("\\", "/").split("/")
    for part in reversed(parts[-2:] if folder else parts[-1:]):
        for match in _STAMP.finditer(part):
            year, _, month, day, hour, _, minute, second, *fractions, zone = match.groups()
            fraction = next((digits for digits in fractions if digits), "0")
            if zone and zone != "Z":
                zone = f"{zone[:3]}:{zone[-2:]}"
            found = time_of(f"{year}-{month}-{day}T{hour}:{minute}:{second}.{fraction}{zone or ''}")
            if found is not None:
                return found
    raise FormatError(
        f"{name_of(file)}: tells no time, neither inside nor by its name; "
        "name it with the time of its first sample, as in 20240530T011500Z"
    )

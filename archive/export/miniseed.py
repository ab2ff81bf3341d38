"""miniSEED: a channel after the other, version 2 where it holds times and rate exactly, else version 3.

Integers become 32-bit ones, packed by Steim 2 where they are small enough.

References
----------
FDSN, *SEED Reference Manual v2.4*, appendices A and G; FDSN, *miniSEED 3*; FDSN, *Source Identifiers*
(band codes; source S subsource F: strain along a fibre).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import StoreTrouble

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from archive.export.recording import Recording

__all__ = ["write"]

_BANDS = ((5000, "J"), (1000, "F"), (250, "C"), (80, "H"), (10, "B"), (2, "M"), (0.5, "L"), (0.05, "V"), (0, "U"))  # Hz
_MICROSECOND = 1000  # ns
_LARGEST = (1 << 15) - 1  # of version 2's rate factor
_STEIM2 = 1 << 28  # differences of samples below this are packed in 30 bits
_LETTERS = {"i4": "i", "f4": "f", "f8": "d"}


def write(recording: Recording, path: Path) -> None:
    """Write one file of all channels.

    Raises
    ------
    InvalidInput
        The rate is not constant, samples are beyond 32 bits, or there are too many channels to have codes.
    """
    import pymseed

    recording.no_scale()
    recording.two_dims()
    rate = recording.rate()
    start = recording.axis.first
    sources = _sources_of(recording, rate)
    samples = recording.numbers(recording.patch.data, ("i4", "f4", "f8"))
    version = 2 if _fits_second(start, rate) and all(map(_is_short, sources)) else 3
    encodings = pymseed.DataEncoding
    for source, column in zip(sources, samples.T, strict=True):
        encoding = encodings.FLOAT32 if samples.dtype == np.float32 else encodings.FLOAT64
        if samples.dtype == np.int32:
            small = max(abs(int(column.min())), abs(int(column.max()))) < _STEIM2
            encoding = encodings.STEIM2 if small else encodings.INT32
        traces = pymseed.MS3TraceList()
        letter = _LETTERS[samples.dtype.str[1:]]
        traces.add_data(source, np.ascontiguousarray(column), letter, float(rate), starttime=start)
        try:
            traces.to_file(str(path), encoding=encoding, format_version=version)
        except pymseed.MiniSEEDError as error:
            raise StoreTrouble(f"{path}: {source} cannot be written ({error}); see to the folder") from error


def _fits_second(start: int, rate: Fraction) -> bool:
    """Return whether version 2 holds them: whole µs, and a whole rate or period."""
    whole = rate if rate.denominator == 1 else 1 / rate
    return start % _MICROSECOND == 0 and whole.denominator == 1 and whole <= _LARGEST


def _is_short(source: str) -> bool:
    """Return whether the codes fit the columns of version 2."""
    network, station, location, *codes = source.removeprefix("FDSN:").split("_")
    return len(network) <= 2 and len(station) <= 5 and len(location) <= 2 and all(len(code) == 1 for code in codes)  # noqa: PLR2004


def _sources_of(recording: Recording, rate: Fraction) -> list[str]:
    """Return the source identifier of each channel: as given, else by number as its station."""
    patch, (_, size) = recording.patch, recording.two_dims()
    if "source_id" in patch.coords and patch.coords["source_id"].dims == (recording.dim,):
        sources: list[str] = patch.coords.get_array("source_id").astype(str).tolist()
    else:
        band = next(code for least, code in _BANDS if rate >= least)
        network, location = (_code(patch.attrs.get(name)) for name in ("network", "location"))
        sources = [f"FDSN:{network}_{number:05}_{location}_{band}_S_F" for number in range(size)]
    if len(set(sources)) != size:
        raise recording.says("two of its channels have the same source_id; name them differently")
    return sources


def _code(value: Any) -> str:
    """Return what may stand as a network or location in an identifier."""
    text = "".join(sign for sign in str(value or "") if sign.isascii() and sign.isalnum()).upper()
    return text if len(text) <= 8 else ""  # noqa: PLR2004 - as long as an identifier allows

"""Where the traces of a SEG-Y file lie, and in which byte order: what its two file headers say.

References
----------
SEG Technical Standards Committee, *SEG-Y_r2.1* (2023), table 2 (binary file header); byte numbers there count from
3201, those here from 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from ingest.formats.edge import read_exactly, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BINARY", "TEXT", "TRACE", "Layout", "layout_of", "revision_of"]

TEXT, BINARY, TRACE = 3200, 400, 240  # bytes of each header
_FIRST = TEXT + BINARY
_TYPES = {  # of data format codes; 1 is IBM's, turned into IEEE's by the reader; 4 was never used
    1: "f4",
    2: "i4",
    3: "i2",
    5: "f4",
    6: "f8",
    7: "V3",
    8: "i1",
    9: "i8",
    10: "u4",
    11: "u2",
    12: "u8",
    15: "V3",
    16: "u1",
}
_ORDER_MARK = 0x01020304
_MOST_TEXTS = 1000
_END_OF_TEXTS = ("((SEG: EndText))", "((SEG:ENDTEXT))")
_PRINTABLE = 0.9  # share of the textual header
_TWO = 2  # the revision that brought 64-bit fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the traces lie.

    Parameters
    ----------
    revision
        As the field says it: `"0"`, `"1.0"`, `"2.0"`, `"2.1"`.
    order
        `">"` for big-endian, `"<"` for little-endian.
    code
        Data format code.
    dtype
        Type of a sample in the file.
    samples
        In each trace.
    interval
        Between two samples, µs; 0 where only the trace headers say it.
    start, stride, head
        First byte of the first trace, bytes from trace to trace, bytes before a trace's samples.
    traces
        Number of traces.
    texts
        Number of textual headers behind the binary one.
    """

    revision: str
    order: str
    code: int
    dtype: np.dtype[Any]
    samples: int
    interval: float
    start: int
    stride: int
    head: int
    traces: int
    texts: int


def revision_of(file: BinaryIO) -> str | None:
    """Return the revision if the headers make sense together, else `None`; reads less than 4 kB."""
    if size_of(file) < _FIRST + TRACE:
        return None
    file.seek(0)
    head = file.read(_FIRST)
    if not _is_text(head[:TEXT]):
        return None
    order = next(_orders(file, head[TEXT:]), None)
    return None if order is None else _revision(head[TEXT:], order)


def layout_of(file: BinaryIO) -> Layout:
    """Return where the traces lie.

    Raises
    ------
    FormatError
        The headers make no sense, or the file ends within a trace.
    """
    binary = read_exactly(file, TEXT, BINARY)
    order = next(_orders(file, binary), None)
    if order is None:
        raise FormatError("the binary header makes no sense in either byte order; no SEG-Y file, set it aside")
    revision = _revision(binary, order)
    modern = revision >= str(_TWO)
    code = _field(binary, order, 24, "H")
    samples, interval = _sampling(binary, order, modern=modern)
    texts = _texts(file, _field(binary, order, 304, "h") if revision != "0" else 0)
    start, extra, trailers, said = _FIRST + texts * TEXT, 0, 0, 0
    if modern:
        extra, said = _field(binary, order, 306, "I"), _field(binary, order, 312, "Q")
        start, trailers = _field(binary, order, 320, "Q") or start, _field(binary, order, 328, "i")
    dtype = np.dtype(_TYPES[code]).newbyteorder("<" if order == "<" else ">")
    stride = TRACE * (1 + extra) + samples * dtype.itemsize
    room = size_of(file) - start - trailers * TEXT
    traces, rest = divmod(room, stride)
    if trailers < 0 or start < _FIRST or traces < 1 or rest or (said and said != traces):
        found = f"{room} bytes are no {said or 'whole'} traces of {stride}"
        raise FormatError(f"{found}; the file is cut, or its traces differ in length, set it aside")
    return Layout(
        revision=revision,
        order=order,
        code=code,
        dtype=dtype,
        samples=samples,
        interval=interval,
        start=start,
        stride=stride,
        head=TRACE * (1 + extra),
        traces=traces,
        texts=texts,
    )


def _field(header: bytes, order: str, offset: int, kind: str) -> Any:
    return struct.unpack_from(order + kind, header, offset)[0]


def _sampling(binary: bytes, order: str, *, modern: bool) -> tuple[int, float]:
    """Return samples of a trace, and the interval in µs; revision 2 has larger fields that win."""
    samples, interval = _field(binary, order, 20, "H"), float(_field(binary, order, 16, "H"))
    if modern:
        exact = _field(binary, order, 72, "d")
        samples = _field(binary, order, 68, "I") or samples
        interval = exact if np.isfinite(exact) and exact > 0 else interval
    return samples, interval


def _orders(file: BinaryIO, binary: bytes) -> Iterator[str]:
    """Yield the byte orders in which the headers make sense; the mark of revision 2 decides where there is one."""
    marked = [order for order in "><" if _field(binary, order, 96, "I") == _ORDER_MARK]
    for order in marked or "><":
        revision = _revision(binary, order)
        samples, interval = _sampling(binary, order, modern=revision >= str(_TWO))
        sensible = (
            revision in {"0", "1.0", "2.0", "2.1"}
            and _field(binary, order, 24, "H") in _TYPES
            and samples > 0
            and _field(binary, order, 302, "h") in {0, 1}
            and -1 <= _field(binary, order, 304, "h") <= _MOST_TEXTS
        )
        if not sensible or size_of(file) < _FIRST + TRACE:
            continue
        trace = read_exactly(file, _FIRST, TRACE)
        others = _field(binary, order, 304, "h") or _field(binary, order, 320, "Q")
        count, step = (_field(trace, order, offset, "H") for offset in (114, 116))
        if others or (count in {0, min(samples, 0xFFFF), samples & 0xFFFF} and (interval or step)):
            yield order


def _revision(binary: bytes, order: str) -> str:
    """Return the revision: two bytes, swapped by some who write little-endian files."""
    major, minor = binary[300:302]
    if order == "<" and not major and minor:
        major, minor = minor, major
    return "0" if not major and not minor else f"{major}.{minor}"


def _texts(file: BinaryIO, said: int) -> int:
    """Return the number of textual headers behind the binary one: as said, or up to the one that ends them."""
    if said >= 0:
        return said
    for number in range(_MOST_TEXTS):
        block = read_exactly(file, _FIRST + number * TEXT, TEXT)
        if any(end in block.decode(coding, "replace") for end in _END_OF_TEXTS for coding in ("ascii", "cp037")):
            return number + 1
    raise FormatError("the textual headers have no end; the file is damaged, set it aside")


def _is_text(block: bytes) -> bool:
    """Return whether a textual header is one: EBCDIC, ASCII, or left empty."""
    for coding in ("ascii", "cp037"):
        text = block.decode(coding, "replace").replace("\0", " ").replace("\r", " ").replace("\n", " ")
        if sum(sign.isascii() and sign.isprintable() for sign in text) >= _PRINTABLE * len(text):
            return True
    return False

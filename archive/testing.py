"""Checks that a reader of a raw format keeps the contract, for whoever writes one.

Lightkeep's own readers are held to the same. A package that brings a format (entry point `lightkeep.formats`) calls
these in its tests, under any runner: each raises `AssertionError` and says what does not hold.

    from archive.testing import check_reader
    from mypackage import reader

    def test_the_reader_keeps_the_contract():
        check_reader(reader, ["samples/one.dat"], foreign=["samples/other.h5"])
"""

from __future__ import annotations

import io
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import TimeAxis
from archive.errors import FormatError, InvalidInput
from archive.units import get_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from archive.model import Block, Description, Reader

__all__ = ["CountingFile", "NamedFile", "check_claims", "check_contract", "check_damage", "check_reader"]

_LONGEST = 5.0  # s of work on one file, however busy the machine is
_SNIFFED = 1 << 17  # bytes
_DESCRIBED = 1 << 18  # bytes, and a quarter of the file
_WINDOWS = 12
_CUTS = 60


class NamedFile(io.BytesIO):
    """A file in memory that knows its name."""

    def __init__(self, content: bytes, name: str = "") -> None:
        super().__init__(content)
        self.name = name


class CountingFile(NamedFile):
    """A file in memory that notes which bytes were read of it, as (start, stop)."""

    def __init__(self, content: bytes, name: str = "") -> None:
        super().__init__(content, name)
        self.spans: list[tuple[int, int]] = []

    @property
    def count(self) -> int:
        """Number of bytes read, those read twice counted twice."""
        return sum(stop - start for start, stop in self.spans)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does."""
        start = self.tell()
        data = super().read(size)
        self.spans.append((start, start + len(data)))
        return data

    def readinto(self, buffer: Any, /) -> int:
        """Read as `io.BytesIO` does."""
        start = self.tell()
        count = super().readinto(buffer)
        self.spans.append((start, start + count))
        return count


def check_reader(
    reader: Reader, samples: Iterable[str | Path], *, foreign: Iterable[str | Path] = (), mutations: int = 200
) -> None:
    """Check a reader by sample files of its format and files of other formats.

    Parameters
    ----------
    reader
        A module, or anything with its three functions.
    samples
        Files that it is to read.
    foreign
        Files that it is not to claim, besides those that are no raw data at all.
    mutations
        How many altered copies of the samples it is to survive.

    Raises
    ------
    AssertionError
        It does not keep the contract.
    """
    paths = [Path(path) for path in samples]
    assert paths, "no samples to check the reader by"
    check_claims(reader, [Path(path).read_bytes() for path in foreign])
    for path in paths:
        content = path.read_bytes()
        check_contract(reader, content, str(path))
        check_damage(reader, content, str(path), mutations=-(-mutations // len(paths)))


def check_claims(reader: Reader, foreign: Iterable[bytes] = ()) -> None:
    """Check that a reader claims nothing that is of another format, and refuses it.

    Raises
    ------
    AssertionError
        It does claim it, or raises something else than `FormatError`.
    """
    noise = random.Random(1)
    heads = (b"", b"TDSm", b"\x89HDF\r\n\x1a\n", b"\x89PNG\r\n\x1a\n", b"RIFF", b"\x80\x04\x95")
    made = [head + noise.randbytes(5000) for head in heads for _ in range(10)]
    for content in (b"", b"\0", *heads, b"time;strain\n1;2\n" * 99, *made, *foreign):
        what = f"{len(content)} bytes of another format, that begin with {content[:8]!r}"
        assert reader.sniff(NamedFile(content)) is None, f"{what}: claimed"
        assert not _survives(reader, content, "foreign"), f"{what}: read"


def check_contract(reader: Reader, content: bytes, name: str) -> None:
    """Check what a reader does with one good file.

    Parameters
    ----------
    content, name
        Of the file.

    Raises
    ------
    AssertionError
        It does not keep the contract.
    """
    sniffed, described = CountingFile(content, name), CountingFile(content, name)
    version = reader.sniff(sniffed)
    assert version is not None, f"{name}: not claimed"
    assert sniffed.count < _SNIFFED, f"{name}: {sniffed.count} bytes read to sniff, at most {_SNIFFED} are few"
    description = reader.describe(described)
    most = len(content) // 4 + _DESCRIBED
    assert described.count <= most, f"{name}: {described.count} bytes read to describe, at most {most} are headers"
    assert description.version == version, f"{name}: sniffed as version {version}, described as {description.version}"
    assert description.blocks, f"{name}: no blocks"
    _check_header(description, name)
    for number, block in enumerate(description.blocks):
        _check_block(block, f"{name}, block {number}")
        _check_samples(reader, content, name, number, block)
    _check_calls(reader, content, name, len(description.blocks))


def check_damage(reader: Reader, content: bytes, name: str, *, mutations: int = 200, seed: int = 2) -> None:
    """Check that a cut or altered file is read or refused with `FormatError`, and soon.

    Parameters
    ----------
    mutations
        How many altered copies; nine of ten are altered where `describe` reads.
    seed
        Of what is altered.

    Raises
    ------
    AssertionError
        Something else came of it, or it took longer than 5 s of work.
    """
    file = CountingFile(content, name)
    reader.describe(file)
    spans = [(start, stop) for start, stop in file.spans if stop > start]
    choose = random.Random(seed)
    for end in sorted({0, 1, 7, 8, *(choose.randrange(len(content)) for _ in range(_CUTS))}):
        _survives(reader, content[:end], name)
    for _ in range(mutations):
        altered = bytearray(content)
        for _ in range(choose.choice((1, 1, 1, 5))):
            start, stop = choose.choice(spans) if choose.random() < 0.9 else (0, len(content))
            position = choose.randrange(start, stop)
            altered[position] = choose.choice((altered[position] ^ (1 << choose.randrange(8)), 0, 127, 255))
        _survives(reader, bytes(altered), name)


def _survives(reader: Reader, content: bytes, name: str) -> bool:
    """Return whether a file could be read; raise if it took long or ended in anything but `FormatError`."""
    begin = time.process_time()
    try:
        for number, block in enumerate(reader.describe(NamedFile(content, name)).blocks):
            samples = reader.read(NamedFile(content, name), number, ())
            assert samples.shape == block.shape, f"{name}: {samples.shape} read, {block.shape} described"
    except FormatError:
        return False
    finally:
        spent = time.process_time() - begin
        assert spent < _LONGEST, f"{name}: {spent:.1f} s of work on {len(content)} bytes"
    return True


def _check_header(description: Description, name: str) -> None:
    try:
        json.dumps(description.header, allow_nan=True)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{name}: the header is not made of JSON values: {error}") from error


def _check_block(block: Block, what: str) -> None:
    assert block.dims[0] == "time", f"{what}: dims {block.dims}, time is to be the first"
    time_axis = block.coords["time"].values
    assert isinstance(time_axis, TimeAxis), f"{what}: time is {type(time_axis).__name__}, not a TimeAxis"
    assert (np.diff(time_axis.to_ns()) > 0).all(), f"{what}: the stamps do not rise"
    sizes = dict(zip(block.dims, block.shape, strict=True))
    for label, coord in block.coords.items():
        assert coord.size == sizes[coord.dims[0]], f"{what}: {label} has {coord.size} values for {sizes[coord.dims[0]]}"
    assert np.dtype(block.dtype).isnative, f"{what}: samples are {block.dtype}, not in native byte order"
    for label, value in block.attrs.items():
        assert isinstance(value, (str, int, float, bool)), f"{what}: the attribute {label} is {value!r}"
        assert value != "", f"{what}: the attribute {label} says nothing; leave it out"
    if "data_units" in block.attrs:
        get_quantity(str(block.attrs["data_units"]))


def _check_samples(reader: Reader, content: bytes, name: str, number: int, block: Block) -> None:
    """Check that what is read is as described, and that any window is that of the whole."""
    what = f"{name}, block {number}"
    whole = reader.read(NamedFile(content, name), number, ())
    assert whole.shape == block.shape, f"{what}: {whole.shape} read, {block.shape} described"
    assert whole.dtype == block.dtype, f"{what}: {whole.dtype} read, {block.dtype} described"
    choose = random.Random(number)
    windows = [(slice(-3, None), slice(None, 5))]
    for _ in range(_WINDOWS):
        ends = [sorted((choose.randint(0, size), choose.randint(0, size))) for size in whole.shape]
        windows.append(tuple(slice(start, stop) for start, stop in ends))  # type: ignore[arg-type]
    for window in windows:
        part = reader.read(NamedFile(content, name), number, window)
        same = part.dtype == whole.dtype and np.array_equal(part, whole[window], equal_nan=whole.dtype.kind == "f")
        assert same, f"{what}: the window {window} is not that of the whole"


def _check_calls(reader: Reader, content: bytes, name: str, blocks: int) -> None:
    """Check that wrong calls are answered as such."""

    def refused(number: int, window: tuple[slice, ...], why: str) -> None:
        file: BinaryIO = NamedFile(content, name)
        try:
            reader.read(file, number, window)
        except InvalidInput:
            return
        raise AssertionError(f"{name}: {why} is no InvalidInput")

    refused(blocks, (), f"block {blocks} of {blocks}")
    refused(0, (slice(0, 10, 2),), "a window with a step")
    refused(0, (slice(None),) * 4, "a window of more dims than there are")

"""Chunks to bytes and back: lossless codecs, each chunk under a checksum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from archive.errors import DamagedData, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Buffer

    from numpy.typing import NDArray

__all__ = ["CODECS", "Codec", "codec_for", "with_checksum", "without_checksum"]

CODECS = ("pcodec", "portable")
_PCODEC_LEVEL = 8
_ZSTD_LEVEL = 5
_CHECKSUM_BYTES = 4
_CRC32C = {"name": "crc32c"}
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def with_checksum(data: bytes) -> bytes:
    """Return bytes followed by their CRC-32C, little-endian (Zarr v3 codec `crc32c`)."""
    return data + int(google_crc32c.value(data)).to_bytes(_CHECKSUM_BYTES, "little")


def without_checksum(data: Buffer, name: str) -> memoryview:
    """Return the bytes before the CRC-32C that ends them.

    Raises
    ------
    DamagedData
        The checksum is another one; the message holds `name`.
    """
    view = memoryview(data).cast("B")
    body = view[:-_CHECKSUM_BYTES]
    if len(view) < _CHECKSUM_BYTES or google_crc32c.value(bytes(body)) != int.from_bytes(
        view[-_CHECKSUM_BYTES:], "little"
    ):
        raise DamagedData(f"{name}: the checksum does not fit the bytes; run lightkeep verify")
    return body


@dataclass(frozen=True, slots=True)
class Codec:
    """How chunks of one type are encoded.

    Parameters
    ----------
    name
        `"pcodec"`, or `"portable"`: blosc with zstd and bitshuffle, which every Zarr v3 reader knows.
    dtype
        Type of a sample.
    """

    name: str
    dtype: np.dtype[Any]

    def to_zarr(self) -> list[dict[str, Any]]:
        """Return the codecs as a Zarr v3 array's metadata names them."""
        if self.name == "pcodec":
            return [{"name": "numcodecs.pcodec", "configuration": {"level": _PCODEC_LEVEL}}, _CRC32C]
        blosc = {
            "typesize": self.dtype.itemsize,
            "cname": "zstd",
            "clevel": _ZSTD_LEVEL,
            "shuffle": "bitshuffle",
            "blocksize": 0,
        }
        return [_LITTLE, {"name": "blosc", "configuration": blosc}, _CRC32C]

    def encode(self, chunk: NDArray[Any]) -> bytes:
        """Return a chunk as bytes with their checksum. Releases the GIL."""
        return with_checksum(bytes(_numcodec(self.name).encode(np.ascontiguousarray(chunk))))

    def decode(self, data: Buffer, chunk: NDArray[Any], name: str) -> None:
        """Put what bytes hold into a chunk, which is C-contiguous. Releases the GIL.

        Raises
        ------
        DamagedData
            The checksum does not fit, or the bytes hold another amount; the message holds `name`.
        """
        body = without_checksum(data, name)
        try:
            _numcodec(self.name).decode(body, out=chunk)
        except (RuntimeError, ValueError, TypeError) as error:
            raise DamagedData(f"{name}: its bytes are no {self.name} chunk of {chunk.size} samples") from error


@lru_cache(maxsize=4)
def _numcodec(name: str) -> Any:
    if name == "pcodec":
        from numcodecs.pcodec import PCodec

        return PCodec(level=_PCODEC_LEVEL)
    from numcodecs.blosc import BITSHUFFLE, Blosc

    return Blosc(cname="zstd", clevel=_ZSTD_LEVEL, shuffle=BITSHUFFLE, blocksize=0)


def codec_for(name: str, dtype: np.dtype[Any]) -> Codec:
    """Return the codec of a dataset for one type; pcodec takes numbers of 2 to 8 bytes, others portable.

    Raises
    ------
    InvalidInput
        There is no codec of that name.
    """
    if name not in CODECS:
        raise InvalidInput(f"{name}: no such codec; there are {' and '.join(CODECS)}")
    fits = dtype.kind in "iuf" and dtype.itemsize in {2, 4, 8}
    return Codec(name if fits else "portable", dtype.newbyteorder("="))

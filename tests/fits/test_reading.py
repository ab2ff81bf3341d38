"""A frame is read as astropy reads it, and gives back the very same file."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from shared import shared_folder

from archive.errors import DamagedData, FormatError
from archive.fits.cards import keywords_of
from ingest.fits import read_frame

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(6)
NOISE = RNG.normal(20000, 40, (3, 70, 90))
WITH_NAN = np.where(RNG.random((3, 70, 90)) < 0.01, np.nan, NOISE)
FLAT = np.where(np.arange(90) < 45, 7.0, NOISE)  # tiles that cannot be quantised beside those that can
STRUCTURE = {"XTENSION", "SIMPLE", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM", "COMMENT", "HISTORY"}


def compressed(data: NDArray[Any], **options: Any) -> bytes:
    header = fits.Header({"BUNIT": "ct", "DATE-AVG": "2024-05-14T18:30:00.5"})
    header["LONGTEXT"] = "it's a text that is 'much' too long for a single card, so that it goes on & on " * 2
    options = {"quantize_level": 16, "tile_shape": (1, 32, 45), **options}
    hdu = fits.CompImageHDU(data, header, **options)
    return written(fits.PrimaryHDU(), hdu)


def written(*hdus: Any) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a long text becomes CONTINUE cards
        fits.HDUList(list(hdus)).writeto(file, checksum=True)
    return file.getvalue()


def integers(dtype: str, **keywords: Any) -> bytes:
    hdu = fits.PrimaryHDU(RNG.integers(0, 100, (20, 30)).astype(dtype))
    hdu.header.update(keywords)
    return written(hdu)


def scaled(bitpix: str, *, tiles: bool) -> bytes:
    stored = RNG.integers(-300, 300, (40, 50)).astype(bitpix)
    hdu = fits.CompImageHDU(stored, tile_shape=(16, 16)) if tiles else fits.ImageHDU(stored)
    content = bytearray(written(fits.PrimaryHDU(), hdu))
    cards = (("BSCALE", 0.25), ("BZERO", -3.5), ("BLANK", 17))
    end = content.index(b"END" + b" " * 77, 2880)
    for number, (key, value) in enumerate(cards):
        content[end + 80 * number : end + 80 * number + 80] = fits.Card(key, value).image.encode()
    content[end + 80 * len(cards) : end + 80 * len(cards) + 3] = b"END"
    return bytes(content)


MADE = {
    "rice float32": lambda: compressed(NOISE.astype("f4")),
    "rice float64": lambda: compressed(NOISE),
    "rice rows": lambda: compressed(NOISE.astype("f4"), tile_shape=None),
    "rice one tile": lambda: compressed(NOISE.astype("f4"), tile_shape=NOISE.shape),
    "rice coarse": lambda: compressed(NOISE.astype("f4"), quantize_level=1),
    "rice nan": lambda: compressed(WITH_NAN.astype("f4")),
    "rice fallback": lambda: compressed(FLAT.astype("f4")),
    "rice all nan": lambda: compressed(np.full((1, 40, 50), np.nan, "f4"), tile_shape=(1, 20, 50)),
    "rice dither 1": lambda: compressed(WITH_NAN.astype("f4"), quantize_method=1, dither_seed=9998),
    "rice dither 2": lambda: compressed(np.where(NOISE > 20050, 0, NOISE), quantize_method=2, dither_seed=5),
    "rice one long tile with dither": lambda: compressed(
        RNG.normal(0, 1, (1, 200, 300)), tile_shape=(1, 200, 300), quantize_method=1, dither_seed=77
    ),
    "rice uint8": lambda: compressed((NOISE % 251).astype("u1")),
    "rice int16": lambda: compressed((NOISE - 20000).astype("i2")),
    "rice uint16": lambda: compressed(NOISE.astype("u2")),
    "rice int32": lambda: compressed(NOISE.astype("i4")),
    "rice scaled int16": lambda: scaled("i2", tiles=True),
    "rice scaled int32": lambda: scaled("i4", tiles=True),
    "gzip 1 quantised": lambda: compressed(NOISE.astype("f4"), compression_type="GZIP_1"),
    "gzip 1 lossless": lambda: compressed(WITH_NAN.astype("f4"), compression_type="GZIP_1", quantize_level=0),
    "gzip 2 float64": lambda: compressed(NOISE, compression_type="GZIP_2", quantize_level=0),
    "gzip 2 int16": lambda: compressed(NOISE.astype("i2"), compression_type="GZIP_2"),
    "plain float32": lambda: written(fits.PrimaryHDU(WITH_NAN.astype("f4"))),
    "plain float64": lambda: written(fits.PrimaryHDU(), fits.ImageHDU(NOISE), fits.ImageHDU(NOISE[0])),
    "plain uint8": lambda: integers("u1"),
    "plain int8": lambda: integers("i1"),
    "plain int16": lambda: integers("i2"),
    "plain int64": lambda: integers("i8"),
    "plain uint16": lambda: integers("u2"),
    "plain uint32": lambda: integers("u4"),
    "plain uint64": lambda: integers("u8"),
    "plain int16 with blank": lambda: integers("i2", BLANK=5),
    "plain scaled int16": lambda: scaled("i2", tiles=False),
    "plain scaled int32": lambda: scaled("i4", tiles=False),
}


def assert_as_astropy(content: bytes, name: str) -> None:
    frame = read_frame(content, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(content)) as hdus:
            hdu = next(one for one in hdus if one.data is not None)
            expected, header = np.asarray(hdu.data), hdu.header
            values = {key: header[key] for key in header}
    expected = expected.astype(expected.dtype.newbyteorder("="))
    assert frame.image.pixels().dtype == expected.dtype
    assert frame.image.pixels().tobytes() == expected.tobytes()
    assert frame.to_bytes() == content
    for key in values.keys() - STRUCTURE - {"BSCALE", "BZERO", "BLANK", ""}:
        if not key.startswith("NAXIS"):
            assert frame.keywords[key] == values[key], key


@pytest.mark.parametrize("kind", MADE)
def test_a_made_frame_is_read_as_astropy_reads_it_and_given_back(kind: str) -> None:
    assert_as_astropy(MADE[kind](), kind)


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind.startswith(("rice", "plain"))])
def test_rice_and_plain_frames_need_no_compressed_bytes(kind: str) -> None:
    frame = read_frame(MADE[kind](), kind)
    kept = frame.table.kept if frame.table else {}
    exact = frame.image.tiling.exact if frame.image.tiling else {}
    assert frame.table is None or frame.table.whole is None
    assert kept.keys() == exact.keys()


def test_tiles_that_could_not_be_quantised_are_kept_as_floats_and_as_bytes() -> None:
    frame = read_frame(MADE["rice fallback"](), "fallback")
    assert frame.image.tiling is not None
    assert frame.table is not None
    assert len(frame.image.tiling.exact) == len(frame.table.kept) == 9


@pytest.mark.parametrize("folder", ["visp", "vbi_mosaic"])
def test_a_real_layout_is_read_as_astropy_reads_it_and_given_back(folder: str) -> None:
    for path in sorted((shared_folder("frames") / folder).glob("*.fits"))[::7]:
        assert_as_astropy(path.read_bytes(), path.name)
        assert read_frame(path.read_bytes(), path.name).encodes_to_itself


def test_a_real_header_is_parsed_as_astropy_parses_it() -> None:
    text = (shared_folder("frames") / "real_asdf" / "VISP_HEADER.hdr").read_text()
    header = fits.Header.fromtextfile(io.StringIO(text))
    ours = keywords_of(header.tostring().encode())
    known = {key: header[key] for key in header if key not in {"COMMENT", "HISTORY", ""}}
    assert ours == {key: None if isinstance(value, fits.card.Undefined) else value for key, value in known.items()}
    assert len(ours) > 200


def test_a_file_laid_out_in_another_way_keeps_its_data_unit() -> None:
    content = bytearray(compressed(NOISE.astype("f4")))
    frame = read_frame(bytes(content), "usual")
    assert frame.table is not None
    # A heap with a gap of other bytes: put the last tile 2880 bytes further.
    start = content.index(b"XTENSION", 2880)
    data = len(frame.head)
    row = data + len(frame.table.rows) - len(frame.table.rows) // len(frame.table.places)
    length, offset = np.frombuffer(content[row : row + 8], ">i4")
    heap = data + len(frame.table.rows)
    tile = bytes(content[heap + offset : heap + offset + length])
    moved = bytearray(content[: heap + offset]) + b"?" * 2880 + tile
    moved[row + 4 : row + 8] = (int(offset) + 2880).to_bytes(4)
    said = moved.index(b"PCOUNT  =", start)
    moved[said + 10 : said + 30] = f"{offset + length + 2880:20d}".encode()
    summed = moved.index(b"DATASUM =", start)
    moved[summed : summed + 8] = b"NOTASUM "
    moved += b"\0" * (-len(moved) % 2880)
    odd = read_frame(bytes(moved), "odd")
    assert odd.table is not None
    assert odd.table.whole is not None
    assert odd.to_bytes() == moved
    np.testing.assert_array_equal(odd.image.pixels(), frame.image.pixels())


def test_a_frame_whose_pixels_changed_does_not_pass_as_the_file() -> None:
    frame = read_frame(MADE["rice float32"](), "changed.fits")
    frame.image.stored[0, 0, 0] += 1
    with pytest.raises(DamagedData, match=r"changed\.fits"):
        frame.to_bytes()


def test_a_cut_file_is_a_format_error_wherever_it_is_cut() -> None:
    content = compressed(NOISE.astype("f4"))
    for size in [0, 5, 79, 2880, 2881, 5000, 8640, len(content) // 2, len(content) - 2881]:
        with pytest.raises(FormatError, match=r"cut\.fits"):
            read_frame(content[:size], "cut.fits")


@pytest.mark.parametrize("kind", ["rice float32", "rice fallback", "gzip 2 int16", "plain float32"])
def test_a_flipped_bit_is_a_format_error_or_changes_nothing_that_is_not_given_back(kind: str) -> None:
    content = MADE[kind]()
    for _ in range(60):
        damaged = bytearray(content)
        at = int(RNG.integers(len(content)))
        damaged[at] ^= 1 << int(RNG.integers(8))
        try:
            frame = read_frame(bytes(damaged), "flipped.fits")
        except FormatError as error:
            assert "flipped.fits" in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert frame.to_bytes() == damaged


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ZNAXIS1", 2**40), ("ZTILE1", 2**40), ("ZTILE2", 0), ("NAXIS2", 2**33), ("NAXIS2", 5), ("PCOUNT", 2**50),
        ("ZVAL2", 3), ("TFIELDS", 9), ("ZBITPIX", 12), ("TFIELDS", -4), ("NAXIS1", 2**31), ("ZCMPTYPE", "'PLIO_1'"),
        ("ZNAXIS", 0), ("BITPIX", 7), ("NAXIS", 1000), ("GCOUNT", -1), ("PCOUNT", 1.5), ("ZQUANTIZ", "'OTHER'"),
    ],
)  # fmt: skip
def test_a_header_that_lies_is_a_format_error(key: str, value: object) -> None:
    content = bytearray(MADE["rice dither 1"]())
    start = content.index(b"XTENSION", 2880)
    at = content.index(f"{key:8}=".encode(), start)
    content[at : at + 80] = f"{key:8}= {value!s:>20}".ljust(80).encode()
    with pytest.raises(FormatError, match="lies"):
        read_frame(bytes(content), "lies")


def test_a_file_of_something_else_is_a_format_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no FITS file"):
        read_frame(b"\x89HDF\r\n\x1a\n", "x.h5")
    with pytest.raises(FormatError, match="none of its 1 HDUs"):
        read_frame(written(fits.PrimaryHDU()), "empty.fits")

"""A frame is read as astropy reads it, and gives back the very same file."""

from __future__ import annotations

import gzip
import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from shared import shared_folder

from archive.errors import DamagedData, FormatError
from archive.fits.cards import keywords_of, number
from ingest.fits import read_frame, read_keywords

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


def tiles(columns: dict[str, list[bytes]], shape: tuple[int, int], **keywords: Any) -> bytes:
    """Return an image of 16-bit integers in tiles that are rows, as a table that astropy writes of these bytes."""
    made = []
    for name, bodies in columns.items():
        form, kind = ("1PI()", ">i2") if name == "UNCOMPRESSED_DATA" else ("1PB()", "u1")
        array = np.empty(len(bodies), dtype=object)
        array[:] = [np.frombuffer(body, kind) for body in bodies]
        made.append(fits.Column(name=name, format=form, array=array))
    hdu = fits.BinTableHDU.from_columns(made)
    cards = {"ZIMAGE": True, "ZBITPIX": 16, "ZNAXIS": 2, "ZNAXIS1": shape[1], "ZNAXIS2": shape[0]}
    hdu.header.update(cards | {"ZTILE1": shape[1], "ZTILE2": 1} | keywords)
    return written(fits.PrimaryHDU(), hdu)


def scaled(bitpix: str, *, tiles: bool) -> bytes:
    stored = RNG.integers(-300, 300, (40, 50)).astype(bitpix)
    hdu = fits.CompImageHDU(stored, tile_shape=(16, 16)) if tiles else fits.ImageHDU(stored)
    content = bytearray(written(fits.PrimaryHDU(), hdu))
    cards = (("BSCALE", 0.25), ("BZERO", -3.5), ("BLANK", 17))
    end = content.index(b"END" + b" " * 77, 2880)
    for place, (key, value) in enumerate(cards):
        content[end + 80 * place : end + 80 * place + 80] = fits.Card(key, value).image.encode()
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


COUNTS = np.arange(24, dtype=">i2").reshape(2, 12)
MADE |= {
    "tiles as they are int16": lambda: compressed(NOISE.astype("i2"), compression_type="NOCOMPRESS"),
    "tiles as they are quantised": lambda: compressed(NOISE.astype("f4"), compression_type="NOCOMPRESS"),
    "one tile packed and one as it is": lambda: tiles(
        {
            "COMPRESSED_DATA": [gzip.compress(COUNTS[0].tobytes()), b""],
            "UNCOMPRESSED_DATA": [b"", COUNTS[1].tobytes()],
        },
        (2, 12),
        ZCMPTYPE="GZIP_1",
    ),
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


def cards(*texts: str) -> bytes:
    return b"".join(text.encode().ljust(80) for text in texts)


@pytest.mark.parametrize(
    "texts",
    [
        ("KEY     = 3",),
        ("KEY     =                1.5D3 / Fortran's",),
        ("KEY     = 'it''s '", "OTHER   =                    T"),
        ("KEY     = ", "COMMENT = 3"),
        ("KEY     = 'abc&'", "CONTINUE  'def&'", "CONTINUE  'g   '"),
        ("HIERARCH ESO TEL AIRM = 1.25 / of a telescope",),
    ],
)
def test_a_card_is_read_as_astropy_reads_it(texts: tuple[str, ...]) -> None:
    theirs = fits.Header.fromstring(cards(*texts).decode())
    wanted = {key: None if isinstance(value, fits.card.Undefined) else value for key, value in theirs.items()}
    wanted.pop("COMMENT", None)
    assert keywords_of(cards(*texts, "END")) == wanted


def test_a_complex_number_is_kept_as_it_stands() -> None:
    assert keywords_of(cards("KEY     = (1.0, 2.0) / c", "END")) == {"KEY": "(1.0, 2.0)"}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("A B = 3", "END"), "'A B = 3' is no FITS keyword; the header is damaged"),
        (("KEY     = 'abc", "END"), "the string in card .* does not end"),
        (("KEY     = maybe", "END"), "card 'KEY     = maybe' has no value that the standard knows"),
        (("KEY     = 3",), "a header has no END card; the file is cut or damaged"),
        (("KEY     = 'é'", "END"), "byte 11 of a header is no ASCII"),
    ],
)
def test_a_card_that_is_not_as_the_standard_says_is_a_format_error(texts: tuple[str, ...], said: str) -> None:
    with pytest.raises(FormatError, match=f"x.fits: {said}"):
        keywords_of(cards(*texts), "x.fits")


def test_a_number_is_wanted_where_a_number_must_be() -> None:
    assert number({"A": 3}, "A", "x.fits", 1.0) == 3.0
    assert number({}, "A", "x.fits", 2.5) == 2.5
    for value in ("3", True, None):
        with pytest.raises(FormatError, match=f"x.fits: A is {value!r}, not a number"):
            number({"A": value}, "A", "x.fits", 1.0)


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


ROW = COUNTS[0].tobytes()
BAD_TILES = {
    "a plain one too short": ("NOCOMPRESS", ROW[:-1], "a tile has 23 bytes for 12 pixels"),
    "a packed one too short": ("GZIP_1", gzip.compress(ROW[:-2]), "a tile has 22 bytes for 12 pixels"),
    "a shuffled one too short": ("GZIP_2", gzip.compress(ROW[:-2]), "a tile has 22 bytes for 12 pixels"),
    "one too long": ("GZIP_1", gzip.compress(ROW * 2), "a tile has more than the 24 bytes"),
    "a cut one": ("GZIP_1", gzip.compress(ROW)[:-9], "a GZIP tile is cut"),
    "one that is not packed": ("GZIP_1", ROW, "a GZIP tile is damaged"),
    "one whose checksum is wrong": ("GZIP_1", gzip.compress(ROW)[:-8] + bytes(8), "a GZIP tile is damaged"),
    "one of nothing": ("GZIP_1", b"", "a tile lies outside of the data"),
    "a RICE one that ends early": ("RICE_1", b"\x01\x02\x03", "a RICE tile is damaged"),
}


@pytest.mark.parametrize("kind", BAD_TILES)
def test_a_bad_tile_is_a_format_error_that_says_what_is_wrong(kind: str) -> None:
    algorithm, body, words = BAD_TILES[kind]
    content = tiles({"COMPRESSED_DATA": [body]}, (1, 12), ZCMPTYPE=algorithm)
    with pytest.raises(FormatError, match=f"bad: ({words})"):
        read_frame(content, "bad").image.pixels()


@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1"])
@pytest.mark.parametrize(("width", "words"), [(40_000, "a tile of"), (10**9, "1000000000 pixels in")])
def test_a_tile_of_far_more_pixels_than_its_bytes_can_hold_is_never_unpacked(
    algorithm: str, width: int, words: str
) -> None:
    content = tiles({"COMPRESSED_DATA": [gzip.compress(ROW)]}, (1, width), ZCMPTYPE=algorithm)
    with pytest.raises(FormatError, match=f"{words}.*the header is damaged"):
        read_frame(content, "bomb").image.pixels()


@pytest.mark.parametrize(
    "read", [read_frame, lambda content, name: read_keywords(io.BytesIO(content), len(content), name)]
)
def test_end_in_the_middle_of_a_card_does_not_end_a_header(read: Any) -> None:
    """The four signs and all the blanks of an END card, where no card begins."""
    hdu = fits.PrimaryHDU(np.ones((4, 4), "i2"))
    hdu.header["NOTE"] = "THIS IS NOT THE END"
    content = bytearray(written(hdu))
    at = content.index(b"NOTE    =")
    content[at : at + 160] = b"HISTORY THE END".ljust(160)
    assert read_frame(bytes(content), "end.fits").keywords["NAXIS1"] == 4
    assert read_keywords(io.BytesIO(content), len(content), "end.fits")["NAXIS1"] == 4


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("NAXIS1", -3, "NAXIS1 is -3; the header is damaged"),
        ("BITPIX", 13, "BITPIX is 13, which is none of"),
        ("NAXIS", 1500, "NAXIS is 1500; the header is damaged"),
    ],
)
def test_a_data_unit_of_no_size_is_a_format_error(key: str, value: int, words: str) -> None:
    content = written(fits.PrimaryHDU(np.ones((4, 4), "i2")))
    at = content.index(f"{key:8}=".encode())
    lying = content[:at] + f"{key:8}= {value:>20}".ljust(80).encode() + content[at + 80 :]
    for read in (lambda: read_frame(lying, "x.fits"), lambda: read_keywords(io.BytesIO(lying), len(lying), "x.fits")):
        with pytest.raises(FormatError, match=f"x.fits: {words}"):
            read()


def test_what_follows_the_last_hdu_is_no_image() -> None:
    """FITS allows special records behind the last HDU; they hold nothing that is read."""
    content = written(fits.PrimaryHDU()) + b"special records".ljust(2880)
    with pytest.raises(FormatError, match="none of its 1 HDUs holds an image"):
        read_keywords(io.BytesIO(content), len(content), "x.fits")


def test_a_file_of_something_else_is_a_format_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no FITS file"):
        read_frame(b"\x89HDF\r\n\x1a\n", "x.h5")
    with pytest.raises(FormatError, match="none of its 1 HDUs"):
        read_frame(written(fits.PrimaryHDU()), "empty.fits")

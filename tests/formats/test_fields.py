"""What is made of header values, and of files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from archive.errors import FormatError
from ingest.formats import fields
from ingest.formats.edge import Watched, name_of, read_exactly


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int32(3), 3),
        (np.float64(0.1), 0.1),
        (np.array(2.5), 2.5),
        (np.array([b"a", b"b"]), ["a", "b"]),
        (np.str_("x"), "x"),
        ("\ud800", "?"),
        (b"\xff", "ÿ"),
        (None, None),
    ],
)
def test_header_values_become_plain(value: Any, expected: Any) -> None:
    found = fields.plain(value)
    assert (found, type(found)) == (expected, type(expected))


def test_a_text_of_parts_is_joined() -> None:
    assert fields.text(["a", "b"]) == "a, b"
    assert fields.text("  ") is None
    assert fields.term("Strain  Rate") == "strain_rate"


@pytest.mark.parametrize("units", ["m/s", "(nm/m)/s * Hz/m", "1.0 Hz * nm / m ** 2 / s", "rad", "1e-9 * m^2"])
def test_known_units_are_kept_as_they_are_written(units: str) -> None:
    assert fields.units_of(units) == units


@pytest.mark.parametrize("units", [None, "", "unitless", "9**9**9**9", "(m", "m\x7f", "m**9**9**9", "9" * 99, "1/0"])
def test_unknown_units_are_left_to_the_header(units: str | None) -> None:
    assert fields.units_of(units) is None


@pytest.mark.parametrize(
    ("value", "have", "want", "expected"),
    [
        (1000, "cm", "m", 10.0),
        ("2", "kHz", "Hz", 2000.0),
        (50.0, None, "ns", 50.0),
        (50.0, "ns", "m", None),
        (50.0, "furlong", "m", None),
        ("wide", "m", "m", None),
        (True, "m", "m", None),
        (np.inf, "m", "m", None),
    ],
)
def test_quantities_are_converted_to_the_units_of_the_field(
    value: Any, have: str | None, want: str, expected: float | None
) -> None:
    assert fields.in_units(value, have, want) == expected


def test_only_whole_iso_times_are_times() -> None:
    assert fields.time_of("1970-01-01T00:00:01+01:00") == -3_599_000_000_000
    for value in (
        None,
        "",
        "1970",
        "1970-01-01T00:00:01+0x:00",
        "1970-13-01T00:00:00",
        "9999-01-01T00:00:00",
    ):
        assert fields.time_of(value) is None


def test_attributes_that_say_nothing_are_left_out() -> None:
    assert fields.attrs_from({"a": "", "b": None, "c": np.nan, "d": 0, "e": [1], "f": False}) == {
        "d": 0,
        "e": "[1]",
        "f": False,
    }


@pytest.mark.parametrize(
    ("start", "hertz", "size"),
    [(0, 1e300, 10), (0, 1e-300, 10), (-1, 1.0, 1), (1 << 62, 1.0, 1), (0, 1.0, 0)],
)
def test_rates_and_times_out_of_range_are_refused(start: int, hertz: float, size: int) -> None:
    with pytest.raises(FormatError):
        fields.steady_time(start, hertz, size)


@pytest.mark.parametrize("numbers", [{"start": np.inf}, {"step": np.nan}, {"step": 0.0}, {"step": 1e308}, {"size": 0}])
def test_distances_out_of_range_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(FormatError):
        fields.distance_coord(**({"start": 0.0, "step": 1.0, "size": 9} | numbers))  # type: ignore[arg-type]


class Slow(io.RawIOBase):
    """A file that gives one byte at a time and cannot read into a buffer."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(min(size, 1))

    readinto = None  # type: ignore[assignment]


def test_reads_are_never_short_and_never_beyond_the_end() -> None:
    file = Watched(Slow(b"0123456789"))  # type: ignore[arg-type]
    assert file.readable()
    assert file.seekable()
    assert file.seek(-8, io.SEEK_END) == 2
    buffer = bytearray(5)
    assert (file.readinto(buffer), bytes(buffer)) == (5, b"23456")
    assert file.read(1 << 60) == b"789"
    assert file.read() == b""
    assert file.seek(1) == 1
    with pytest.raises(ValueError, match="points to byte -1"):
        file.seek(-1)


def test_a_file_that_ends_before_is_told() -> None:
    with pytest.raises(FormatError, match="the file ends at byte 3, 10 are needed"):
        read_exactly(io.BytesIO(b"123"), 0, 10)


def test_a_file_shrinking_while_it_is_read_gives_what_there_is() -> None:
    class Shrunk(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return b""

        def readinto(self, buffer: Any, /) -> int:
            return 0

    file = Watched(Shrunk(b"0123456789"))
    assert file.seek(0) == 0
    assert file.read(5) == b""
    assert file.readinto(bytearray(5)) == 0
    assert name_of(file) == "the file"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.5", 1.5),
        ([2], 2.0),
        (3, 3.0),
        ("x", None),
        ([1, 2], None),
        (True, None),
        (float("inf"), None),
        (10**400, None),
    ],
)
def test_a_number_is_found_in_whatever_form(value: Any, expected: float | None) -> None:
    assert fields.float_of(value) == expected


@pytest.mark.parametrize(
    ("value", "want", "expected"), [("Meters", "m", 10.0), ("nanoseconds", "ns", 10.0), ("feet", "m", 3.048)]
)
def test_units_may_be_spelled_out(value: str, want: str, expected: float) -> None:
    assert fields.in_units(10, value, want) == pytest.approx(expected)


def test_stamps_of_a_slow_instrument_are_its_time() -> None:
    stamps = 10**18 + np.array([0, 20_800, 41_625, 62_430]) * 10**6
    assert set(fields.slow_times(stamps)) == {"time"}
    assert (fields.slow_times(stamps)["time"].values.to_ns() == stamps).all()  # type: ignore[attr-defined]
    assert fields.slow_times(10**18 + np.arange(4) * 10**9)["time"].step == np.timedelta64(1, "s")
    with pytest.raises(FormatError, match="do not rise"):
        fields.slow_times(10**18 + np.array([0, 20, 19, 60]) * 10**9)


def test_times_in_another_unit_become_the_nearest_nanosecond() -> None:
    microseconds = np.array([1.7e15, 1.7e15 + 0.25])
    assert fields.nanoseconds(microseconds, 1000).tolist() == [17 * 10**17, 17 * 10**17 + 250]


def test_channels_are_numbers_or_values_that_are_finite() -> None:
    assert fields.channel_coord(3).to_numpy().tolist() == [0, 1, 2]
    for values in (np.zeros(0), np.array([0.0, np.nan]), np.zeros((2, 2))):
        with pytest.raises(FormatError):
            fields.values_coord(values)
    with pytest.raises(FormatError, match="no samples"):
        fields.channel_coord(0)

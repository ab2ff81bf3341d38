"""Units as texts say them: what they mean, and that no text takes for ever."""

from __future__ import annotations

import time

import pytest

import archive as lk
from archive import units
from archive.errors import InvalidInput
from archive.times import time_to_ns
from archive.units import convert_factor, get_quantity, magnitude


@pytest.mark.parametrize(
    ("have", "want", "factor"),
    [("10**-9 strain/s", "strain/s", 1e-9), ("km²", "m^2", 1e6), ("(m/s)**2", "km**2/s**2", 1e-6), ("ft", "m", 0.3048)],
)
def test_powers_mean_what_they_say(have: str, want: str, factor: float) -> None:
    assert convert_factor(have, want) == pytest.approx(factor, rel=1e-12)


def test_a_root_of_a_unit_may_be_written_as_a_fraction() -> None:
    assert convert_factor("m**(1/2)", "km**0.5") == pytest.approx(1000**-0.5, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "(m",
        "",
        "9**9**9**9",
        "((((9**99)**99)**99)**99)",
        "9**(9*9*9*9*9*9*9*9*9*9)",
        "9²²²²²²²²²",
        "9**1e9",
        "m**99999",
        "9**999",
        "1/0",
        "nan m",
        "1e999 m",
        "m" * 100_000,
        "-" * 199 + "1m**",
    ],
)
def test_a_text_that_is_no_unit_is_refused_at_once(text: str) -> None:
    get_quantity("m")  # pint is loaded
    start = time.process_time()
    with pytest.raises(InvalidInput, match="no unit that is known") as caught:
        get_quantity(text)
    assert time.process_time() - start < 1
    assert len(str(caught.value)) < 1000


def test_a_name_that_is_no_unit_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="furlongs_per_fortnite"):
        _ = units.furlongs_per_fortnite
    assert not hasattr(units, "_private")


def test_a_quantity_needs_units_of_its_own_dimension() -> None:
    with pytest.raises(InvalidInput, match="cannot be expressed"):
        magnitude(get_quantity("5 m"), "s")
    with pytest.raises(InvalidInput, match="bare number"):
        magnitude(get_quantity("5 m"), None)


@pytest.mark.parametrize("text", ["2020-01-01T00:00:00+0x:00", "2020-01-01T00:00,5+", "NaT", "", "now", "2020-13-01"])
def test_a_text_that_is_no_time_is_refused_without_a_warning(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no time"):
        time_to_ns(text)


def test_what_a_spool_cannot_be_made_of_is_refused() -> None:
    for source in (5, [1, 2], "memory://no-such-archive-here"):
        with pytest.raises((InvalidInput, lk.errors.NotFound)):
            lk.spool(source)  # type: ignore[arg-type]

"""The time axis against plain Python integers."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archive.coords import TimeAxis, simplest_ratio
from archive.errors import InvalidInput

_STARTS = st.integers(-(2**60), 2**61)
_STEPS = st.one_of(
    st.integers(1, 10**10).map(Fraction),
    st.builds(Fraction, st.integers(2**20, 2**31 - 1), st.integers(1, 2**20)),
    st.sampled_from([Fraction(10**9, 1050), Fraction(3_990_000), Fraction(10**9, 3), Fraction(10**9, 1024)]),
)
_SIZES = st.integers(0, 200)


def truth(start: int, step: Fraction, size: int, phase: int = 0) -> list[int]:
    """Return the stamps of a line: Python's integers have no limit to overflow."""
    whole = step.denominator
    return [start + ((phase + i) * step.numerator * 2 + whole) // (2 * whole) for i in range(size)]


@st.composite
def axes(draw: Any) -> tuple[TimeAxis, list[int]]:
    """Return a rising axis of several pieces, and its stamps as Python has them."""
    parts, stamps = [], []
    start = draw(_STARTS)
    for _ in range(draw(st.integers(1, 5))):
        step, size = draw(_STEPS), draw(_SIZES)
        if draw(st.booleans()):
            parts.append(TimeAxis.line(start, step, size))
            held = truth(start, step, size)
        else:
            jumps = draw(st.lists(st.integers(1, 10**9), max_size=20))
            held = [start + sum(jumps[:i]) for i in range(len(jumps))]
            parts.append(TimeAxis.exact(np.array(held, dtype=np.int64)))
        stamps.extend(held)
        start = (held[-1] if held else start) + draw(st.integers(1, 10**11))
    return TimeAxis.concatenate(parts), stamps


@given(axes())
def test_an_axis_holds_the_stamps_that_it_was_made_of(case: tuple[TimeAxis, list[int]]) -> None:
    axis, stamps = case
    assert axis.to_ns().tolist() == stamps
    assert axis.size == len(axis) == len(stamps)
    assert [axis.at(i) for i in range(0, len(stamps), 17)] == stamps[::17]
    if stamps:
        assert (axis.first, axis.last) == (stamps[0], stamps[-1])


@given(axes(), st.integers(-5, 1000), st.integers(-5, 1000))
def test_a_cut_has_the_stamps_of_the_whole(case: tuple[TimeAxis, list[int]], start: int, stop: int) -> None:
    axis, stamps = case
    part = axis.cut(start, stop)
    assert part.to_ns().tolist() == stamps[max(start, 0) : max(stop, 0)]
    assert TimeAxis(*part.columns()) == part
    assert part.cut(1, 3).to_ns().tolist() == stamps[max(start, 0) : max(stop, 0)][1:3]


@given(axes(), st.slices(60), st.data())
def test_slices_and_numbers_pick_as_in_a_list(
    case: tuple[TimeAxis, list[int]], key: slice, data: st.DataObject
) -> None:
    axis, stamps = case
    assert axis[key].to_ns().tolist() == stamps[key]
    if stamps:
        picked = data.draw(st.lists(st.integers(-len(stamps), len(stamps) - 1), max_size=20))
        assert axis.take(np.array(picked, dtype=np.int64)).tolist() == [stamps[i] for i in picked]
        mask = np.array([stamp % 2 == 0 for stamp in stamps])
        assert axis.take(mask).tolist() == [stamp for stamp in stamps if stamp % 2 == 0]


@given(axes(), st.data())
def test_find_counts_the_stamps_before(case: tuple[TimeAxis, list[int]], data: st.DataObject) -> None:
    axis, stamps = case
    near = [stamp + delta for stamp in stamps for delta in (-1, 0, 1)] or [0]
    bound = data.draw(st.one_of(st.sampled_from(near), _STARTS))
    assert axis.find(bound) == sum(stamp < bound for stamp in stamps)
    assert axis.find(bound, "right") == sum(stamp <= bound for stamp in stamps)


@given(axes(), st.lists(st.integers(0, 1000), max_size=6))
def test_parts_put_together_are_the_same_axis_in_as_many_pieces(
    case: tuple[TimeAxis, list[int]], cuts: list[int]
) -> None:
    axis, _ = case
    borders = [0, *sorted(min(cut, axis.size) for cut in cuts), axis.size]
    again = TimeAxis.concatenate(axis.cut(a, b) for a, b in itertools.pairwise(borders))
    assert again == axis
    assert hash(again) == hash(axis)
    assert again.pieces == axis.pieces


@given(_STARTS, _STEPS, st.integers(2, 50), st.integers(-(2**55), 2**55))
def test_a_shifted_axis_moves_as_a_whole(start: int, step: Fraction, size: int, shift: int) -> None:
    axis = TimeAxis.line(start, step, size).cut(1, size)
    assert axis.shifted(shift).to_ns().tolist() == [stamp + shift for stamp in truth(start, step, size)[1:]]


@given(
    st.integers(-(2**60), 2**60),
    st.sampled_from([1000.0, 1050.0, 3.0, 250.0, 1024.0, 62.5, 999.9]),
    st.integers(0, 10**12),
)
def test_stamps_far_along_a_line_do_not_overflow(start: int, hertz: float, index: int) -> None:
    if index * 10**9 / hertz > 2**61:
        index = int(2**61 * hertz / 10**9)
    axis = TimeAxis.from_rate(start, hertz, index + 1)
    step = axis.step
    assert step is not None
    expected = start + (index * step.numerator * 2 + step.denominator) // (2 * step.denominator)
    assert axis.at(index) == axis.last == expected
    assert axis.find(expected) == index
    assert axis.pieces == 1


@given(st.integers(1, 10**6), st.integers(1, 1000))
def test_a_rate_is_the_ratio_that_its_float_stands_for(numerator: int, denominator: int) -> None:
    hertz = Fraction(numerator, denominator)
    axis = TimeAxis.from_rate(0, float(hertz), 2)
    step = TimeAxis.from_step(0, float(1 / hertz), 2).step
    assert axis.step is not None
    assert step is not None
    for found in (axis.step, step):
        assert abs(found * hertz / 10**9 - 1) <= Fraction(3, 10**12)
        assert found.denominator <= (10**9 / hertz).denominator


@pytest.mark.parametrize(
    ("hertz", "step"),
    [
        (1000.0, Fraction(10**6)),
        (1050.0, Fraction(10**9, 1050)),
        (3.0, Fraction(10**9, 3)),
        (1 / 3, Fraction(3 * 10**9)),
    ],
)
def test_a_usual_rate_is_exact(hertz: float, step: Fraction) -> None:
    assert TimeAxis.from_rate(0, hertz, 2).step == step


def test_a_usual_step_is_exact() -> None:
    assert TimeAxis.from_step(0, 0.00399, 2).step == 3_990_000
    assert TimeAxis.from_step(0, 0.004, 2).step == 4_000_000
    assert TimeAxis.from_step(0, 1 / 1050, 2).step == Fraction(10**9, 1050)


@given(_STARTS, st.integers(10, 10**9).map(Fraction), st.integers(2, 100), st.data())
def test_stamps_that_jitter_around_a_line_become_it(start: int, step: Fraction, size: int, data: st.DataObject) -> None:
    limit = int(step) // 2
    jitter = data.draw(st.lists(st.integers(-limit, limit), min_size=size, max_size=size))
    jitter[0] = jitter[-1] = 0
    stamps = np.array(truth(start, step, size), dtype=np.int64) + np.array(jitter, dtype=np.int64)
    axis = TimeAxis.from_stamps(stamps)
    assert axis.pieces == 1
    assert np.abs(axis.to_ns() - stamps).max() <= 1.5 * step
    assert (axis.first, axis.last) == (stamps[0], stamps[-1])
    regular = TimeAxis.from_regular(stamps)
    assert regular.to_ns().tolist() == stamps.tolist()


@given(st.integers(0, 2**60), st.integers(10, 10**6), st.integers(4, 50))
def test_stamps_that_stray_are_kept_one_by_one(start: int, step: int, size: int) -> None:
    stamps = np.array(truth(start, Fraction(step), size), dtype=np.int64)
    stamps[1:-1] += 4 * step
    stamps[-1] += 5 * step
    stamps[1] = stamps[0] + 20 * step
    axis = TimeAxis.from_stamps(stamps)
    assert axis.to_ns().tolist() == stamps.tolist()
    assert axis.step is None


@given(_STARTS, _STEPS, _SIZES)
def test_stamps_on_a_line_are_found_to_be_it(start: int, step: Fraction, size: int) -> None:
    stamps = np.array(truth(start, step, size), dtype=np.int64)
    assert TimeAxis.from_regular(stamps).to_ns().tolist() == stamps.tolist()


def test_a_single_stamp_and_none_are_axes() -> None:
    assert TimeAxis.from_stamps(np.array([5], dtype=np.int64)).to_ns().tolist() == [5]
    assert TimeAxis.from_stamps(np.array([], dtype=np.int64)).size == 0
    assert TimeAxis.line(7, Fraction(1), 0) == TimeAxis.empty()
    assert TimeAxis.concatenate([]).find(3) == 0


def test_pieces_on_other_lines_stay_apart() -> None:
    one = TimeAxis.line(0, Fraction(10**6), 10)
    late = TimeAxis.line(10 * 10**6 + 300, Fraction(10**6), 10)
    joined = TimeAxis.concatenate([one, late])
    assert joined.pieces == 2
    assert joined.to_ns()[10] - joined.to_ns()[9] == 10**6 + 300
    assert joined.step == 10**6


@given(
    st.fractions(Fraction(1, 10**4), 10**10, max_denominator=10**4),
    st.sampled_from([Fraction(1, 10**3), Fraction(1, 10**5)]),
)
@example(Fraction(10**9, 1050), Fraction(1, 10**4))
def test_the_simplest_ratio_has_the_smallest_denominator_within_the_tolerance(
    value: Fraction, tolerance: Fraction
) -> None:
    found = simplest_ratio(value, tolerance)
    low, high = value * (1 - tolerance), value * (1 + tolerance)
    assert low <= found <= high
    smallest = next(
        den for den in range(1, value.denominator + 1) if -(-low.numerator * den // low.denominator) <= high * den
    )
    assert found.denominator == smallest


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InvalidInput):
        TimeAxis.from_rate(0, rate, 10)
    with pytest.raises(InvalidInput):
        TimeAxis.from_step(0, rate, 10)


def test_a_number_outside_the_axis_is_refused() -> None:
    axis = TimeAxis.line(0, Fraction(5), 3)
    for index in (3, -4):
        with pytest.raises(InvalidInput):
            axis.at(index)
    with pytest.raises(InvalidInput):
        axis.take(np.array([1, 3]))


def test_an_axis_tells_whether_its_stamps_share_a_step_and_rise() -> None:
    slow = TimeAxis.line(20, Fraction(8), 3)
    mixed = TimeAxis.concatenate([TimeAxis.line(0, Fraction(4), 5), slow])
    assert mixed.step is None
    assert mixed.typical_step == 4
    assert mixed.rising
    assert not TimeAxis.concatenate([slow, TimeAxis.line(0, Fraction(4), 5)]).rising
    assert TimeAxis.empty().rising
    assert repr(TimeAxis.empty()) == "TimeAxis(empty)"
    assert TimeAxis.empty() != "empty"


def test_stamps_that_stand_still_are_found_before_and_after_all_of_them() -> None:
    axis = TimeAxis.line(100, Fraction(0), 3)
    assert [axis.find(stamp) for stamp in (99, 100, 101)] == [0, 0, 3]
    assert [axis.find(stamp, "right") for stamp in (99, 100, 101)] == [0, 3, 3]


def test_a_step_that_64_bits_cannot_hold_is_the_nearest_that_they_can() -> None:
    step = Fraction(10**15 + 1, 10**9 + 7)
    axis = TimeAxis.line(0, step, 1000)
    assert axis.to_ns().tolist() == [round(number * step) for number in range(1000)]


@pytest.mark.parametrize(("step", "size"), [(-1, 3), (1, -3)])
def test_an_axis_neither_falls_nor_ends_before_it_starts(step: int, size: int) -> None:
    with pytest.raises(InvalidInput, match=f"a positive step and size, not {step} ns and {size}"):
        TimeAxis.line(0, Fraction(step), size)

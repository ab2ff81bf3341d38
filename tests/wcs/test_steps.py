"""The steps in plain numbers give what astropy's models give, find their way back, and tell what they hang on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.modeling import models as m

from archive.wcs.sky import Sky, VaryingSky
from archive.wcs.steps import Affine, Beside, Chain, Coupled, Line, NoInverse, Pick
from archive.wcs.tables import Ravel, Table

if TYPE_CHECKING:
    from archive.wcs.steps import Step

RNG = np.random.default_rng(5)
TURN = np.array([[0.8, -0.6], [0.6, 0.8]])
RISING = np.array([1.0, 2.5, 2.75, 6.0])
STEPS: dict[str, tuple[Any, Any]] = {
    "line": (Line(2.0, -3.0), m.Linear1D(2, -3)),
    "affine": (Affine(TURN, np.array([3.0, 4.0])), m.AffineTransformation2D(TURN, [3, 4])),
    "pick": (Pick((2, 0, 1), 3), m.Mapping((2, 0, 1))),
    "rising table": (Table(np.arange(4.0), RISING), m.Tabular1D(np.arange(4.0), RISING)),
    "falling table": (Table(np.arange(4.0), RISING[::-1]), m.Tabular1D(np.arange(4.0), RISING[::-1])),
    "sky": (Sky(10.0, 20.0, 170.0), m.Pix2Sky_TAN() | m.RotateNative2Celestial(10, 20, 170)),
    "chain": (Chain((Line(2.0), Line(1.0, 5.0))), m.Scale(2) | m.Shift(5)),
    "beside": (Beside((Line(2.0), Pick((1, 0), 2))), m.Scale(2) & m.Mapping((1, 0))),
}


def points(count: int) -> list[Any]:
    return [RNG.uniform(0.1, 2.9, 50) for _ in range(count)]


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_its_model_and_its_way_back_that_of_the_model(name: str) -> None:
    step, model = STEPS[name]
    given = points(step.n_inputs)
    wanted = np.atleast_2d(model(*given))
    found = np.array(step(*given))
    assert found.shape == (step.n_outputs, 50)
    turn = 360 if name == "sky" else np.inf
    np.testing.assert_allclose((found - wanted + 180) % turn - 180 if name == "sky" else found - wanted, 0, atol=1e-9)
    back = step.inverse()
    assert (back.n_inputs, back.n_outputs) == (step.n_outputs, step.n_inputs)
    np.testing.assert_allclose(back(*found), given, atol=1e-9)
    again = back.inverse()
    assert (again.n_inputs, again.n_outputs) == (step.n_inputs, step.n_outputs)
    np.testing.assert_allclose(again(*given), found, atol=1e-9)


def coupled() -> Coupled:
    """Return a pointing by a table of three places, and the time at each: the place is in both."""
    angles = np.array([0.1, 0.2, 0.3])
    turns = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=-1).reshape(3, 2, 2)
    reference = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    sky = VaryingSky(crpix=reference, pc=turns, crval=reference / 9, cdelt=np.array([1e-3, 2e-3]), pole=180.0)
    return Coupled(sky, Table(np.arange(3.0), np.array([0.0, 10.0, 15.0])), shared=1)


@pytest.mark.parametrize("step", [coupled(), Ravel((4, 3)), Ravel((4, 3), "F")], ids=["coupled", "rows", "columns"])
def test_what_shares_an_axis_goes_there_and_back_and_there_again(step: Any) -> None:
    given = [RNG.uniform(0, 9, 30), RNG.uniform(0, 9, 30), RNG.integers(0, 3, 30) * 1.0]
    if isinstance(step, Ravel):
        given = [RNG.integers(0, length, 30) * 1.0 for length in step.shape]
    there = step(*given)
    back = step.inverse()
    assert (back.n_inputs, back.n_outputs) == (step.n_outputs, step.n_inputs)
    np.testing.assert_allclose(back(*there), given, atol=1e-6)
    np.testing.assert_allclose(back.inverse()(*given), there, atol=1e-12)
    if isinstance(step, Ravel):
        whole = [one.astype(int) for one in given]
        np.testing.assert_array_equal(there[0], np.ravel_multi_index(tuple(whole), step.shape, order=step.order))


@pytest.mark.parametrize("name", [*STEPS, "coupled", "ravel", "half a way back"])
def test_what_an_input_changes_is_told_to_hang_on_it(name: str) -> None:
    lost = Beside((Line(0.0, 4.0), Line(2.0)))
    others = {"coupled": coupled(), "ravel": Ravel((4, 3)), "half a way back": lost.inverse()}
    step: Step = others[name] if name in others else STEPS[name][0]
    for one in (step, step.inverse()):
        given = np.full((one.n_inputs, 1), 1.0)
        before = np.array(one(*given))
        depends = one.depends()
        assert depends.shape == (one.n_outputs, one.n_inputs)
        for number in range(one.n_inputs):
            moved = given.copy()
            moved[number] += 1
            changed = ~np.isclose(np.array(one(*moved)), before, equal_nan=True)[:, 0]
            assert (depends[:, number] | ~changed).all()


def test_of_axes_beside_each_other_those_with_a_way_back_find_it() -> None:
    lost = Beside((Line(0.0, 4.0), Line(2.0)))
    back = lost.inverse()
    np.testing.assert_array_equal(back(np.array([4.0]), np.array([6.0])), [[np.nan], [3.0]])
    np.testing.assert_array_equal(back.inverse()(np.array([9.0]), np.array([3.0])), [[4.0], [6.0]])


def test_a_table_of_one_point_is_known_there_only() -> None:
    table = Table(np.array([3.0]), np.array([7.0]))
    np.testing.assert_array_equal(table(np.array([2.9, 3.0, 3.1])), [[np.nan, 7.0, np.nan]])
    np.testing.assert_array_equal(table.inverse()(np.array([7.0, 7.0 + 1e-7, 8.0])), [[3.0, 3.0, np.nan]])


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Line(0.0, 4.0), "the same for all pixels"),
        (Pick((0, 0), 2), "left out on the way"),
        (Affine(np.ones((2, 2)), np.zeros(2)), "rotation matrix of these coordinates is singular"),
        (Table(np.arange(3.0), np.array([1.0, 1.0, 2.0])), "same value at several pixels"),
        (VaryingSky(np.zeros((3, 2)), np.ones((3, 2, 2)), np.zeros((3, 2)), np.ones(2), 180.0), "is singular"),
    ],
)
def test_what_has_no_way_back_says_why(step: Any, said: str) -> None:
    with pytest.raises(NoInverse, match=said):
        step.inverse()

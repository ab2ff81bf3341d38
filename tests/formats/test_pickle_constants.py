"""Pickles are looked at, and never run."""

from __future__ import annotations

import pickle
import subprocess
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.formats.pickle_constants import OPAQUE, constants_of

CONSTANTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=CONSTANTS, protocol=st.integers(3, pickle.HIGHEST_PROTOCOL))
def test_constants_are_what_python_unpickles(value: Any, protocol: int) -> None:
    assert constants_of(pickle.dumps(value, protocol)) == value


@given(value=st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text())
@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_scalars_of_old_protocols_are_what_python_unpickles(value: Any, protocol: int) -> None:
    assert constants_of(pickle.dumps({"a": (value, [value])}, protocol)) == {"a": (value, [value])}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_objects_stay_opaque_beside_what_is_plain(protocol: int) -> None:
    said = {"units": "m", "min": np.datetime64(1, "ns"), "step": np.float64(2.5), "size": 3}
    found = constants_of(pickle.dumps(said, protocol))
    assert (found["units"], found["size"]) == ("m", 3)
    assert found["min"] is OPAQUE
    assert found["step"] is OPAQUE


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_a_command_runs_none(protocol: int, tmp_path: Any) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return subprocess.call, (["touch", str(tmp_path / "run")],)

    data = pickle.dumps([Trap(), "m"], protocol)
    assert constants_of(data) == [OPAQUE, "m"]
    assert not (tmp_path / "run").exists()
    pickle.loads(data)
    assert (tmp_path / "run").exists()  # the trap is one


@pytest.mark.parametrize(
    "data", [b"", b".", b"a.", b"velocity.", b"(.", b"N", b"g5\n.", b"N" * 70_000 + b".", b"\x95.", b"S'\\u'\n."]
)
def test_what_is_no_pickle_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        constants_of(data)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_value_error(data: bytes) -> None:
    try:
        constants_of(data + b".")
    except ValueError:
        return

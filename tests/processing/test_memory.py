"""Memory: what is processed may be much larger than what a process may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from repeated import low_pass, repeated

import archive as lk


@pytest.mark.prove
def test_a_low_pass_over_five_gigabytes_takes_less_than_one(tmp_path: Path) -> None:
    url = repeated(tmp_path, 5.0)
    assert lk.open(url)[0].nbytes > 4.9e9
    told = low_pass(url, tmp_path / "results")
    assert told["peak"] < 1 << 30, told
    assert told["off"] < 5

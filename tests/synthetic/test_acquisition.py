"""A folder of vendor files."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ingest.formats import identify, open_format
from ingest.synthetic import write_acquisition

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: Any) -> Any:
    return write_acquisition(tmp_path_factory.mktemp("fibre"), megabytes=6, channels=200)


def axis_of(path: Path) -> Any:
    with path.open("rb") as file:
        return open_format(identify(file)).describe(file).blocks[0].coords["time"].values


def test_it_is_about_as_large_as_asked_for(recording: Any) -> None:
    total = sum(path.stat().st_size for path in (*recording.paths, *recording.late))
    assert 4e6 < total < 8e6


def test_two_instruments_write_two_formats(recording: Any) -> None:
    names = []
    for path in recording.paths:
        with path.open("rb") as file:
            names.append(identify(file).name)
    assert set(names) == {"prodml", "tdms"}
    assert len({path.name for path in recording.paths}) == len(recording.paths)


def test_the_files_of_an_instrument_join_but_for_the_gap_and_the_late_file(recording: Any) -> None:
    paths = [path for path in recording.paths if path.suffix == ".h5"]
    axes = sorted((axis_of(path) for path in (*paths, *recording.late)), key=lambda axis: axis.first)
    breaks = [
        (before.last + before.step, after.first)
        for before, after in pairwise(axes)
        if after.first != before.last + before.step
    ]
    assert breaks == [recording.gap]
    assert all(path.parent.name == "late" for path in recording.late)
    begin, end = axes[0].first, axes[-1].last
    assert begin < recording.train < recording.earthquake < end
    assert begin < axis_of(recording.late[0]).first < end


def test_the_other_instrument_has_no_gap(recording: Any) -> None:
    axes = [axis_of(path) for path in recording.paths if path.suffix == ".tdms"]
    assert all(before.last + before.step == after.first for before, after in pairwise(axes))


def test_it_is_the_same_every_time(recording: Any, tmp_path: Path) -> None:
    again = write_acquisition(tmp_path, megabytes=6, channels=200)
    for first, second in zip(recording.paths, again.paths, strict=True):
        with first.open("rb") as one, second.open("rb") as other:
            reader = open_format(identify(one))
            np.testing.assert_array_equal(reader.read(one, 0, ()), reader.read(other, 0, ()))

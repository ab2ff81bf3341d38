"""What samples are called: the same for the same, another for others, and nothing is read for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archive as lk
from archive.coords import TimeAxis
from archive.errors import InvalidInput
from archive.identity import identity_of
from archive.lazy import AxisArray, Constant, Lazy
from archive.store import open_store
from archive.times import time_to_ns
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.synthetic.vendor import Header, write_prodml

START = time_to_ns("2024-05-14T09:00:00")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of 1 s that follow each other."""
    folder = tmp_path_factory.mktemp("raw")
    for number in range(2):
        samples = np.random.default_rng(number).normal(0, 300, (1000, 8)).astype("i2")
        write_prodml(folder / f"{number}.h5", samples, Header(start=START + number * 10**9))
    return folder


@pytest.fixture(scope="module")
def kept(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("kept") / "archive")
    initialise(open_store(url))
    ingest(open_store(url), [str(raw)])
    return url


WAYS: dict[str, Callable[[lk.Patch], lk.Patch]] = {
    "as it is": lambda patch: patch,
    "cut": lambda patch: patch.select(time=slice(10, 20), samples=True),
    "taken": lambda patch: patch.order(distance=np.array([3, 1]), samples=True),
    "turned": lambda patch: patch.transpose("distance", "time"),
    "filtered": lambda patch: patch.pass_filter(time=(1, 10)),
    "filtered otherwise": lambda patch: patch.pass_filter(time=(1, 11)),
    "twice": lambda patch: patch.detrend("time").pass_filter(time=(1, 10)),
}


def name(patch: lk.Patch) -> str:
    return json.dumps(identity_of(patch._data))


@pytest.mark.parametrize("place", ["archive", "raw files", "memory"])
def test_the_same_samples_have_one_name_and_others_another(place: str, raw: Path, kept: str) -> None:
    def opened() -> lk.Patch:
        if place == "archive":
            return lk.open(kept)[0]
        patch = lk.open_raw(str(raw))[0]
        return patch.load() if place == "memory" else patch

    one, other = opened(), opened()
    names = {way: name(make(one)) for way, make in WAYS.items()}
    assert names == {way: name(make(other)) for way, make in WAYS.items()}
    assert len(set(names.values())) == len(WAYS)
    assert place == "memory" or not one.loaded


def test_what_stands_for_samples_has_a_name_too() -> None:
    made: list[Lazy] = [
        Constant(0.0, (3, 2), np.dtype("f8")),
        Constant(0.0, (2, 3), np.dtype("f8")),
        Constant(1.0, (3, 2), np.dtype("f8")),
        AxisArray(TimeAxis.from_rate(START, 100, 6)),
        AxisArray(TimeAxis.from_rate(START, 50, 6)),
    ]
    assert len({json.dumps(identity_of(one)) for one in made}) == len(made)


def test_samples_of_an_unknown_kind_have_none() -> None:
    other: Any = object()
    with pytest.raises(InvalidInput, match="load"):
        identity_of(other)

"""Headers that are whole as HDF5 and odd as headers: read, or refused with `FormatError`, and nothing else."""

from __future__ import annotations

import io
import random
from typing import Any

import h5py
import numpy as np
import pytest
from hdf5_files import HDF5_FILES, SHAPE

from archive.errors import FormatError
from ingest.formats import format_named, identify, open_format

CHANGES, PROOFS = 25, 2000  # of a sample
ODD = (
    "",
    "NaN",
    "time",
    "a: b c",
    "seconds since",
    -1,
    0,
    1e300,
    float("nan"),
    float("inf"),
    1 << 62,
    np.zeros(0),
    np.zeros((2, 2)),
    np.array([b"x", b"y"]),
    np.array([3, 2, 1]),
    h5py.Empty("f8"),
)
ARRAYS = (
    np.zeros(7, "f4"),
    np.zeros((0, 0), "f4"),
    np.zeros((3, 3, 3), "i2"),
    np.full(SHAPE[0], np.nan),
    np.zeros(SHAPE[0]),
    -np.arange(SHAPE[1], dtype="i8"),
    np.full(SHAPE[0], (1 << 63) - 1),
    np.full(SHAPE[1], 1e308),
    np.array([b"text"]),
    np.array([True]),
)


def things_of(root: Any) -> list[Any]:
    things = [root]
    root.visititems(lambda _, thing: things.append(thing))
    return things


def spoil(root: Any, choose: random.Random) -> None:
    """Delete an object, put another array in its place, or make one attribute odd."""
    thing = choose.choice(things_of(root))
    names = sorted(set(thing.attrs) - {"DIMENSION_LIST", "REFERENCE_LIST"})
    kind = choose.choice(("attribute", "attribute", "array", "delete"))
    if kind == "attribute" and names:
        name = choose.choice(names)
        del thing.attrs[name]
        if choose.random() < 0.8:
            thing.attrs[name] = choose.choice(ODD)
    elif thing.name != "/":
        parent, label, attributes = (
            thing.parent,
            thing.name.rpartition("/")[2],
            {name: thing.attrs[name] for name in names},
        )
        del parent[label]
        if kind == "array":
            parent[label] = choose.choice(ARRAYS)
            parent[label].attrs.update(attributes)


@pytest.mark.parametrize("count", [CHANGES, pytest.param(PROOFS, marks=pytest.mark.prove)])
@pytest.mark.parametrize("name", [name for name in HDF5_FILES if name != "febus_g1"])
def test_odd_headers_do_no_harm(name: str, count: int, make_sample: Any) -> None:
    sample = make_sample(name)
    reader, content, refused = open_format(format_named(sample.format)), sample.content, 0
    choose = random.Random(count)
    for _ in range(count):
        held = io.BytesIO(content)
        with h5py.File(held, "r+") as root:
            for _ in range(choose.choice((1, 1, 3))):
                spoil(root, choose)
        try:
            identify(held)
        except FormatError:
            refused += 1
        try:
            blocks = reader.describe(held).blocks
            for number, block in enumerate(blocks):
                samples = reader.read(held, number, ())
                assert (samples.shape, samples.dtype) == (block.shape, block.dtype)
        except FormatError:
            refused += 1
    assert refused

"""Attributes taken from headers equal those that h5py reads, whatever their type; damage is told."""

from __future__ import annotations

import io
import struct
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import FormatError
from ingest.formats import hdf5
from ingest.formats.fields import plain
from ingest.formats.hdf5_attributes import attributes_of, header_of

NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=20)
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)
SHAPES = st.sampled_from([(), (1,), (3,), (2, 2), (0,)])
NUMBERS = st.sampled_from(
    [f"{order}{kind}" for order in "<>" for kind in ("i1", "u2", "i4", "u8", "f4", "f8", "f2")] + ["?", "<c8"]
)


@st.composite
def values(draw: st.DrawFn) -> Any:
    """Draw what an attribute may hold: numbers, texts of fixed and varying length, other things."""
    kind = draw(st.sampled_from(["number", "fixed", "padded", "varying", "varyings", "empty", "compound", "enum"]))
    shape = draw(SHAPES)
    if kind == "number":
        dtype = np.dtype(draw(NUMBERS))
        return np.frombuffer(draw(st.binary(min_size=64, max_size=64)), dtype)[: int(np.prod(shape))].reshape(shape)
    if kind == "fixed":
        return np.array(draw(st.binary(min_size=1, max_size=12)), dtype="S12")
    if kind == "padded":
        return np.full(shape, draw(TEXTS).encode(), dtype="S30")
    if kind == "varying":
        return draw(TEXTS)
    if kind == "varyings":
        return np.array(draw(st.lists(TEXTS, min_size=1, max_size=4)), dtype=h5py.string_dtype())
    if kind == "empty":
        return h5py.Empty("f4")
    if kind == "compound":
        return np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])
    return np.array([1, 0], dtype=h5py.enum_dtype({"on": 1, "off": 0}, basetype="i1"))


@settings(max_examples=150, deadline=None)
@given(held=st.dictionaries(NAMES, values(), max_size=12), newest=st.booleans())
def test_attributes_are_those_that_h5py_reads(held: dict[str, Any], newest: bool) -> None:
    file = io.BytesIO()
    with h5py.File(file, "w", libver="latest" if newest else None) as root:
        group = root.create_group("group")
        group["data"] = np.arange(3)
        for thing in (root, group, group["data"]):
            for name, value in held.items():
                thing.attrs[name] = value
    with hdf5.opened(file) as root:
        header = header_of(root, file)
        group = hdf5.child(root, "group", file)
        for thing in (root, group, hdf5.child(group, "data", file)):
            expected = {name: plain(value) for name, value in thing.attrs.items()}
            found = attributes_of(thing)
            assert list(found) == list(expected)
            assert repr(found) == repr(expected)  # NaN is not equal to itself
            assert repr(header.get(thing.name, {})) == repr(expected)
            some = list(expected)[::2]
            assert repr(attributes_of(thing, *some, "not there")) == repr({name: expected[name] for name in some})
    with hdf5.opened(file) as root:
        some = list(held)[:1]
        assert repr(attributes_of(root, *some, "not there")) == repr({name: plain(root.attrs[name]) for name in some})


def test_texts_of_varying_length_that_are_not_in_their_heap_are_told() -> None:
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        root.attrs["name"] = "a text of varying length"
    body = bytearray(file.getvalue())
    heap = body.index(b"GCOL")
    at = body.index(struct.pack("<Q", heap))  # the address in the attribute's reference
    for other, said in ((0, "no heap"), (len(body), "ends at|no heap|heap")):
        body[at : at + 8] = struct.pack("<Q", other)
        damaged = io.BytesIO(bytes(body))
        with hdf5.opened(damaged) as root, pytest.raises((FormatError, ValueError, EOFError), match=said):
            attributes_of(root)
    body[at : at + 8] = struct.pack("<Q", heap)
    body[at + 8 : at + 12] = struct.pack("<I", 77)
    damaged = io.BytesIO(bytes(body))
    with hdf5.opened(damaged) as root, pytest.raises(FormatError, match="is not there"):
        attributes_of(root)


def test_a_thread_sees_only_the_file_that_it_opened() -> None:
    from concurrent.futures import ThreadPoolExecutor

    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        root.attrs["a"] = 1
    with hdf5.shared(file), hdf5.opened(file) as root, ThreadPoolExecutor(1) as pool:
        assert attributes_of(root) == {"a": 1}
        assert hdf5.memory() is not None
        assert pool.submit(hdf5.memory).result() is None
        with hdf5.opened(file) as again:
            assert again is root
    assert hdf5.memory() is None

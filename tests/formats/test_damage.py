"""Empty, cut, foreign and altered files: `FormatError` and nothing else, soon, in little memory."""

from __future__ import annotations

import io
import pickle
import random
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from archive.errors import FormatError, StoreTrouble
from ingest.formats import FORMATS, format_named, identify, open_format

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONGEST = 5.0  # s of work, however busy the machine is
MOST_MEMORY = 512 << 10  # kB, as ru_maxrss counts
MUTATIONS = 100  # of a format, spread over its samples
RECORDS = {"miniseed", "sintela_binary", "sintela_protobuf"}


def read_all(file: Any, name: str, *, told_apart: bool = True) -> None:
    """Do what ingest does with a file, from its content to its samples."""
    if told_apart:
        identify(file)
    reader = open_format(format_named(name))
    for number, block in enumerate(reader.describe(file).blocks):
        assert reader.read(file, number, ()).shape == block.shape


def try_all(file: Any, name: str, *, told_apart: bool = True) -> bool:
    """Return whether a file could be read; fail if it took long or raised anything but `FormatError`."""
    begin = time.process_time()
    try:
        read_all(file, name, told_apart=told_apart)
    except FormatError:
        return False
    finally:
        assert time.process_time() - begin < LONGEST
    return True


@pytest.fixture(autouse=True)
def memory_stays_bounded() -> Any:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"TDSm",
        b"\x89HDF\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + bytes(4000),
        b"time;strain\n1;2\n" * 99,
    ],
    ids=["empty", "one byte", "only TDMS's tag", "only HDF5's signature", "png", "text"],
)
def test_a_foreign_file_is_refused(fmt: Any, content: bytes) -> None:
    reader = open_format(fmt)
    with pytest.raises(FormatError):
        identify(io.BytesIO(content), "s3://bucket/file")
    for call in (reader.describe, lambda file: reader.read(file, 0, ())):
        with pytest.raises(FormatError):
            call(io.BytesIO(content))


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_random_bytes_are_refused(fmt: Any) -> None:
    for seed in range(50):
        content = random.Random(seed).randbytes(5000)
        for head in (b"", b"TDSm", b"\x89HDF\r\n\x1a\n"):
            assert not try_all(io.BytesIO(head + content), fmt.name, told_apart=fmt is FORMATS[0])
            with pytest.raises(FormatError):
                open_format(fmt).describe(io.BytesIO(head + content))


def test_hdf5_of_another_kind_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as root:
        root["data"] = np.arange(100)
    content = (tmp_path / "other.h5").read_bytes()
    with pytest.raises(FormatError, match="no vendor that is known"):
        identify(io.BytesIO(content))
    for fmt in FORMATS:
        with pytest.raises(FormatError):
            open_format(fmt).describe(io.BytesIO(content))


def test_a_cut_file_is_refused(sample: Any) -> None:
    content = sample.content
    random_ends = random.Random(1).sample(range(len(content)), 60)
    ends = {0, 1, 7, 8, 27, 28, 100, 2048, len(content) // 2, len(content) - 1, *random_ends}
    for end in sorted(ends):
        if try_all(sample.open(content[:end]), sample.format, told_apart=end not in random_ends):
            # Nothing tells that a file of records misses some at its end, if what is missing begins with one.
            assert sample.format in RECORDS, f"read when cut to {end} of {len(content)} bytes"
            assert open_format(format_named(sample.format)).sniff(sample.open(content[end:])) is not None


def flip_bits(sample: Any, counting: Any, seed: int, mutations: int) -> None:
    """Alter copies of a sample here and there; nothing but `FormatError` may come of it."""
    file = counting(sample.content, str(sample.path))
    open_format(format_named(sample.format)).describe(file)
    spans = [(start, stop) for start, stop in file.spans if stop > start]
    choose = random.Random(seed)
    for number in range(mutations):
        content = bytearray(sample.content)
        for _ in range(choose.choice((1, 1, 1, 5))):
            # Nine of ten where the header is: elsewhere are samples, of which any value is one.
            start, stop = choose.choice(spans) if choose.random() < 0.9 else (0, len(content))
            position = choose.randrange(start, stop)
            content[position] = choose.choice((content[position] ^ (1 << choose.randrange(8)), 0, 127, 255))
        # Asking every other format takes most of the time, and is done for one in ten.
        try_all(sample.open(bytes(content)), sample.format, told_apart=number % 10 == 0)


def test_flipped_bits_do_no_harm(sample: Any, share: Callable[[int], int], counting: Any) -> None:
    flip_bits(sample, counting, 2, share(MUTATIONS))


@pytest.mark.prove
def test_flipped_bits_do_no_harm_ten_thousand_times(sample: Any, share: Callable[[int], int], counting: Any) -> None:
    flip_bits(sample, counting, 3, share(10_000))


def test_a_text_that_claims_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sample.h5"
    with h5py.File(path, "w") as root:
        root.create_dataset("Acoustic", data=np.zeros((10, 10), "i2"))
        root["Acoustic"].attrs["Defragmented"] = "False"
    content = bytearray(path.read_bytes())
    at = content.index(b"Defragmented\0")
    length = content.index(b"\x05\0\0\0", at + 32)  # of the text
    content[length + 3] = 255
    with pytest.raises(FormatError, match="longer than the file"):
        open_format(format_named("silixa_hdf5")).describe(io.BytesIO(bytes(content)))


def test_a_dataspace_that_claims_to_lie_elsewhere_is_refused(make_sample: Any) -> None:
    content = bytearray(make_sample("silixa_hdf5").content)
    message = content.index(b"\x01\0\x28\0\0\0\0\0\x01\x02")  # dataspace, 40 bytes, no flags, version 1, 2-d
    content[message + 4] |= 2  # shared
    with pytest.raises(FormatError, match="lies elsewhere"):
        identify(io.BytesIO(bytes(content)))


def test_a_text_whose_type_names_a_wrong_size_is_refused(make_sample: Any) -> None:
    content = bytearray(make_sample("silixa_hdf5").content)
    at = content.index(b"StartPosition[m]\0") + 24
    assert content[at : at + 8] == b"\x19\x01\x01\0\x10\0\0\0"
    content[at + 4] = 1
    with pytest.raises(FormatError, match="take 16 bytes, not 1"):
        identify(io.BytesIO(bytes(content)))


@pytest.mark.parametrize("size", [0, 8, 1 << 40])
def test_a_heap_that_never_ends_is_not_walked_through(tmp_path: Path, size: int) -> None:
    path = tmp_path / "sample.h5"
    with h5py.File(path, "w") as root:
        root.create_dataset("Acoustic", data=np.zeros((10, 10), "i2"))
        root["Acoustic"].attrs["Tags"] = "a text that lies in the heap"
    content = bytearray(path.read_bytes())
    at = content.index(b"a text that lies in the heap") + 32  # of the free space behind it
    content[at + 8 : at + 16] = size.to_bytes(8, "little")
    with pytest.raises(FormatError):
        open_format(format_named("silixa_hdf5")).describe(io.BytesIO(bytes(content)))


def test_a_heap_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sample.h5"
    with h5py.File(path, "w") as root:
        root.create_dataset("Acoustic", data=np.zeros((10, 10), "i2"))
        root["Acoustic"].attrs["Tags"] = "a text that lies in the heap"
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 8
    content[at : at + 8] = (1 << 50).to_bytes(8, "little")
    with pytest.raises(FormatError):
        open_format(format_named("silixa_hdf5")).describe(io.BytesIO(bytes(content)))


def _with_raw_data(path: Path, make: Any) -> bytes:
    """Return a PRODML file whose samples are replaced by what `make` puts into the group."""
    with h5py.File(path, "r+") as root:
        raw = root["Acquisition/Raw[0]"]
        attributes, shape = dict(raw["RawData"].attrs), raw["RawData"].shape
        del raw["RawData"]
        make(raw, shape)
        if isinstance(raw.get("RawData", getlink=True), h5py.HardLink):
            raw["RawData"].attrs.update(attributes)
    return path.read_bytes()


def _external_link(raw: Any, shape: tuple[int, int]) -> None:
    raw["RawData"] = h5py.ExternalLink("/etc/passwd", "/data")


def _soft_link(raw: Any, shape: tuple[int, int]) -> None:
    raw["RawData"] = h5py.SoftLink("/Acquisition/Raw[0]/RawDataTime")


def _external_storage(raw: Any, shape: tuple[int, int]) -> None:
    raw.create_dataset("RawData", shape, "i2", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def _virtual_dataset(raw: Any, shape: tuple[int, int]) -> None:
    layout = h5py.VirtualLayout(shape, "i2")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape)
    raw.create_virtual_dataset("RawData", layout)


def _sparse(raw: Any, shape: tuple[int, int]) -> None:
    raw.create_dataset("RawData", (shape[0], 1 << 40), "i2", chunks=(1, 1 << 10))


def _huge_chunk(raw: Any, shape: tuple[int, int]) -> None:
    raw.create_dataset("RawData", (shape[0], 1 << 17), "i2", chunks=(shape[0], 1 << 17), compression="gzip")


def _texts(raw: Any, shape: tuple[int, int]) -> None:
    raw.create_dataset("RawData", data=[pickle.dumps(print, 0)] * shape[0])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_external_link, "is a link"),
        (_soft_link, "is a link"),
        (_external_storage, "other files"),
        (_virtual_dataset, "other files"),
        (_sparse, "more than the file can hold"),
        (_huge_chunk, "more than the file can hold"),
        (_texts, "not numbers"),
    ],
)
def test_what_lies_outside_of_the_file_or_cannot_lie_in_it_is_refused(
    make: Any, reason: str, make_sample: Any, tmp_path: Path
) -> None:
    path = tmp_path / "sample.h5"
    path.write_bytes(make_sample("prodml").content)
    if make is _huge_chunk:
        path.write_bytes(_small_prodml(tmp_path))
    content = _with_raw_data(path, make)
    reader = open_format(format_named("prodml"))
    for call in (reader.describe, lambda file: reader.read(file, 0, ())):
        with pytest.raises(FormatError, match=reason):
            call(io.BytesIO(content))


def _small_prodml(folder: Path) -> bytes:
    from ingest.synthetic import write_prodml
    from ingest.synthetic.vendor import Header

    return write_prodml(folder / "small.h5", np.zeros((100, 3), "i2"), Header(start=10**18)).read_bytes()


def test_a_link_out_of_the_file_is_not_followed_to_identify_it(tmp_path: Path) -> None:
    path = tmp_path / "sample.h5"
    with h5py.File(path, "w") as root:
        root["Acquisition"] = h5py.ExternalLink("other.h5", "/Acquisition")
    with path.open("rb") as file, pytest.raises(FormatError, match="is a link"):
        identify(file)


def test_a_header_that_never_ends_is_refused(monkeypatch: Any, sample: Any) -> None:
    monkeypatch.setattr("ingest.formats.hdf5_headers._MOST_BLOCKS", 0)
    if sample.is_hdf5:
        with pytest.raises(FormatError, match="without an end"):
            open_format(format_named(sample.format)).describe(sample.open())


def test_samples_that_are_no_table_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "sample.h5", "w") as root:
        root["Acoustic"] = np.zeros((3, 3, 3), "i2")
    with (tmp_path / "sample.h5").open("rb") as file, pytest.raises(FormatError, match="time and channel"):
        open_format(format_named("silixa_hdf5")).describe(file)


def test_more_objects_than_a_header_has_are_refused(monkeypatch: Any, sample: Any) -> None:
    monkeypatch.setattr("ingest.formats.hdf5_attributes._MOST_OBJECTS", 0)
    if sample.is_hdf5:
        with pytest.raises(FormatError, match="more than 0 objects"):
            open_format(format_named(sample.format)).describe(sample.open())


def test_a_pickle_in_an_attribute_stays_bytes(make_sample: Any, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("unpickled",)

    path = tmp_path / "sample.h5"
    path.write_bytes(make_sample("prodml").content)
    with h5py.File(path, "r+") as root:
        root["Acquisition"].attrs["Summary"] = np.void(pickle.dumps(Trap()))
    header = open_format(format_named("prodml")).describe(io.BytesIO(path.read_bytes())).header
    assert bytes.fromhex(header["/Acquisition"]["Summary"]) == pickle.dumps(Trap())


class Failing(io.BytesIO):
    """A file whose connection is lost."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() + (size or 0) > 20:
            raise TimeoutError("no answer for 30 s")
        return super().read(size)

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def test_a_lost_connection_is_no_fault_of_the_file(sample: Any) -> None:
    reader = open_format(format_named(sample.format))
    for call in (reader.describe, lambda file: reader.read(file, 0, ())):
        with pytest.raises(StoreTrouble, match="no answer"):
            call(Failing(sample.content, str(sample.path)))


LOST = """
import io, sys
from archive.errors import StoreTrouble
from ingest.formats import format_named, open_format

class Failing(io.BytesIO):
    def readinto(self, buffer):
        if self.tell() + len(buffer) > 20:
            raise TimeoutError("no answer")
        return super().readinto(buffer)

try:
    open_format(format_named("prodml")).describe(Failing(open(sys.argv[1], "rb").read()))
except StoreTrouble:
    print("lost")
"""


def test_a_connection_lost_at_the_start_of_an_hdf5_file_does_not_end_the_process(make_sample: Any) -> None:
    path = make_sample("prodml").path
    done = subprocess.run([sys.executable, "-c", LOST, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "lost"), done.stderr

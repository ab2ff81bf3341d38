"""What holds for every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np

from archive.testing import check_contract
from archive.units import get_quantity
from ingest.formats import FORMATS, format_named, identify, open_format

if TYPE_CHECKING:
    from archive.model import Reader


def reader_of(sample: Any) -> Reader:
    return open_format(format_named(sample.format))


def whole_of(sample: Any) -> Any:
    return reader_of(sample).read(sample.open(), 0, ())


def test_exactly_one_format_claims_a_file(sample: Any) -> None:
    claims = {fmt.name: open_format(fmt).sniff(sample.open()) for fmt in FORMATS}
    assert [name for name, version in claims.items() if version is not None] == [sample.format]
    fmt = identify(sample.open())
    assert fmt.name == sample.format
    assert claims[sample.format] in fmt.versions


def test_what_is_described_is_what_is_read(sample: Any) -> None:
    description = reader_of(sample).describe(sample.open())
    assert description.format == sample.format
    for number, block in enumerate(description.blocks):
        samples = reader_of(sample).read(sample.open(), number, ())
        assert block.dims[0] == "time"
        assert block.shape == samples.shape
        assert block.dtype == samples.dtype
        assert samples.dtype.isnative


def test_made_samples_are_read_back(made: Any) -> None:
    np.testing.assert_array_equal(whole_of(made), made.samples)


def test_the_contract_that_is_offered_to_third_parties_is_kept(sample: Any) -> None:
    check_contract(reader_of(sample), sample.content, str(sample.path))


def test_to_describe_reads_no_samples(sample: Any, counting: Any) -> None:
    file = counting(sample.content, str(sample.path))
    reader_of(sample).describe(file)
    samples = whole_of(sample).nbytes
    assert file.count <= 0.25 * len(sample.content) + (1 << 18)
    assert file.count < max(samples, 1 << 14)


def test_to_sniff_reads_little(sample: Any, counting: Any) -> None:
    file = counting(sample.content, str(sample.path))
    identify(file)
    assert file.count < 1 << 17


def test_a_narrow_slice_reads_only_a_part(made: Any, counting: Any) -> None:
    described, file = counting(made.content, str(made.path)), counting(made.content, str(made.path))
    reader_of(made).describe(described)
    reader_of(made).read(file, 0, (slice(10, 20), slice(None)))
    if made.format in {"tdms", "silixa_hdf5"}:
        assert file.count < described.count + 0.1 * len(made.content)
    assert file.count <= len(made.content) + described.count


def test_local_memory_and_bytes_give_the_same(sample: Any) -> None:
    reader, whole = reader_of(sample), whole_of(sample)
    description = reader.describe(sample.open())
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/{sample.path.name}", sample.content)
    opened = (
        sample.path.open("rb"),
        sample.path.open("rb", buffering=0),
        fsspec.open(f"file://{sample.path}", "rb").open(),
        memory.open(f"/{sample.path.name}", "rb"),
    )
    for file in opened:
        with file:
            assert identify(file).name == sample.format
            again = reader.describe(file)
            assert again.blocks[0].attrs == description.blocks[0].attrs
            np.testing.assert_array_equal(reader.read(file, 0, ()), whole)
    memory.rm(f"/{sample.path.name}")


def test_coordinates_label_every_dim(sample: Any) -> None:
    for block in reader_of(sample).describe(sample.open()).blocks:
        for name, coord in block.coords.items():
            assert coord.size == dict(zip(block.dims, block.shape, strict=True))[coord.dims[0]], name
        assert block.coords["time"].is_time
        assert (np.diff(block.coords["time"].to_numpy()) > np.timedelta64(0, "ns")).all()
        assert {"distance", "channel"} & set(block.dims)
        assert "distance" not in block.dims or block.coords["distance"].units == "m"


def test_attributes_are_plain_and_units_are_known(sample: Any) -> None:
    for block in reader_of(sample).describe(sample.open()).blocks:
        # Some formats do not say.
        assert block.attrs.get("data_category", "DAS") in {"DAS", "DSS", "DTS", "OTDR"}
        assert all(isinstance(value, (str, int, float, bool)) and value != "" for value in block.attrs.values())
        if "data_units" in block.attrs:
            get_quantity(str(block.attrs["data_units"]))


def test_the_header_is_made_of_json_values(sample: Any) -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            assert all(isinstance(name, str) for name in value)
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                check(item)
        else:
            assert value is None or type(value) in {str, int, float, bool}

    header = reader_of(sample).describe(sample.open()).header
    assert header
    check(dict(header))

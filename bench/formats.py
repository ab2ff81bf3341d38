"""Raw formats, measured: describing and reading a file, against DASCore and against the bare library, in one run."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.table import markdown, save
from ingest.formats import format_named, open_format
from ingest.formats.edge import without_header
from ingest.synthetic import write_prodml, write_tdms
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["measure"]

# File, our format, and DASCore's name and version for it.
_FILES = (
    ("ap_sensing_1.hdf5", "ap_sensing", "APSENSING", "10"),
    ("deformation_rate_event_1.hdf5", "dasdae", "DASDAE", "1"),
    ("febg1_C1_2023-05-10T12.25.03+0000.bsl", "febus_g1", "FEBUS_G1_CSV", "1"),
    ("febus_2.h5", "febus", "FEBUS", "2"),
    ("febus_dts_1_C1_20250424_231747.h5", "febus_t1", "FEBUS_T1", "1"),
    ("gdr_1.h5", "gdr", "GDR_DAS", "1"),
    ("h5_simple_1.h5", "h5simple", "H5SIMPLE", "1"),
    ("decimated_optodas.hdf5", "optodas", "OPTODAS", "8"),
    ("iDAS005_hdf5_example.626.h5", "prodml", "PRODML", "2.1"),
    ("small_channel_patch.sgy", "segy", "SEGY", "1.0"),
    ("silixa_h5_1.hdf5", "silixa_hdf5", "SILIXA_H5", "1"),
    ("ofl100_1.sor", "sr4731", "SR4731", "200"),
    ("iDAS005_tdms_example.626.tdms", "tdms", "TDMS", "4713"),
    ("terra15_v5_test_file.hdf5", "terra15", "TERRA15", "5"),
)


def _best(call: Callable[[], object], repeats: int) -> float:
    """Return the least time of a call, ms of work: what else the machine does is not counted."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return min(times) * 1e3


def _bare(path: Path, fmt: str) -> Callable[[], object] | None:
    """Return what reads all samples with the library alone, if there is one."""
    if fmt == "tdms":
        import nptdms

        def read_tdms() -> object:
            with nptdms.TdmsFile.open(path) as file:
                return [chunk["Measurement"] for chunk in file.data_chunks()]  # channel by channel it takes seconds

        return read_tdms
    if fmt == "segy":
        import segyio

        def read_segy() -> object:
            with segyio.open(path, ignore_geometry=True) as file:
                return np.ascontiguousarray(file.trace.raw[:].T)

        return read_segy
    import h5py

    if not h5py.is_hdf5(path):
        return None
    found: dict[str, int] = {}
    with h5py.File(path) as root:
        root.visititems(
            lambda name, thing: found.update({name: thing.nbytes} if isinstance(thing, h5py.Dataset) else {})
        )
    name = max(found, key=lambda one: found[one])

    def read_hdf5() -> object:
        with h5py.File(path) as root:
            return root[name][...]

    return read_hdf5


def measure(folder: Path, repeats: int = 15) -> list[dict[str, Any]]:
    """Return the times of each format's sample, ms."""
    warnings.simplefilter("ignore")
    import dascore as dc

    records = []
    for name, fmt, theirs, version in _FILES:
        path, reader = folder / name, open_format(format_named(fmt))

        def whole(path: Path = path, reader: Any = reader) -> object:
            with path.open("rb") as file:
                return reader.describe(file)

        def describe(path: Path = path, reader: Any = reader) -> object:
            with path.open("rb") as file, without_header():
                return reader.describe(file)

        def read(path: Path = path, reader: Any = reader) -> object:
            with path.open("rb") as file:
                return reader.read(file, 0, ())

        kwargs = {"file_format": theirs, "file_version": version}
        bare = _bare(path, fmt)
        times = {
            "describe": _best(describe, repeats),
            "with the header": _best(whole, repeats),
            "DASCore scan": _best(lambda path=path, kwargs=kwargs: dc.scan(path, **kwargs), repeats),
            "read": _best(read, repeats),
            "DASCore read": _best(lambda path=path, kwargs=kwargs: dc.read(path, **kwargs), repeats),
            "library read": None if bare is None else _best(bare, repeats),
        }
        records.append(
            {"format": fmt, "kB": path.stat().st_size // 1000}
            | {key: None if value is None else round(value, 2) for key, value in times.items()}
            | {
                "scan / describe": round(times["DASCore scan"] / times["describe"], 1),  # type: ignore[operator]
                "read / library": None if bare is None else float(f"{times['read'] / times['library read']:.2g}"),  # type: ignore[operator]
            }
        )
    return records


def measure_long(folder: Path, repeats: int = 5) -> list[dict[str, Any]]:
    """Return the times of reading files of a usual length, where opening them hardly counts, ms."""
    samples = np.random.default_rng(1).integers(-999, 999, (60_000, 500)).astype("i2")
    header = Header(start=1_700_000_000 * 10**9, rate=1000.0, spacing=1.0, acquisition="bench")
    records = []
    for name, fmt, write in (("long.h5", "prodml", write_prodml), ("long.tdms", "tdms", write_tdms)):
        path = write(folder / name, samples, header)
        reader, bare = open_format(format_named(fmt)), _bare(path, fmt)
        assert bare is not None

        def read(path: Path = path, reader: Any = reader) -> object:
            with path.open("rb") as file:
                return reader.read(file, 0, ())

        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(_best(read, 1))
            theirs.append(_best(bare, 1))
        times = {"read": min(ours), "library read": min(theirs)}
        records.append(
            {"format": fmt, "kB": path.stat().st_size // 1000}
            | {key: round(value, 1) for key, value in times.items()}
            | {"read / library": round(times["read"] / times["library read"], 2)}
        )
    return records


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/raw"), help="where the samples are")
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    records = measure(given.folder, given.repeats)
    with tempfile.TemporaryDirectory(prefix="lightkeep-bench-") as name:
        long = measure_long(Path(name))
    ratio = statistics.geometric_mean(record["scan / describe"] for record in records)
    against = [record["read / library"] for record in records if record["read / library"] is not None]
    total = sum(record["DASCore scan"] for record in records) / sum(record["describe"] for record in records)
    text = (
        "# Raw formats: describe and read\n\n"
        "Least of repeated calls on files in the page cache, ms of work of one thread, by `python -m bench.formats`.\n"
        "`describe` is what planning asks for; `with the header` is what ingest then keeps: every value in the file,\n"
        "where DASCore's scan reads the few that it needs. The bare library reads the samples alone, with no look at\n"
        "whether the file is damaged.\n\n"
        f"{markdown(records)}\n\n"
        f"Describing is {ratio:.2f} times as fast as DASCore's scan (geometric mean; {total:.2f} times over the sum).\n"
        f"Reading takes {statistics.geometric_mean(against):.2f} times what the bare library takes (geometric mean).\n"
        "The aims are 2 times and 1.2 times. These samples are small: to open a file and to look its headers through is\n"
        "most of the time. Files of a usual length:\n\n"
        f"{markdown(long)}\n"
    )
    save("formats", text, {"records": records, "describe": ratio, "describe_sum": total, "read": against, "long": long})
    print(text)


if __name__ == "__main__":
    main()

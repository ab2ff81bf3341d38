"""Leaves: about 2 000 rows of one dataset as a Parquet file, and what CURRENT says of each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import TimeAxis
from archive.errors import DamagedData
from archive.grid import grid_shape
from archive.index import layout
from archive.index.rows import ArrayRef, Row, SourceRange, time_from_json, time_to_json
from archive.index.runs import Spans, runs_of

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from archive.index.dataset import Dataset

__all__ = ["LEAF_ROWS", "LeafEntry", "LeafTable", "encode_leaf", "leaf_rows"]

LEAF_ROWS = 2000
_KEPT = 16  # rows of a leaf that stay whole; each names every chunk of its granule
_FRAME_ROWS = 48  # each with the headers of some hundred frames
_RUNS_KEPT = 32
_WIDE = ("lengths", "sources", "form", "frames")  # the first columns, which only reading samples and folding need


@lru_cache(maxsize=1)
def _schema() -> pa.Schema:
    import pyarrow as pa

    source = pa.struct([("sha256", pa.binary(32)), ("block", pa.int32()), ("start", pa.int64()), ("stop", pa.int64())])
    return pa.schema(
        [
            # The wide columns come first, so that one suffix range holds all others and the footer.
            ("lengths", pa.list_(pa.int32())),
            ("sources", pa.list_(source)),
            ("form", pa.string()),
            ("frames", pa.string()),
            ("origin", pa.int64()),
            ("num", pa.int64()),
            ("den", pa.int64()),
            ("phase", pa.int64()),
            ("size", pa.int64()),
            ("first", pa.int64()),
            ("last", pa.int64()),
            ("pieces", pa.string()),
            ("id", pa.binary(32)),
            ("incarnation", pa.int32()),
            ("key", pa.string()),
            ("attrs", pa.string()),
            ("extras", pa.string()),
            ("replaces", pa.list_(pa.binary(32))),
            ("data_key", pa.string()),
            ("data_size", pa.int64()),
            ("data_etag", pa.string()),
            ("data_sha256", pa.binary(32)),
            ("chunk_frames", pa.int32()),
            ("codec", pa.string()),
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafEntry:
    """What CURRENT says of one leaf.

    Parameters
    ----------
    key, size, sha256
        The object; `narrow` is the byte at which all columns but the wide ones begin.
    narrow_sha256
        First 16 digits of the SHA-256 of what begins there: enough against damage, and CURRENT stays small.
    dataset
        Whose rows it holds.
    rows, samples, stored
        Number of rows, of samples along time (each once), and of bytes of their data objects.
    first, last
        Earliest and latest stamp, ns.
    runs
        Number of contiguous runs; 1 is a leaf without gaps.
    spans
        First and last stamp of each run, where there are not too many.
    overlapping
        Whether some rows hold the same times.
    """

    key: str
    size: int
    sha256: str
    narrow: int
    narrow_sha256: str
    dataset: str
    rows: int
    samples: int
    stored: int
    first: int
    last: int
    runs: int
    spans: tuple[tuple[int, int], ...] | None
    overlapping: bool


def leaf_rows(dataset: Dataset) -> int:
    """Return how many rows a leaf of a dataset has at most."""
    return _FRAME_ROWS if dataset.holds_frames else LEAF_ROWS


def encode_leaf(rows: Sequence[Row], dataset: Dataset) -> tuple[LeafEntry, bytes]:
    """Return what CURRENT says of a leaf, and its bytes; rows sorted by start, then id."""
    import pyarrow as pa

    rows = sorted(rows, key=lambda row: (row.time.first, row.id))
    table = pa.Table.from_pylist([_record(row) for row in rows], schema=_schema())
    data = _to_parquet(table)
    digest = hashlib.sha256(data).hexdigest()
    narrow = _narrow_offset(data)
    found = runs_of(Spans.of_rows(rows), dataset.step)
    spans = tuple((run.first, run.last) for run in found)
    return LeafEntry(
        key=layout.new_leaf_key(digest),
        size=len(data),
        sha256=digest,
        narrow=narrow,
        narrow_sha256=_narrow_digest(data[narrow:]),
        dataset=dataset.name,
        rows=len(rows),
        samples=sum(run.samples for run in found),
        stored=sum(row.data.size for row in rows),
        first=min(row.time.first for row in rows),
        last=max(row.time.last for row in rows),
        runs=len(spans),
        spans=spans if len(spans) <= _RUNS_KEPT else None,
        overlapping=sum(run.samples for run in found) != sum(row.time.size for row in rows),
    ), data


def _narrow_digest(part: bytes) -> str:
    return hashlib.sha256(part).hexdigest()[:16]


def _to_parquet(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=len(table),
        compression="zstd",
        use_dictionary=["attrs", "extras", "codec", "num", "den", "incarnation", "chunk_frames"],
        column_encoding={
            "first": "DELTA_BINARY_PACKED",
            "last": "DELTA_BINARY_PACKED",
            "origin": "DELTA_BINARY_PACKED",
        },
        write_page_checksum=True,
        write_statistics=["first", "last"],
        data_page_size=4 << 20,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _narrow_offset(data: bytes) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    group = pq.read_metadata(pa.BufferReader(data)).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    offsets = [
        min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
        for column in columns
        if column.path_in_schema.split(".")[0] not in _WIDE
    ]
    return int(min(offsets))


def _record(row: Row) -> dict[str, Any]:
    single = row.time.pieces == 1
    origin, num, den, phase, size = (int(column[0]) for column in row.time.columns())
    return {
        "lengths": list(row.data.lengths),
        "sources": [{**source._asdict(), "sha256": bytes.fromhex(source.sha256)} for source in row.sources],
        "form": None if row.frames is None else json.dumps(_form(row.data)),
        "frames": row.frames,
        "origin": origin,
        "num": num,
        "den": den,
        "phase": phase,
        "size": size if single else row.time.size,
        "first": row.time.first,
        "last": row.time.last,
        "pieces": None if single else json.dumps(time_to_json(row.time), separators=(",", ":")),
        "id": bytes.fromhex(row.id),
        "incarnation": row.incarnation,
        "key": row.key,
        "attrs": json.dumps(dict(row.attrs), sort_keys=True) if row.attrs else None,
        "extras": json.dumps({name: ref.to_json() for name, ref in row.extras.items()}) if row.extras else None,
        "replaces": [bytes.fromhex(other) for other in row.replaces] or None,
        "data_key": row.data.key,
        "data_size": row.data.size,
        "data_etag": row.data.etag,
        "data_sha256": bytes.fromhex(row.data.sha256),
        "chunk_frames": row.data.chunks[0],
        "codec": row.data.codec,
    }


def _form(data: ArrayRef) -> dict[str, Any]:
    """Return what the dataset does not say of the pixels of some frames."""
    order = None if data.order is None else list(data.order)
    return {"shape": list(data.shape), "dtype": data.dtype, "chunks": list(data.chunks), "order": order}


class LeafTable:
    """The rows of one leaf, in columns; whole rows are made of those that are asked for.

    Raises
    ------
    DamagedData
        The bytes are not those that CURRENT tells of.
    """

    def __init__(self, entry: LeafEntry, data: Buffer, dataset: Dataset, *, narrow: bool = False) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.entry, self.dataset = entry, dataset
        self.narrow = narrow
        self._whole: dict[int, Row] = {}
        body = bytes(data)
        if (_narrow_digest(body) if narrow else hashlib.sha256(body).hexdigest()) != (
            entry.narrow_sha256 if narrow else entry.sha256
        ):
            raise DamagedData(f"{entry.key}: the leaf of the index is altered; run lightkeep repair")
        if narrow:
            body = bytes(entry.narrow) + body
        columns = _schema().names[len(_WIDE) :] if narrow else None
        try:
            source = pa.BufferReader(body)
            self._table = pq.ParquetFile(source, page_checksum_verification=True).read(columns=columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedData(f"{entry.key}: the leaf of the index cannot be read; run lightkeep repair") from error
        if self._table.num_rows != entry.rows:
            raise DamagedData(f"{entry.key}: {self._table.num_rows} rows instead of {entry.rows}; run lightkeep repair")

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def column(self, name: str) -> NDArray[Any]:
        """Return one numeric column."""
        values: NDArray[Any] = self._table.column(name).combine_chunks().to_numpy(zero_copy_only=False)
        return values

    @cached_property
    def spans(self) -> Spans:
        """The times of every row."""
        texts = self.texts("pieces")
        pieces = {number: time_from_json(json.loads(text)) for number, text in enumerate(texts) if text}
        return Spans(
            first=self.column("first"),
            last=self.column("last"),
            columns=tuple(self.column(name) for name in ("origin", "num", "den", "phase", "size")),
            pieces=pieces,
            ids=_prefixes(self._table.column("id").to_pylist()),
        )

    def texts(self, name: str) -> list[str | None]:
        """Return one column of texts."""
        values: list[str | None] = self._table.column(name).to_pylist()
        return values

    def ids(self) -> Iterator[str]:
        """Return the ids of the rows and of those that they replace."""
        for value in self._table.column("id").to_pylist():
            yield value.hex()
        for values in self._table.column("replaces").to_pylist():
            yield from (value.hex() for value in values or ())

    def row(self, number: int) -> Row:
        """Return one row whole; some are kept, since who looks at a place looks at it again. Safe in threads."""
        row = self._whole.get(number)
        if row is None:
            row = self._row(self._table.slice(number, 1).to_pylist()[0])
            if len(self._whole) >= _KEPT:
                self._whole = {}
            self._whole[number] = row
        return row

    def rows(self) -> list[Row]:
        """Return every row."""
        return [self._row(record) for record in self._table.to_pylist()]

    def _row(self, record: dict[str, Any]) -> Row:
        dataset = self.dataset
        columns = [[record[name]] for name in ("origin", "num", "den", "phase", "size")]
        time = time_from_json(json.loads(record["pieces"])) if record["pieces"] else TimeAxis(*columns)
        form = json.loads(record["form"]) if record.get("form") else {}
        chunks = tuple(form.get("chunks", (record["chunk_frames"], *dataset.chunks[1:])))
        data = ArrayRef(
            key=record["data_key"],
            size=record["data_size"],
            etag=record["data_etag"],
            sha256=record["data_sha256"].hex(),
            shape=tuple(form.get("shape", (time.size, *dataset.widths))),
            dtype=form.get("dtype", dataset.dtype.name),
            chunks=chunks,
            codec=record["codec"],
            lengths=record["lengths"],
            order=tuple(form["order"]) if form.get("order") else None,
        )
        if not data.is_whole():
            raise DamagedData(
                f"{self.entry.key}: the row of {record['key']} has {len(data.lengths)} chunk lengths, not "
                f"those of a grid of {grid_shape(data.shape, chunks)}; run lightkeep repair"
            )
        extras = json.loads(record["extras"]) if record["extras"] else {}
        return Row(
            id=record["id"].hex(),
            dataset=dataset.name,
            incarnation=record["incarnation"],
            key=record["key"],
            time=time,
            data=data,
            attrs=json.loads(record["attrs"]) if record["attrs"] else {},
            extras={name: ArrayRef.from_json(ref) for name, ref in extras.items()},
            sources=tuple(
                SourceRange(source["sha256"].hex(), source["block"], source["start"], source["stop"])
                for source in record["sources"]
            ),
            replaces=tuple(other.hex() for other in record["replaces"] or ()),
            frames=record.get("frames"),
        )


def _prefixes(ids: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return the first eight bytes of each id as a number that sorts like it."""
    return np.array([int.from_bytes(value[:8]) for value in ids], dtype=np.uint64)

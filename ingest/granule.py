"""Writing one granule: a Zarr v3 group, its root put last."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archive.codec import Codec, codec_for
from archive.errors import DamagedData
from archive.index import layout
from archive.index.commits import Source
from archive.index.dataset import Dataset
from archive.index.rows import ArrayRef, Row, SourceRange, row_id
from archive.index.sealed import sign, signed
from archive.shard import array_metadata, encode_shard, group_metadata

if TYPE_CHECKING:
    from collections.abc import Buffer, Callable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from archive.coords import TimeAxis
    from archive.model import Scalar
    from archive.store import Store

__all__ = [
    "GranuleContent",
    "GranuleRecord",
    "GranuleWriter",
    "coord_arrays",
    "object_keys",
    "root_attributes",
    "root_key",
    "write_granule",
]

_CF_TIME = {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian", "standard_name": "time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GranuleContent:
    """What goes into a granule.

    Parameters
    ----------
    samples
        Time first, shape of the dataset's channels behind.
    time
        Exact stamps.
    recorded
        Stamps as the file has them (ns) where they stray from the line, by the coordinate's name.
    sources
        Which source samples these are.
    attrs
        Attributes that differ from the dataset's.
    headers
        Every header value of the sources, verbatim, by their SHA-256; numbers that are not finite are stored as
        the texts "NaN", "Infinity" and "-Infinity", since JSON has none.
    files
        The sources whole, as the ledger has them: from these it is rebuilt.
    replaces
        Ids of the rows that this one stands for.
    instead
        Keys of the granules that this one stands for: they may be gone, and their commits are whole all the same.
    supersedes
        Contents (SHA-256) of sources whose rows go when this one comes.
    left_out
        What is recorded of granules that it replaces and whose samples others serve.
    """

    samples: NDArray[Any]
    time: TimeAxis
    sources: tuple[SourceRange, ...]
    recorded: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    attrs: Mapping[str, Scalar] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Source, ...] = ()
    replaces: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    supersedes: tuple[str, ...] = ()
    left_out: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GranuleRecord:
    """What a granule's root tells of it: enough to rebuild the index and the ledger, and to find any damage.

    Parameters
    ----------
    dataset, row
        As they were when it was written; the row knows no ETags.
    commit
        Keys of all granules of its commit, in order.
    instead, supersedes
        Keys of the granules that it stands for, and contents (SHA-256) whose rows went when it came.
    files
        Its sources; their row ids are left out.
    objects
        Size and SHA-256 (hex) of each of its objects but the root, by key.
    headers
        Header values of the sources.
    """

    dataset: Dataset
    row: Row
    commit: tuple[str, ...]
    instead: tuple[str, ...]
    supersedes: tuple[str, ...]
    files: tuple[Source, ...]
    objects: Mapping[str, tuple[int, str]]
    headers: Mapping[str, Any]

    @classmethod
    def decode(cls, key: str, data: Buffer) -> GranuleRecord:
        """Return what the root of the granule `key` holds.

        Raises
        ------
        DamagedData
            The bytes were altered, or are another granule's.
        """
        name = root_key(key)
        attributes = signed(name, data)["attributes"]
        held = attributes["lightkeep"]
        if held["row"]["key"] != key:
            raise DamagedData(f"{name}: the root of the granule {held['row']['key']} lies in its place")
        return cls(
            dataset=Dataset.from_json(held["dataset"]),
            row=Row.from_json(held["row"]),
            commit=tuple(held["commit"]),
            instead=tuple(held["instead"]),
            supersedes=tuple(held.get("supersedes", ())),
            files=tuple(Source.from_json(source) for source in held["files"]),
            objects={f"{key}/{place}": (size, sha256) for place, (size, sha256) in held["objects"].items()},
            headers=attributes["headers"],
        )


def root_key(key: str) -> str:
    """Return the key of the root of a granule: the object that is put last."""
    return f"{key}/zarr.json"


def coord_arrays(dataset: Dataset) -> dict[str, int]:
    """Return the names of the coordinates that each granule of a dataset holds, and how many dims each has."""
    arrays = {name: coord.to_numpy() for name, coord in dataset.coords.items()}
    return {name: values.ndim for name, values in arrays.items() if values.dtype.kind in "iuf"}


def object_keys(row: Row, coords: Mapping[str, int]) -> list[str]:
    """Return the keys of all objects of a granule, given the coordinates that it holds."""
    arrays = [f"{row.key}/{name}/c/{'/'.join('0' * count)}" for name, count in {"time": 1, **coords}.items()]
    stored = [row.data.key, *arrays, *(extra.key for extra in row.extras.values())]
    names = ["data", "time", *coords, *row.extras]
    return [*stored, *(f"{row.key}/{name}/zarr.json" for name in names), root_key(row.key)]


def write_granule(
    store: Store,
    dataset: Dataset,
    content: GranuleContent,
    *,
    key: str | None = None,
    batch: Sequence[str] = (),
    mapped: Callable[[Callable[..., bytes], Iterable[Any]], Iterable[bytes]] = map,
) -> Row:
    """Put a granule's objects, and return the row that a commit makes it visible with.

    Parameters
    ----------
    key
        Where it goes; a new key without.
    batch
        Keys of all granules of the commit that it will be part of: recorded in it, so that the index can
        be rebuilt from granules alone.
    mapped
        A `map` that may encode in threads.
    """
    key = key or layout.new_granule_key(dataset.name, content.time.first)
    writer = GranuleWriter(store, key)
    units = {**dataset.attrs, **content.attrs, **dataset.given}.get("data_units")
    attributes: dict[str, Any] = {} if units is None else {"units": units}
    if content.recorded:
        attributes["coordinates"] = " ".join(content.recorded)
    chunks = (min(dataset.chunks[0], content.samples.shape[0]), *dataset.chunks[1:])
    data = writer.put(
        "data",
        content.samples,
        dataset.dims,
        attributes,
        chunks=chunks,
        codec=codec_for(dataset.codec, content.samples.dtype),
        mapped=mapped,
    )
    writer.put_whole("time", content.time.to_ns(), ("time",), _CF_TIME)
    extras = {
        name: writer.put_whole(name, stamps, ("time",), {**_CF_TIME, "long_name": "time as recorded"})
        for name, stamps in content.recorded.items()
    }
    for name, coord in dataset.coords.items():
        values = coord.to_numpy()
        if values.dtype.kind in "iuf":
            writer.put_whole(name, values, coord.dims, {} if coord.units is None else {"units": coord.units})
    row = Row(
        id=row_id(dataset.name, dataset.incarnation, content.sources),
        dataset=dataset.name,
        incarnation=dataset.incarnation,
        key=key,
        time=content.time,
        data=data,
        attrs=content.attrs,
        extras=extras,
        sources=content.sources,
        replaces=content.replaces,
    )
    etags = writer.finish(root_attributes(row, dataset, content, batch or [key]))
    return replace(
        row,
        data=replace(data, etag=etags[data.key]),
        extras={name: replace(extra, etag=etags[extra.key]) for name, extra in extras.items()},
    )


def root_attributes(row: Row, dataset: Dataset, content: GranuleContent, batch: Sequence[str]) -> dict[str, Any]:
    """Return what a granule tells of itself: enough to rebuild its row without the index."""
    attrs = {**dataset.attrs, **content.attrs, **dataset.given}
    return {
        "lightkeep": {  # first, so that nothing named `sealed` can stand before this one
            "sealed": "0" * 64,
            "format": layout.FORMAT_VERSION,
            "dataset": dataset.to_json(),
            "row": row.to_json(),
            "commit": list(batch),
            "instead": list(content.instead),
            **({"supersedes": list(content.supersedes)} if content.supersedes else {}),
            **({"left_out": list(content.left_out)} if content.left_out else {}),
            "files": [replace(source, rows=()).to_json() for source in content.files],
            "objects": {},
        },
        **{name: value for name, value in attrs.items() if value is not None and name not in {"lightkeep", "headers"}},
        "headers": dict(content.headers),
    }


class GranuleWriter:
    """Puts the arrays of one granule, and remembers their metadata for the root."""

    def __init__(self, store: Store, key: str) -> None:
        self._store, self._key = store, key
        self._metadata: dict[str, dict[str, Any]] = {}
        self._objects: list[tuple[str, bytes]] = []
        self._sums: dict[str, tuple[int, str]] = {}  # size and SHA-256 by place in the granule

    def put_whole(
        self, name: str, values: NDArray[Any], dims: Sequence[str], attributes: Mapping[str, Any]
    ) -> ArrayRef:
        """Add a small array as one chunk that every Zarr reader decodes."""
        return self.put(name, values, dims, attributes, chunks=values.shape, codec=codec_for("portable", values.dtype))

    def put(
        self,
        name: str,
        values: NDArray[Any],
        dims: Sequence[str],
        attributes: Mapping[str, Any],
        *,
        chunks: Sequence[int],
        codec: Codec,
        mapped: Any = None,
        order: tuple[int, ...] | None = None,
    ) -> ArrayRef:
        """Add an array, sharded where a `map` is given (its chunks in an order), and return where it will lie."""
        sharded = mapped is not None
        body, lengths = encode_shard(values, chunks, codec, mapped, order) if sharded else (codec.encode(values), [])
        key, sha256 = self._add(f"{name}/c/{'/'.join('0' * values.ndim)}", body)
        self._metadata[name] = array_metadata(
            shape=values.shape,
            dtype=values.dtype,
            dims=dims,
            codec=codec,
            chunks=chunks,
            sharded=sharded,
            attributes=attributes,
        )
        return ArrayRef(
            key=key,
            size=len(body),
            etag=None,
            sha256=sha256,
            shape=tuple(values.shape),
            dtype=values.dtype.name,
            chunks=tuple(chunks),
            codec=codec.name,
            lengths=tuple(lengths) or (len(body),),
            order=order,
        )

    def finish(self, attributes: dict[str, Any]) -> dict[str, str]:
        """Put everything, the root last with the checksums of all else, and return the etag of each object."""
        for name, held in self._metadata.items():
            self._add(f"{name}/zarr.json", _json(held))
        attributes["lightkeep"]["objects"] = self._sums
        etags = self._store.create_many(self._objects)
        self._store.create(root_key(self._key), sign(_json(group_metadata(attributes, self._metadata))))
        return {key: etag for (key, _), etag in zip(self._objects, etags, strict=True)}

    def _add(self, place: str, body: bytes) -> tuple[str, str]:
        """Keep an object until the end, and return its key and SHA-256."""
        key, sha256 = f"{self._key}/{place}", hashlib.sha256(body).hexdigest()
        self._objects.append((key, body))
        self._sums[place] = (len(body), sha256)
        return key, sha256


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(_strict(document), ensure_ascii=False, allow_nan=False).encode()


def _strict(value: Any) -> Any:
    """Return a value as JSON can say it: a number that is not finite becomes a text.

    References
    ----------
    Zarr v3 core specification, fill values of floats: "NaN", "Infinity" and "-Infinity".
    """
    if isinstance(value, Mapping):
        return {name: _strict(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value

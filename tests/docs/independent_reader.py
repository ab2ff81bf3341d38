"""A reader of archives in a folder that was written from docs/format.md: it knows nothing of Lightkeep's own code."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import math
import zlib
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numcodecs.blosc import Blosc
from numcodecs.checksum32 import CRC32C
from numcodecs.pcodec import PCodec


def sealed(root: Path, key: str, name: str | None = None) -> dict[str, Any]:
    data = (root / key).read_bytes()
    assert hashlib.sha256(data[:-32]).digest() == data[-32:], key
    document: dict[str, Any] = json.loads(zlib.decompress(data[:-32]))
    assert document["object"] == (name or key)
    return document


def signed(root: Path, key: str) -> dict[str, Any]:
    data = (root / key).read_bytes()
    start = data.index(b'"sealed": "') + 11
    blank = data[:start] + b"0" * 64 + data[start + 64 :]
    assert hashlib.sha256(blank).hexdigest().encode() == data[start : start + 64], key
    document: dict[str, Any] = json.loads(data)
    return document


def stamps_of(columns: list[list[int]]) -> list[int]:
    found = []
    for origin, num, den, phase, size in zip(*columns, strict=True):
        numbers = range(phase, phase + size)
        found += [origin + n // den * num + (n % den * num + den // 2) // den for n in numbers]
    return found


def coordinate(held: dict[str, Any]) -> Any:
    values = held["values"]
    if "start" in values:
        numbers = values["offset"] + np.arange(values["size"]) * values["stride"]
        return values["start"] + numbers * values["step"]
    if "time" in values:
        return np.array(stamps_of(values["time"]))
    if "texts" in values:
        return np.array(values["texts"])
    body = zlib.decompress(base64.b85decode(values["array"]))
    return np.frombuffer(body, np.dtype(values["dtype"]).newbyteorder("<"))


def read_array(root: Path, held: dict[str, Any]) -> Any:
    """Read the array that a reference names."""
    data = (root / held["key"]).read_bytes()
    assert len(data) == held["size"]
    assert hashlib.sha256(data).hexdigest() == held["sha256"]
    shape, chunks = held["shape"], held["chunks"]
    grid = [-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True)]
    numbers = np.arange(math.prod(grid)).reshape(grid)
    stored = numbers.transpose(held["order"]).ravel() if held.get("order") else numbers.ravel()
    starts, at = {}, 0
    for number in stored.tolist():
        starts[number] = at
        at += held["lengths"][number]
    out = np.empty(shape, held["dtype"])
    decoder = PCodec() if held["codec"] == "pcodec" else Blosc()
    for number, corner in enumerate(product(*map(range, grid))):
        part = CRC32C(location="end").decode(data[starts[number] : starts[number] + held["lengths"][number]])
        body = np.asarray(decoder.decode(bytes(part)))
        chunk = np.frombuffer(body.tobytes(), np.dtype(held["dtype"]).newbyteorder("<")).reshape(chunks)
        window = tuple(
            slice(k * size, min((k + 1) * size, length)) for k, size, length in zip(corner, chunks, shape, strict=True)
        )
        out[window] = chunk[tuple(slice(part.stop - part.start) for part in window)]
    return out


def rows_of_leaf(root: Path, held: dict[str, Any], dataset: dict[str, Any]) -> list[dict[str, Any]]:
    data = (root / held["key"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == held["sha256"]
    assert hashlib.sha256(data[held["narrow"] :]).hexdigest()[:16] == held["narrow_sha256"]
    widths = [len(coordinate(dataset["coords"][dim])) for dim in dataset["dims"][1:] if dim in dataset["coords"]]
    rows = []
    for line in pq.read_table(io.BytesIO(data), partitioning=None).to_pylist():
        form = json.loads(line["form"]) if line["form"] else {}
        columns = json.loads(line["pieces"]) if line["pieces"] else None
        rows.append(
            {
                "id": line["id"].hex(),
                "key": line["key"],
                "incarnation": line["incarnation"],
                "time": columns or [[line[name]] for name in ("origin", "num", "den", "phase", "size")],
                "attrs": json.loads(line["attrs"] or "{}"),
                "extras": json.loads(line["extras"] or "{}"),
                "sources": [[s["sha256"].hex(), s["block"], s["start"], s["stop"]] for s in line["sources"]],
                "replaces": [other.hex() for other in line["replaces"] or ()],
                "frames": line["frames"],
                "data": {
                    "key": line["data_key"],
                    "size": line["data_size"],
                    "sha256": line["data_sha256"].hex(),
                    "shape": form.get("shape") or [line["size"], *widths],
                    "dtype": form.get("dtype") or dataset["dtype"],
                    "chunks": form.get("chunks") or [line["chunk_frames"], *dataset["chunks"][1:]],
                    "codec": line["codec"],
                    "lengths": line["lengths"],
                    "order": form.get("order"),
                },
            }
        )
    assert [row["id"] for row in rows] == [
        row["id"] for row in sorted(rows, key=lambda row: (stamps_of(row["time"])[0], row["id"]))
    ]
    return rows


class Reader:
    """One archive in a folder, as it is now."""

    def __init__(self, root: Path) -> None:
        self.root = root
        assert signed(root, "lightkeep.json")["format"] == 1
        self.current = sealed(root, "index/CURRENT")
        assert self.current["format"] == 1
        commits = root / "commits"
        keys = sorted(path.name for path in commits.iterdir()) if commits.is_dir() else []
        self.commits = [sealed(root, f"commits/{key}") for key in keys]

    def datasets(self) -> dict[str, dict[str, Any]]:
        alive = self.current["incarnations"]
        young = {
            held["name"]: held
            for commit in self.commits
            for held in commit["datasets"]
            if held["incarnation"] >= alive.get(held["name"], 1)
        }
        return {**young, **{held["name"]: held for held in self.current["datasets"]}}

    def rows(self, name: str) -> list[dict[str, Any]]:
        columns = self.current["leaves"]
        leaves = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        found = [
            row
            for leaf in leaves
            if leaf["dataset"] == name
            for row in rows_of_leaf(self.root, leaf, self.datasets()[name])
        ]
        known = {one for row in found for one in (row["id"], *row["replaces"])}
        removed = {digits for _, ids in self.current["removed"] for digits in ids}
        for row in (row for commit in self.commits for row in commit["rows"] if row["dataset"] == name):
            first_life = self.current["incarnations"].get(name, 1)
            if row["incarnation"] >= first_life and row["id"][:16] not in removed and row["id"] not in known:
                known.add(row["id"])
                found.append(row)
        for row in found:
            text = json.dumps([name, row["incarnation"], sorted(row["sources"])], separators=(",", ":"))
            assert row["id"] == hashlib.sha256(text.encode()).hexdigest()
        return found

    def runs(self, name: str) -> list[tuple[Any, Any]]:
        """Return stamps and samples of each run of a dataset."""
        step = Fraction(*self.datasets()[name]["step"])
        half, reach = math.floor(step / 2), math.ceil(step * 3 / 2)
        runs: list[tuple[list[Any], list[Any]]] = []
        cursor: int | None = None
        for row in sorted(self.rows(name), key=lambda row: (stamps_of(row["time"])[0], row["id"])):
            stamps = np.array(stamps_of(row["time"]))
            kept = np.ones(len(stamps), bool) if cursor is None else stamps > cursor + half
            if not kept.any():
                continue
            if cursor is None or int(stamps[kept][0]) > cursor + reach:
                runs.append(([], []))
            runs[-1][0].append(stamps[kept])
            runs[-1][1].append(read_array(self.root, row["data"])[kept])
            cursor = int(stamps[-1])
        return [(np.concatenate(stamps), np.concatenate(samples)) for stamps, samples in runs]

    def frames(self, name: str) -> dict[str, Any]:
        """Return the pixels of each frame of a dataset by the name of its file."""
        found = {}
        for row in self.rows(name):
            table = json.loads(zlib.decompress(base64.b85decode(row["frames"])))
            if table["kind"] != "frames":
                continue
            stored = read_array(self.root, row["data"])
            extras = {key: read_array(self.root, held) for key, held in row["extras"].items()}
            for number, file in enumerate(table["files"]):
                found[file] = _values(stored[number], number, table, extras).reshape(table["image"])
        return found

    def heads(self, name: str) -> dict[str, bytes]:
        """Return what stands before the data of each frame's file."""
        found = {}
        for row in self.rows(name):
            table = json.loads(zlib.decompress(base64.b85decode(row["frames"])))
            if table["kind"] != "frames":
                continue
            heads = read_array(self.root, row["extras"]["heads"]).tobytes()
            bounds = read_array(self.root, row["extras"]["bounds"])
            for number, file in enumerate(table["files"]):
                start, size = bounds[number][2:4].tolist()
                found[file] = _patched(heads[: table["template"]], heads[start : start + size])
        return found


def _patched(template: bytes, difference: bytes) -> bytes:
    assert difference[0] == 1
    numbers_at, out, done = 1, b"", 0
    while numbers_at < len(difference):
        numbers = []
        for _ in range(3):
            value = shift = 0
            while True:
                byte = difference[numbers_at]
                numbers_at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            numbers.append(value)
        kept, dropped, put = numbers
        out += template[done : done + kept] + difference[numbers_at : numbers_at + put]
        done += kept + dropped
        numbers_at += put
    return out + template[done:]


_TYPES = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}


def _randoms() -> Any:
    x, numbers = 1, []
    for _ in range(10_000):
        x = x * 16807 % 2147483647
        numbers.append(x / 2147483647)
    return np.array(numbers, np.float32)


_R = _randoms()


def _noise(tile: int, seed: int, size: int) -> Any:
    i, out = (tile + seed - 1) % 10_000, np.empty(0, np.float32)
    while out.size < size:
        out = np.concatenate([out, _R[math.floor(_R[i] * np.float32(500)) :]])
        i = (i + 1) % 10_000
    return out[:size]


def _values(stored: Any, number: int, table: dict[str, Any], extras: dict[str, Any]) -> Any:
    scaling, tiling = table["scaling"], table["tiling"]
    if "scales" not in extras:
        plain = scaling["scale"] == 1 and scaling["zero"] == 0 and scaling["blank"] is None
        return stored if plain else stored * scaling["scale"] + scaling["zero"]
    steps = [step for step, length in zip(tiling["shape"], table["image"], strict=True) if length != 1]
    counts = [-(-length // step) for length, step in zip(stored.shape, steps, strict=True)]
    out = np.empty(stored.shape, _TYPES[scaling["bitpix"]])
    exact = {one["tile"]: one for one in _kept(table) if one["frame"] == number and one["kind"]}
    for tile, corner in enumerate(product(*map(range, counts))):
        window = tuple(slice(k * step, (k + 1) * step) for k, step in zip(corner, steps, strict=True))
        q = stored[window]
        if tile in exact:
            one = exact[tile]
            body = extras["kept"][one["start"] : one["start"] + one["size"]].tobytes()
            body = gzip.decompress(body) if one["kind"] == "gzip" else body
            out[window] = np.frombuffer(body, out.dtype.newbyteorder(">")).reshape(q.shape)
            continue
        scale, zero = extras["scales"][(number, *corner)]
        if tiling["dither"] == "NO_DITHER":
            out[window] = q * scale + zero
        else:
            r = _noise(tile, table["seeds"][number], q.size).reshape(q.shape)
            out[window] = (q.astype("f8") - r + 0.5) * scale + zero
            if tiling["dither"] == "SUBTRACTIVE_DITHER_2":
                out[window][q == -2147483646] = 0
        blank = extras["blanks"][(number, *corner)] if "blanks" in extras else tiling["blank"]
        if blank is not None:
            out[window][q == blank] = np.nan
    return out


def _kept(table: dict[str, Any]) -> list[dict[str, Any]]:
    names = ("frame", "tile", "start", "size", "kind")
    return [dict(zip(names, values, strict=True)) for values in zip(*table["kept"], strict=True)]

"""Who may do what, what is never told, and what names and files cannot reach."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import json
import logging
import os
import pickle
import resource
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import archive as lk
from archive.errors import AccessDenied, InvalidInput, LightkeepError, NotFound, StoreTrouble
from archive.index import layout
from archive.index.commits import Commit
from archive.store import Store, open_store
from archive.times import time_to_ns
from ingest.collect import collect
from ingest.compact import compact
from ingest.fold import fold
from ingest.formats import format_named, open_format
from ingest.initialise import initialise
from ingest.plan import Settings
from ingest.remove import remove
from ingest.run import adopt, ingest, plan_ingest
from ingest.server import LocalS3, serve_s3
from ingest.sources import Found, SourceOptions, scan
from ingest.synthetic.vendor import Header, write_prodml, write_tdms
from ingest.tags import tag
from ingest.task import Task, TaskSource

START = time_to_ns("2016-03-14T08:00:00")
USERS = ("writer", "reader")


def samples(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(-99, 99, (200, 5)).astype(np.int16)


def raw(path: Path, number: int = 0, **said: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    return write_prodml(path, samples(number), Header(start=START + number * 200 * 10**6, **said))


# -- who may do what --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def users() -> dict[str, tuple[str, str]]:
    """Key and secret of each user, such as cannot be anywhere by chance."""
    return {name: (f"LK{secrets.token_hex(9)}", secrets.token_hex(20)) for name in USERS}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, users: dict[str, tuple[str, str]]) -> Iterator[LocalS3]:
    """A server with a user who writes, one who only reads, and one prefix that everybody reads."""
    folder = tmp_path_factory.mktemp("guarded")
    actions = {"writer": ["Admin"], "reader": ["Read:archive", "List:archive"]}
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": users[name][0], "secretKey": users[name][1]}],
            "actions": actions[name],
        }
        for name in USERS
    ]
    identities.append({"name": "anonymous", "actions": ["Read:archive/public/*", "List:archive/public/*"]})
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    with ExitStack() as stack:
        with (Path(tempfile.gettempdir()) / "lightkeep-test-ports.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server = stack.enter_context(serve_s3(folder, folder / "identities.json"))
        yield server


@pytest.fixture
def options(guarded: LocalS3, users: dict[str, tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Storage options of each user, and of nobody."""
    place = {"endpoint_url": guarded.endpoint, "max_retries": 1}
    known = {name: {**place, "key": users[name][0], "secret": users[name][1]} for name in USERS}
    return {**known, "nobody": {**place, "anonymous": True}}


def filled(url: str, options: dict[str, Any], folder: Path) -> Store:
    """Return the store of an archive with folded rows, a young commit, a refused file and a tag."""
    store = open_store(url, storage_options=options)
    initialise(store)
    (folder / "raw").mkdir()
    (folder / "raw" / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    for number in range(2):
        ingest(store, [str(raw(folder / "raw" / f"{number}.h5", number)), str(folder / "raw" / "bad.h5")])
    tag(store, "release")
    (young,) = commits_of(store, raw(folder / "raw" / "2.h5", 2))
    store.create(young.key, young.encode())
    return store


def commits_of(store: Store, *paths: Path) -> list[Commit]:
    """Return the commit that an ingest of files would make, the granules being there."""
    from ingest.task import run_task

    plan, view, _ = plan_ingest(store, [str(path) for path in paths], Settings())
    datasets = {name: adopt(store, view, held) for name, held in plan.datasets.items()}
    made = []
    for group in plan.groups:
        result = run_task(Task(store=store, sources=group, datasets=datasets))
        made.append(
            Commit(key=layout.new_commit_key(1), created=1, rows=result.rows, sources=result.sources, datasets=datasets)
        )
    return made


def state(store: Store) -> dict[str, str]:
    return {entry.key: hashlib.sha256(store.get(entry.key).data).hexdigest() for entry in store.entries("")}


def reads_everything(url: str, options: dict[str, Any]) -> None:
    spool = lk.open(url, storage_options=options)
    whole = np.concatenate([samples(number) for number in range(3)])
    (patch,) = spool
    assert np.array_equal(patch.data, whole)
    assert np.array_equal(np.concatenate([one.data for one in spool.chunk(time=0.1)]), whole)
    assert np.array_equal(spool.select(distance=(1, 2), samples=False)[0].data, patch.select(distance=(1, 2)).data)
    assert spool.explain().requests > 0
    assert np.array_equal(np.asarray(spool.to_xarray()), whole)
    assert np.array_equal(lk.open(url, as_of="release", storage_options=options)[0].data, whole[:400])
    assert open_store(url, storage_options=options).entries(layout.DATA)


def attempts(url: str, options: dict[str, Any], folder: Path) -> dict[str, Callable[[], Any]]:
    """Return everything that writes."""
    store = open_store(url, storage_options=options)
    (name,) = lk.open(url, storage_options=options).datasets
    current = store.get(layout.CURRENT)
    return {
        "init beside": lambda: initialise(open_store(f"{url}-beside", storage_options=options)),
        "ingest": lambda: ingest(store, [str(raw(folder / "raw" / "new.h5", 7))]),
        "refuse": lambda: ingest(store, [str(refused(folder))]),
        "fold": lambda: fold(store),
        "compact": lambda: compact(store),
        "gc": lambda: collect(store, timedelta(0)),
        "tag": lambda: tag(store, "mine"),
        "rm": lambda: remove(store, name),
        "create": lambda: store.create("mine", b"1"),
        "swap": lambda: store.swap(layout.CURRENT, bytes(current.data) + b" ", current.etag),
        "delete": lambda: store.delete([layout.ROOT]),
        "delete many": lambda: store.delete([entry.key for entry in store.entries(layout.DATA)]),
    }


def refused(folder: Path) -> Path:
    path = folder / "raw" / "worse.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n and less")
    return path


@pytest.mark.parametrize("who", ["reader", "nobody"])
def test_who_may_only_read_reads_everything_and_writes_nothing(
    options: dict[str, dict[str, Any]], tmp_path: Path, who: str
) -> None:
    """`nobody` asks without credentials, for an archive below the prefix that everybody may read."""
    url = f"s3://archive/public/{secrets.token_hex(6)}"
    store = filled(url, options["writer"], tmp_path)
    before = state(store)
    reads_everything(url, options[who])
    for name, attempt in attempts(url, options[who], tmp_path).items():
        with pytest.raises(AccessDenied, match=r"refuses to (write|delete)") as caught:
            attempt()
        assert "credentials" in str(caught.value), name
        assert "\n" not in str(caught.value), name
    assert state(store) == before
    reads_everything(url, options[who])


def test_nobody_sees_anything_beside_the_public_prefix(options: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    for place in ("private", "publicity"):
        url = f"s3://archive/{place}/{secrets.token_hex(6)}"
        store = open_store(url, storage_options=options["writer"])
        initialise(store)
        with pytest.raises(AccessDenied, match="not public"):
            lk.open(url, storage_options=options["nobody"])
        outside = open_store(url, storage_options=options["nobody"])
        with pytest.raises(AccessDenied):
            outside.get(layout.ROOT)
        with pytest.raises(AccessDenied):
            outside.entries("")


# -- what is never told -----------------------------------------------------------------------------


def told(text: str | bytes, hidden: list[str]) -> list[str]:
    """Return which secrets a text holds, as they are, in base 64 or in hex."""
    body = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    return [
        word
        for word in hidden
        if any(
            form in body for form in (word.encode(), base64.b64encode(word.encode())[:-4], word.encode().hex().encode())
        )
    ]


def contents(store: Store) -> Iterator[tuple[str, bytes]]:
    """Yield every object of an archive, Parquet also as the values that it holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for entry in store.entries(""):
        body = bytes(store.get(entry.key).data)
        yield entry.key, entry.key.encode() + body
        if entry.key.endswith(".parquet"):
            yield entry.key, str(pq.read_table(pa.BufferReader(body)).to_pylist()).encode()


def test_credentials_are_nowhere_but_in_requests(
    options: dict[str, dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A whole life of an archive, its raw files in the bucket too, with every logger talking."""
    caplog.set_level(logging.DEBUG)
    mine = options["writer"]
    hidden = [mine["secret"], mine["key"]]
    url = f"s3://archive/{secrets.token_hex(6)}"
    landing = open_store(f"{url}-landing", storage_options=mine)
    for number in range(2):
        landing.create(f"{number}.h5", raw(tmp_path / "raw" / f"{number}.h5", number).read_bytes())
    landing.create("bad.h5", b"\x89HDF\r\n\x1a\n and no more")
    store = open_store(url, storage_options=mine)
    initialise(store)
    source = {"key": mine["key"], "secret": mine["secret"], "client_kwargs": {"endpoint_url": mine["endpoint_url"]}}
    settings = Settings(options=source)
    report = ingest(store, [f"{url}-landing"], settings, jobs=2)
    assert (report.sources, len(report.refusals)) == (2, 1)
    compact(store)
    tag(store, "release")
    spool = lk.open(url, storage_options=mine)
    plan, view, ledger = plan_ingest(store, [f"{url}-landing"], settings)
    patch = spool[0]
    assert patch.data.shape == (400, 5)
    shown = [store, store._recipe, spool, patch, patch.attrs, settings, report, plan, view, ledger, spool.explain()]
    for thing in shown:
        assert not told(f"{thing!r} {thing}", hidden), type(thing)
    assert not told(json.dumps(report.to_json(), default=str) + spool._repr_html_(), hidden)
    for key, body in contents(store):
        assert not told(body, hidden), key
    # What boto says of itself at DEBUG is its own: the signature's ingredients hold the key's id, never the secret.
    assert not told("\n".join(record.getMessage() for record in caplog.records), hidden[:1])
    assert any(record.name.startswith("botocore") for record in caplog.records)  # the loggers did talk
    assert told(str(mine), hidden) == hidden  # and what is looked for would be found
    ours = [
        record.getMessage()
        for record in caplog.records
        if record.name.split(".")[0] in {"archive", "ingest", "obstore"}
    ]
    assert not told("\n".join(ours), hidden)
    assert not told("".join(capfd.readouterr()), hidden)


def test_credentials_are_in_no_pickle(options: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    mine = {**options["writer"], "token": secrets.token_hex(8)}
    hidden = [mine["secret"], mine["key"], mine["token"]]
    url = f"s3://archive/public/{secrets.token_hex(6)}"
    store = filled(url, options["writer"], tmp_path)
    given = open_store(url, storage_options=mine)
    source = {
        "key": mine["key"],
        "secret": mine["secret"],
        "token": mine["token"],
        "password": mine["secret"],
        "anon": False,
        "client_kwargs": {"endpoint_url": mine["endpoint_url"], "aws_secret_access_key": mine["secret"]},
    }
    found = Found(url="s3://landing/a.h5", size=1, stamp="1")
    task = Task(
        store=given,
        sources=(TaskSource(found=found, format="prodml", datasets=()),),
        datasets={},
        options=SourceOptions(source),
    )
    spool = lk.open(url, storage_options=options["writer"])
    for thing in (given, task, spool, spool[0], spool.select(distance=(1, 2)), store):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert not told(pickle.dumps(thing, protocol), hidden), type(thing)
        assert not told(repr(thing), hidden)
    copy = pickle.loads(pickle.dumps(task)).options
    assert dict(copy) == {"anon": False, "client_kwargs": {"endpoint_url": mine["endpoint_url"]}}
    assert (task.options.travels, copy.travels) == (False, True)
    assert dict(task.options) == source


def test_errors_tell_no_credentials(options: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    mine, word = options["writer"], secrets.token_hex(12)
    url = f"s3://archive/{secrets.token_hex(6)}"
    wrong: list[tuple[str, dict[str, Any]]] = [
        (url, {**mine, "secret": word}),
        (url, {**mine, "key": word}),
        (url, {**mine, "token": word}),
        (url, {**mine, "endpoint_url": f"http://user:{word}@127.0.0.1:9"}),
        (url, {**mine, "endpoint_url": f"http://127.0.0.1:9/?sig={word}"}),
        (url, {**mine, "endpoint_url": f"not a url {word}", "secret": word}),
        (url, {**mine, "secret": word, "access_key_id": word}),
        (url, {**mine, "secret": word, "colour": word}),
        (url, {"secret": word, "endpoint_url": mine["endpoint_url"]}),
        (f"s3://user:{word}@bucket/x", {}),
        (f"s3://bucket/x?X-Amz-Signature={word}", {}),
    ]
    for place, given in wrong:
        with pytest.raises(LightkeepError) as caught:
            open_store(place, storage_options=given).get(layout.CURRENT)
        errors: list[BaseException | None] = [caught.value]
        assert not told(str(caught.value), [word, mine["secret"]]), (place, given)
        assert not told(repr(errors), [word, mine["secret"]])


@pytest.mark.parametrize(
    "place",
    [
        "s3://key:{}@landing/a.h5",
        "ftp://user:{}@host/a.h5",
        "https://host/a.h5?X-Amz-Signature={}",
        "https://host/a.h5?x=1&sig={}",
        "simplecache::https://user:{}@host/a.h5",
    ],
)
def test_a_source_whose_url_holds_a_secret_is_refused_and_not_repeated(place: str) -> None:
    word = secrets.token_hex(12)
    with pytest.raises(InvalidInput, match="holds a password or a signature") as caught:
        scan([place.format(word)])
    assert word not in str(caught.value)


def test_the_command_repeats_no_credentials(options: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    word = secrets.token_hex(12)
    place = f"endpoint_url={options['writer']['endpoint_url']}"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": f"id{word}", "AWS_SECRET_ACCESS_KEY": word, "RUST_LOG": "trace"}
    for arguments in (
        ["ls", "s3://archive/x", "-o", place],
        ["ls", "s3://archive/x", "-o", place, "-o", f"secret:{word}"],
        ["init", "s3://archive/x", "-o", place, "-o", f"key={word}", "-o", f"secret={word}", "--json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ingest", *arguments], capture_output=True, env=environment, timeout=60, check=False
        )
        assert done.returncode in (2, 3)
        assert not told(done.stdout + done.stderr, [word])
        assert b"Traceback" not in done.stderr


# -- what names cannot reach ------------------------------------------------------------------------

ESCAPES = [
    "..",
    "../up",
    "a/../../up",
    "/etc/passwd",
    "//etc/passwd",
    "a//b",
    "./a",
    "a/.",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "\ud800",
    "",
]
TRICKS = [
    "%2e%2e/up",
    "..%2fup",
    "%2e%2e%2fup",
    "..\\up",
    "a%00b",
    "%252e%252e%252fup",
    "\uff0e\uff0e/up",  # fullwidth full stops
    "\u2025/up",  # two dot leader
    "..\u2215up",  # division slash
    "..\u200b/up",  # zero-width space
    "\u202e/up",  # right-to-left override
    "C:/up",
]


@pytest.mark.parametrize("name", [*ESCAPES, *TRICKS, "a/b", ".hidden", "a..b", "-a", "é", "a" * 129, "a b"])
def test_no_dataset_has_a_name_that_is_more_than_a_name(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a dataset"):
        layout.check_dataset_name(name)
    with pytest.raises(InvalidInput, match="cannot name a dataset"):
        layout.dataset_key(name)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_no_key_leads_out_of_the_store(
    kind: str, options: dict[str, dict[str, Any]], tmp_path: Path, guarded: LocalS3
) -> None:
    """What is refused is refused before anything is asked; what is allowed is a plain name, whatever it looks like."""
    prefix = secrets.token_hex(6)
    url = str(tmp_path / prefix / "in") if kind == "folder" else f"s3://archive/{prefix}/in"
    given = {} if kind == "folder" else options["writer"]
    store = open_store(url, storage_options=given)
    around = open_store(url.removesuffix("/in"), storage_options=given)
    store.create("a", b"mine")
    around.create("up", b"theirs")
    for key in ESCAPES:
        for ask in (store.get, lambda key: store.create(key, b"x"), lambda key: store.delete([key])):
            with pytest.raises(InvalidInput, match="not a key"):
                ask(key)
    kept = []
    for key in TRICKS:
        with pytest.raises((NotFound, LightkeepError)) as caught:
            store.get(key)
        assert b"theirs" not in str(caught.value).encode()
        try:
            store.create(key, b"x")
        except LightkeepError:
            continue
        kept.append(key)
        assert bytes(store.get(key).data) == b"x"
    assert {entry.key for entry in around.entries("")} == {"up", "in/a", *(f"in/{key}" for key in kept)}
    assert bytes(around.get("up").data) == b"theirs"


@pytest.mark.parametrize("name", ["a..%2f..%2fup.h5", "\uff0e\uff0e\u2215up.h5", "a\nb.h5", "a;rm -rf.h5", "-o.h5"])
def test_the_name_of_a_file_reaches_no_key(name: str, tmp_path: Path) -> None:
    store = open_store(tmp_path / "archive")
    initialise(store)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / f"bad{name}").write_bytes(b"\x89HDF\r\n\x1a\n")
    report = ingest(store, [str(raw(tmp_path / "raw" / name).parent)])
    assert (report.sources, len(report.refusals)) == (1, 1)
    assert np.array_equal(lk.open(str(tmp_path / "archive"))[0].data, samples(0))
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "raw"}
    assert not [key for key in state(store) if "up" in key or "rm" in key or not key.isprintable()]


@pytest.mark.parametrize("said", ["../../up", "/etc", "%2e%2e%2f", "\uff0e\uff0e/up", "a\x01b", ".." * 60])
def test_what_a_header_says_reaches_no_key(said: str, tmp_path: Path) -> None:
    store = open_store(tmp_path / "archive")
    initialise(store)
    header = Header(start=START, instrument=said, acquisition=said)
    (tmp_path / "raw").mkdir()
    files = [write_tdms(tmp_path / "raw" / "a.tdms", samples(0), header), raw(tmp_path / "raw" / "b.h5", 1)]
    with h5py.File(files[1], "r+") as root:
        root["Acquisition"].attrs["AcquisitionId"] = said
    report = ingest(store, [str(tmp_path / "raw")])
    assert report.sources == 2
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "raw"}
    for name in report.datasets:
        assert layout.check_dataset_name(name) == name


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "data/../../secret", "data/%2e%2e/%2e%2e/../../secret"])
def test_an_archive_cannot_make_its_reader_open_other_files(key: str, tmp_path: Path) -> None:
    """A commit as a hostile writer could make it: whole, sealed, and with a key that leads away."""
    (tmp_path / "secret").write_bytes(b"x" * 4000)
    store = open_store(tmp_path / "archive")
    initialise(store)
    (commit,) = commits_of(store, raw(tmp_path / "raw" / "a.h5"))
    rows = tuple(replace(row, data=replace(row.data, key=key, etag=None)) for row in commit.rows)
    hostile = replace(commit, rows=rows)
    store.create(hostile.key, hostile.encode())
    with pytest.raises(LightkeepError) as caught:
        _ = lk.open(str(tmp_path / "archive"))[0].data
    assert key in str(caught.value) or repr(key) in str(caught.value)


# -- what raw files cannot reach: see also tests/formats/test_damage.py -----------------------------


def terra15(path: Path) -> Path:
    with h5py.File(path, "w") as root:
        root.attrs.update(acoustic_bandwidth_end=250.0, amplifier_incoming_current=105.0, file_version=6, dx=1.6)
        root.attrs.update(file_start_computer_time=1.7e9, data_product="velocity", data_product_units="m/s")
        root.attrs.update(
            gauge_length=4.9, pulse_length=2.45, pulse_rate=1e4, sensing_range_start=3.0, serial_number="x"
        )
        group = root.create_group("data_product")
        group["data"] = samples(0).astype("f4")
        group["gps_time"] = 1.7e9 + np.arange(200) * 0.002
    return path


def silixa(path: Path) -> Path:
    said = {
        "CPUTimeStamp": "22/09/2023 18:52:18.801 (UTC)",
        "GPSTimeStamp": "22/09/2023 18:29:26.158 (UTC)",
        "SamplingFrequency[Hz]": "500",
        "SpatialResolution[m]": "2",
        "StartPosition[m]": "242",
        "MeasureLength[m]": "10",
        "Fibre Length Multiplier": "1.0",
        "GaugeLength": "10",
        "PulseWidth[ns]": "50",
        "Start Distance (m)": "0.7",
        "Acoustic Output": "Differential",
        "SpatialResolution": "2",
        "Tags": "",
    }
    with h5py.File(path, "w") as root:
        root.create_dataset("Acoustic", data=samples(0)).attrs.update(said)
    return path


#: Each array that a reader opens, by how its file is made.
ARRAYS = {
    "prodml samples": (raw, "Acquisition/Raw[0]/RawData"),
    "prodml stamps": (raw, "Acquisition/Raw[0]/RawDataTime"),
    "terra15 samples": (terra15, "data_product/data"),
    "terra15 stamps": (terra15, "data_product/gps_time"),
    "silixa samples": (silixa, "Acoustic"),
}


def linked(group: Any, name: str, array: Any, other: Path) -> None:
    group[name] = h5py.ExternalLink(str(other), "/array")


def outside(group: Any, name: str, array: Any, other: Path) -> None:
    group.create_dataset(name, array.shape, array.dtype, external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def virtual(group: Any, name: str, array: Any, other: Path) -> None:
    made = h5py.VirtualLayout(array.shape, array.dtype)
    made[:] = h5py.VirtualSource(str(other), "array", array.shape)
    group.create_virtual_dataset(name, made)


def bomb(group: Any, name: str, array: Any, other: Path) -> None:
    """A terabyte of nothing, a few hundred bytes long."""
    size = 1 << (40 // array.ndim)
    group.create_dataset(
        name, (size,) * array.ndim, array.dtype, chunks=(1 << 12,) * array.ndim, compression="gzip", fillvalue=1
    )


@pytest.mark.parametrize("trick", [linked, outside, virtual, bomb])
@pytest.mark.parametrize("which", list(ARRAYS))
def test_no_array_of_a_raw_file_lies_elsewhere_or_is_larger_than_it(
    which: str, trick: Callable[..., None], tmp_path: Path
) -> None:
    """The other file is there, readable, and of the right shape: only refusing keeps it out."""
    make, where = ARRAYS[which]
    path = make(tmp_path / "raw.h5") if make is not raw else raw(tmp_path / "raw" / "raw.h5")
    other = tmp_path / "other.h5"
    group, _, name = where.rpartition("/")
    with h5py.File(path, "r+") as root, h5py.File(other, "w") as theirs:
        array = root[where][()]
        theirs["array"] = array
        said = dict(root[where].attrs)
        del root[where]
        trick(root[group] if group else root, name, array, other)
        if trick is not linked:
            root[where].attrs.update(said)
    store = open_store(tmp_path / "archive")
    initialise(store)
    report = ingest(store, [str(path)])
    assert (report.sources, report.granules) == (0, 0)
    (refusal,) = report.refusals
    assert refusal.kind == "FormatError"
    assert any(words in refusal.reason for words in ("is a link", "other files", "more than the file can hold"))
    assert not lk.open(str(tmp_path / "archive")).datasets


def test_a_file_that_claims_a_terabyte_costs_the_command_little_memory(tmp_path: Path) -> None:
    path = raw(tmp_path / "raw" / "a.h5")
    with h5py.File(path, "r+") as root:
        array = root["Acquisition/Raw[0]/RawData"]
        said, held = dict(array.attrs), array[()]
        del root["Acquisition/Raw[0]/RawData"]
        bomb(root["Acquisition/Raw[0]"], "RawData", held, path)
        root["Acquisition/Raw[0]/RawData"].attrs.update(said)
    initialise(open_store(tmp_path / "archive"))
    command = [sys.executable, "-m", "ingest", "ingest", str(path), str(tmp_path / "archive"), "--json"]
    done = subprocess.run(
        command,
        capture_output=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30)),
    )
    assert done.returncode == 1, done.stderr
    assert "more than the file can hold" in json.loads(done.stdout)["refusals"][0]["reason"]


def test_references_in_a_raw_file_are_not_followed(tmp_path: Path) -> None:
    """An object reference in a header is left out; nothing that it names is read for it."""
    path = raw(tmp_path / "raw" / "a.h5")
    with h5py.File(path, "r+") as root:
        root["Acquisition"].attrs["Elsewhere"] = root["Acquisition/Raw[0]/RawData"].ref
    header = open_format(format_named("prodml")).describe(io.BytesIO(path.read_bytes())).header
    assert "Elsewhere" not in header["/Acquisition"]
    assert "AcquisitionId" in header["/Acquisition"]


def test_a_server_that_is_not_there_tells_no_credentials() -> None:
    word = secrets.token_hex(12)
    given = {"endpoint_url": "http://127.0.0.1:9", "key": word, "secret": word, "max_retries": 0}
    with pytest.raises(StoreTrouble) as caught:
        open_store("s3://archive/x", storage_options=given).get("a")
    assert word not in str(caught.value)

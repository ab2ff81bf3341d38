"""Who may do what, what is never told, and what names and files cannot reach."""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import pickle
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import commits_of, raw, samples, state

import archive as lk
from archive.errors import AccessDenied, InvalidInput, LightkeepError, StoreTrouble
from archive.index import layout
from archive.store import Store, open_store
from ingest.index.fold import fold
from ingest.initialise import initialise
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.keeping.tags import tag
from ingest.run import ingest, plan_ingest
from ingest.server import LocalS3, serve_s3
from ingest.settings import Settings
from ingest.sources import Found, SourceOptions, scan
from ingest.task import Task, TaskSource

USERS = ("writer", "reader")


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
            [sys.executable, "-m", "ingest", *arguments], capture_output=True, env=environment, timeout=120, check=False
        )
        assert done.returncode in (2, 3)
        assert not told(done.stdout + done.stderr, [word])
        assert b"Traceback" not in done.stderr


def test_a_server_that_is_not_there_tells_no_credentials() -> None:
    word = secrets.token_hex(12)
    given = {"endpoint_url": "http://127.0.0.1:9", "key": word, "secret": word, "max_retries": 0}
    with pytest.raises(StoreTrouble) as caught:
        open_store("s3://archive/x", storage_options=given).get("a")
    assert word not in str(caught.value)

"""Who asks, and what of that travels: credentials, profiles, anonymous access, pickles."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from archive.errors import AccessDenied, InvalidInput, MissingExtra, NotFound, ReadOnlyStore, StoreTrouble
from archive.store import Get, Store, open_store
from archive.store.credentials import s3_access

Answering = Callable[..., dict[str, Any]]
FOUND = (200, {"ETag": '"e"', "Last-Modified": "Sat, 21 Nov 2026 04:41:26 GMT"}, b"body")


def unpickled(packed: bytes) -> Store:
    store: Store = pickle.loads(packed)
    return store


def profiles(monkeypatch: pytest.MonkeyPatch, folder: Path, *, config: str = "", credentials: str = "") -> None:
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))


def use_environment(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint_url"])


@pytest.mark.parametrize(
    "names",
    [
        ("key", "secret", "endpoint_url"),
        ("access_key_id", "secret_access_key", "endpoint"),
        ("aws_access_key_id", "AWS_SECRET_ACCESS_KEY", "aws_endpoint_url"),
    ],
)
def test_options_go_by_the_names_of_s3fs_and_obstore(
    s3_url: str, s3_options: dict[str, Any], names: tuple[str, ...]
) -> None:
    options = dict(zip(names, (s3_options[name] for name in ("key", "secret", "endpoint_url")), strict=True))
    open_store(s3_url, storage_options=options).create("one", b"1")


def test_client_kwargs_of_s3fs_are_understood(s3_url: str, s3_options: dict[str, Any]) -> None:
    options = {**s3_options, "client_kwargs": {"region_name": "us-east-1"}, "token": None}
    open_store(s3_url, storage_options=options).create("one", b"1")


def test_the_environment_gives_credentials(
    monkeypatch: pytest.MonkeyPatch, s3_url: str, s3_options: dict[str, Any]
) -> None:
    use_environment(monkeypatch, s3_options)
    open_store(s3_url).create("one", b"1")


def test_a_profile_gives_credentials_region_and_endpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3_url: str, s3_options: dict[str, Any]
) -> None:
    keys = f"aws_access_key_id = {s3_options['key']}\naws_secret_access_key = {s3_options['secret']}\n"
    place = f"region = eu-west-1\nendpoint_url = {s3_options['endpoint_url']}\ns3 =\n  addressing_style = path\n"
    profiles(monkeypatch, tmp_path, config=f"[profile lab]\n{place}", credentials=f"[lab]\n{keys}")
    store = open_store(s3_url, storage_options={"profile": "lab"})
    store.create("one", b"1")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert bytes(open_store(s3_url).get("one").data) == b"1"
    assert s3_access({"profile": "lab"}).config["region"] == "eu-west-1"
    assert bytes(unpickled(pickle.dumps(store)).get("one").data) == b"1"


def test_the_default_profile_needs_no_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3_url: str, s3_options: dict[str, Any]
) -> None:
    keys = f"aws_access_key_id = {s3_options['key']}\naws_secret_access_key = {s3_options['secret']}\n"
    profiles(monkeypatch, tmp_path, credentials=f"[default]\n{keys}")
    open_store(s3_url, storage_options={"endpoint_url": s3_options["endpoint_url"]}).create("one", b"1")


def test_an_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profiles(monkeypatch, tmp_path, credentials="[lab]\naws_access_key_id = a\n")
    with pytest.raises(InvalidInput, match=r"profile nowhere.*has lab"):
        open_store("s3://bucket", storage_options={"profile": "nowhere"})
    (tmp_path / "config").write_text("no section")
    with pytest.raises(InvalidInput, match="AWS profiles"):
        open_store("s3://bucket", storage_options={"profile": "lab"})


def test_a_profile_with_single_sign_on_needs_boto3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profiles(monkeypatch, tmp_path, config="[profile sso]\nsso_start_url = https://x\n")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra, match="pip install boto3"):
        open_store("s3://bucket", storage_options={"profile": "sso"})


def test_a_profile_with_a_command_goes_through_boto3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3_url: str, s3_options: dict[str, Any]
) -> None:
    keys = {"Version": 1, "AccessKeyId": s3_options["key"], "SecretAccessKey": s3_options["secret"]}
    command = tmp_path / "keys.py"
    command.write_text(f"import json; print(json.dumps({keys}))")
    profiles(monkeypatch, tmp_path, config=f"[profile made]\ncredential_process = {sys.executable} {command}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # botocore's own
        store = open_store(s3_url, storage_options={"profile": "made", "endpoint_url": s3_options["endpoint_url"]})
    store.create("one", b"1")


def test_a_key_given_is_not_mixed_with_the_session_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, s3_url: str, s3_options: dict[str, Any]
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another key")
    open_store(s3_url, storage_options=s3_options).create("one", b"1")


def test_an_environment_beats_the_role_and_the_role_the_default_profile() -> None:
    def sources(**environ: str) -> str:
        return s3_access({}, {"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none", **environ}).source

    assert sources() == "the machine's role"
    assert sources(AWS_WEB_IDENTITY_TOKEN_FILE="/x") == "environment"
    assert sources(AWS_ACCESS_KEY_ID="x", AWS_PROFILE="nowhere") == "environment"
    assert sources(AWS_SKIP_SIGNATURE="true", AWS_ACCESS_KEY_ID="x") == "anonymous"


@pytest.mark.parametrize("name", ["anonymous", "anon", "skip_signature"])
def test_anonymous_requests_are_not_signed(answering: Answering, name: str) -> None:
    seen: list[Any] = []
    endpoint = answering(FOUND, seen=seen)["endpoint_url"]
    store = open_store("s3://bucket/x", storage_options={name: True, "endpoint_url": endpoint})
    assert bytes(store.get("one").data) == b"body"
    assert "authorization" not in {header.lower() for header in seen[0][2]}
    assert store.travels


def test_anonymous_access_to_a_private_bucket_is_refused(s3_url: str, s3_options: dict[str, Any]) -> None:
    options = {"anonymous": True, "endpoint_url": s3_options["endpoint_url"]}
    with pytest.raises(AccessDenied, match="it is not public"):
        open_store(s3_url, storage_options=options).get("one")


def test_options_that_mean_nothing_are_named(tmp_path: Path) -> None:
    for url, options, words in [
        ("s3://bucket", {"colour": 1}, "colour"),
        ("s3://bucket", {"key": "a", "access_key_id": "b"}, "twice"),
        ("s3://bucket", {"key": "a"}, "secret_access_key"),
        ("s3://bucket", {"max_retries": "many"}, "numbers"),
        ("s3://bucket", {"stall_seconds": 0}, "more than 0"),
        ("s3://bucket", {"requests_in_flight": 0}, "requests_in_flight"),
        ("gs://bucket", {"colour": 1}, "colour"),
        ("az://bucket", {"account_name": "a", "colour": 1}, "colour"),
        ("https://host/x", {"colour": 1}, "colour"),
        ("memory://x", {"colour": 1}, "colour"),
        (str(tmp_path), {"colour": 1}, "colour"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            open_store(url, storage_options=options)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3a://bucket", "s3a://bucket"),
        ("https://host.example/x/", "https://host.example/x"),
        ("file:///tmp/a%20b", "file:///tmp/a%20b"),
        ("/tmp/archive/", "/tmp/archive"),
        ("memory://name/x", "memory://name/x"),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str) -> None:
    store = open_store(url)
    assert store.url == shown
    assert repr(store) == f"Store({shown!r})"
    assert b"pass" not in pickle.dumps(store)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3://",
        "memory://",
        "s3://bucket/a?x=secret",
        "s3://key:secret@bucket",
        "https://u:secret@host/x",
        "s3://bucket/../x",
        "file://host/x",
        "nothing://x/y",
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_buckets_of_other_clouds_open_without_a_request() -> None:
    assert open_store("gs://bucket/x").writable
    assert open_store("az://container/x", storage_options={"account_name": "name"}).can_list
    assert open_store("abfss://container@name.dfs.core.windows.net/x").url.startswith("abfss://container@name")
    assert open_store("gs://bucket/x", storage_options={"anon": True}).travels


def test_a_pickle_holds_no_secret(monkeypatch: pytest.MonkeyPatch, s3_url: str, s3_options: dict[str, Any]) -> None:
    store = open_store(s3_url, storage_options={**s3_options, "token": "t0ken", "max_retries": 1})
    packed = pickle.dumps(store)
    for secret in (s3_options["key"], s3_options["secret"], "t0ken"):
        assert secret.encode() not in packed
        assert secret not in repr(store._recipe)
    assert not store.travels
    with pytest.raises(AccessDenied, match="never pickled"):
        unpickled(packed).get("one")
    use_environment(monkeypatch, s3_options)
    copy = unpickled(packed)
    copy.create("one", b"1")
    assert copy.url == store.url
    assert open_store(s3_url).travels


def test_memory_pickles_within_its_process_only(tmp_path: Path) -> None:
    store = open_store("memory://pickled")
    store.create("one", b"1")
    packed = pickle.dumps(store)
    assert bytes(unpickled(packed).get("one").data) == b"1"
    assert not store.travels
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as workers:
        assert workers.submit(_use, packed).result() == "NotFound"
        folder = open_store(tmp_path)
        folder.create("one", b"1")
        assert workers.submit(_use, pickle.dumps(folder)).result() == "b'1'"


def _use(packed: bytes) -> str:
    try:
        return repr(bytes(unpickled(packed).get("one").data))
    except NotFound:
        return "NotFound"


def test_a_forked_process_reads_folders_and_refuses_buckets(tmp_path: Path, store: Store) -> None:
    store.create("one", b"1")
    folder = open_store(tmp_path / "forked")
    folder.create("one", b"1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads and fork do not mix
        child = os.fork()
    if child == 0:
        result = 1
        try:
            good = bytes(folder.get("one").data) == b"1"
            try:
                store.get("one")
            except StoreTrouble as error:
                good = good and "forked" in str(error)
            result = 0 if good else 2
        finally:
            os._exit(result)
    assert os.waitpid(child, 0)[1] == 0


def test_a_process_ends_quietly_with_requests_under_way(s3_url: str, s3_options: dict[str, Any]) -> None:
    code = f"""
from archive.store import Get, open_store
store = open_store({s3_url!r}, storage_options={s3_options!r})
store.create("one", bytes(1_000_000))
stream = store.stream([Get("one")] * 200)
next(stream)
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        code = code.replace('store.create("one", bytes(1_000_000))', "")


def test_the_web_is_read_with_ranges_and_cannot_be_listed_or_written(answering: Answering) -> None:
    seen: list[Any] = []
    stamps = {"ETag": '"e"', "Last-Modified": "Sat, 21 Nov 2026 04:41:26 GMT"}
    part = (206, {**stamps, "Content-Range": "bytes 2-3/9"}, b"23")
    missing = (404, {}, b"")
    endpoint = answering(FOUND, part, missing, seen=seen)["endpoint_url"]
    store = open_store(f"{endpoint}/folder")
    assert bytes(store.get("a/b").data) == b"body"
    assert bytes(store.get_many([Get("a/b", 2, 4)])[0].data) == b"23"
    assert seen[1][1] == "/folder/a/b"
    with pytest.raises(NotFound, match="a/b"):
        store.get("a/b")
    assert not store.can_list
    assert not store.writable
    with pytest.raises(AccessDenied, match="cannot be listed"):
        store.entries("")
    for call in (lambda: store.create("x", b""), lambda: store.swap("x", b"", "e"), lambda: store.delete(["x"])):
        with pytest.raises(ReadOnlyStore):
            call()
    assert len(seen) == 3

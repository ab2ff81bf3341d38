"""Raw files in places near and far: which are found, and that they are still what was found."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from archive.errors import AccessDenied, InvalidInput, MissingExtra, NotFound, SourceChanged, StoreTrouble
from archive.store import open_store
from ingest import sources
from ingest.sources import SourceOptions, look_up, open_source, scan

if TYPE_CHECKING:
    from pathlib import Path

    from proxy import FaultProxy

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def bucket(s3_url: str, s3_options: dict[str, Any]) -> str:
    store = open_store(s3_url, storage_options=s3_options)
    for key in ("raw/a.h5", "raw/deep/b.h5", "raw/notes.txt"):
        store.create(key, CONTENT + key.encode())
    return s3_url


def names(url: str, found: list[sources.Found]) -> list[str]:
    return [file.url.removeprefix(f"{url}/") for file in found]


def test_a_bucket_is_scanned_like_a_folder(bucket: str, s3_options: dict[str, Any]) -> None:
    folder = scan([f"{bucket}/raw"], s3_options)
    assert names(bucket, folder) == ["raw/a.h5", "raw/deep/b.h5", "raw/notes.txt"]
    assert [file.size for file in folder] == [len(CONTENT) + len(name) for name in names(bucket, folder)]
    twice = scan([f"{bucket}/raw/*.h5", f"{bucket}/raw/a.h5"], s3_options)
    assert names(bucket, twice) == ["raw/a.h5"]
    for missing in ("none", "raw/*.tdms"):
        with pytest.raises(NotFound, match=r"no such file or folder|nothing matches"):
            scan([f"{bucket}/{missing}"], s3_options)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_file_in_a_bucket_is_read_with_its_hash_and_its_changes_are_noticed(
    bucket: str, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.setattr(sources, "IN_MEMORY", 100)
    (found,) = scan([f"{bucket}/raw/a.h5"], s3_options)
    assert found.named
    whole = CONTENT + b"raw/a.h5"
    with open_source(found, s3_options) as opened:
        assert opened.sha256 == hashlib.sha256(whole).hexdigest()
        opened.file.seek(5000)
        assert opened.file.read(100) == whole[5000:5100]
    store = open_store(bucket, storage_options=s3_options)
    store.delete(["raw/a.h5"])
    store.create("raw/a.h5", whole[::-1])  # as long as before
    with pytest.raises(SourceChanged, match=r"a\.h5"), open_source(found, s3_options):
        pytest.fail("it is another file")
    (found,) = scan([f"{bucket}/raw/a.h5"], s3_options)
    with pytest.raises(SourceChanged), open_source(found, s3_options):
        store.delete(["raw/a.h5"])


def test_a_local_file_that_is_written_again_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    file.write_bytes(CONTENT)
    (tmp_path / ".hidden.h5").write_bytes(CONTENT)
    (found,) = scan([str(tmp_path)])
    with open_source(found, digest=False) as opened:
        assert opened.sha256 == ""
    with pytest.raises(SourceChanged), open_source(found):
        os.utime(file, ns=(1, 1))


def test_a_place_that_cannot_be_asked_is_trouble_and_not_a_file_that_is_missing(tmp_path: Path) -> None:
    place = f"{tmp_path}/{'a' * 300}"
    with pytest.raises(StoreTrouble, match=r"cannot be listed .*too long"):
        scan([place])
    with pytest.raises(StoreTrouble, match=r"cannot be looked up .*too long"):
        look_up(f"file://{place}")
    assert look_up(f"file://{tmp_path}/a") is None


def test_wrong_credentials_for_raw_files_are_said_and_not_shown(bucket: str, s3_options: dict[str, Any]) -> None:
    with pytest.raises(AccessDenied, match=r"a\.h5: the credentials for raw files may not see it") as caught:
        look_up(f"{bucket}/raw/a.h5", {**s3_options, "secret": "not the secret"})
    assert "not the secret" not in str(caught.value)


def test_a_place_that_nobody_serves_is_trouble_and_an_option_that_no_place_has_is_named() -> None:
    nobody = {"key": "a", "secret": "b", "endpoint_url": "http://127.0.0.1:9"}
    quick = {"config_kwargs": {"retries": {"max_attempts": 0}}}
    for ask in (lambda options: scan(["s3://landing"], options), lambda options: look_up("s3://landing/a.h5", options)):
        with pytest.raises(StoreTrouble, match=r"s3://landing.*cannot be .*Could not connect"):
            ask({**nobody, **quick})
        with pytest.raises(InvalidInput, match="an option for raw files that no such place has: 'key_id'"):
            ask({**nobody, "key_id": "a"})


def test_a_reading_that_breaks_off_is_trouble(
    bucket: str, s3_options: dict[str, Any], proxy: FaultProxy, proxy_options: dict[str, Any]
) -> None:
    (found,) = scan([f"{bucket}/raw/a.h5"], s3_options)
    options = {**proxy_options, "config_kwargs": {"retries": {"max_attempts": 0}}}
    with open_source(found, options, digest=False) as opened:
        proxy.set(reset=1.0)
        with pytest.raises(StoreTrouble, match=r"a\.h5: broke off while it was read"):
            opened.file.read()
        proxy.set()


def test_options_show_and_send_what_is_no_secret() -> None:
    options = SourceOptions(
        {"key": "me", "secret": "hidden", "endpoint_url": "http://me:pass@host", "client_kwargs": {"verify": False}}
    )
    assert repr(options) == "SourceOptions(client_kwargs, endpoint_url, key, secret)"
    assert not options.travels
    assert dict(pickle.loads(pickle.dumps(options))) == {"client_kwargs": {"verify": False}}
    assert SourceOptions({"anon": True}).travels


def test_without_fsspec_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtra, match=r"lightkeep\[ingest\]"):
        scan([str(tmp_path)])


def test_a_local_file_or_folder_with_the_signs_of_a_glob_in_its_name_is_found_by_it(tmp_path: Path) -> None:
    folder = tmp_path / "night [1]"
    folder.mkdir()
    for name in ("a?.h5", "ab.h5"):
        (folder / name).write_bytes(CONTENT)
    assert [file.url.rpartition("/")[2] for file in scan([str(folder)])] == ["a?.h5", "ab.h5"]
    (found,) = scan([str(folder / "a?.h5")])
    assert found.named
    assert found.url.endswith("/night [1]/a?.h5")
    with pytest.raises(NotFound, match="nothing matches"):
        scan([str(folder / "b?.h5")])


def test_a_place_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no such kind"):
        scan(["carrier-pigeon://coop/a"])
    with pytest.raises(MissingExtra, match="paramiko"):
        scan(["sftp://host/a"])


def test_a_file_that_is_renamed_while_its_folder_is_listed_is_left_to_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.h5.part").write_bytes(CONTENT)
    (tmp_path / "b.h5").write_bytes(CONTENT)
    find = LocalFileSystem.find

    def renamed_meanwhile(self: LocalFileSystem, *arguments: Any, **options: Any) -> Any:
        listed = find(self, *arguments, **options)
        (tmp_path / "a.h5.part").rename(tmp_path / "a.h5")
        return listed

    monkeypatch.setattr(LocalFileSystem, "find", renamed_meanwhile)
    assert [file.url.rpartition("/")[2] for file in scan([str(tmp_path)])] == ["b.h5"]

"""Raw files in places near and far: which are found, and that they are still what was found."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from archive.errors import InvalidInput, MissingExtra, NotFound, SourceChanged
from archive.store import open_store
from ingest import sources
from ingest.sources import open_source, scan

if TYPE_CHECKING:
    from pathlib import Path

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


def test_a_place_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no such kind"):
        scan(["carrier-pigeon://coop/a"])
    with pytest.raises(MissingExtra, match="paramiko"):
        scan(["sftp://host/a"])

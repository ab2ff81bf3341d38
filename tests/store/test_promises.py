"""What every store must keep, shown on every kind of store."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from archive.errors import Conflict, DamagedData, InvalidInput, NotFound
from archive.store import Get, List, Store, open_store, probe


def test_an_object_comes_back_as_it_was_written(store: Store) -> None:
    body = secrets.token_bytes(100_000)
    etag = store.create("data/ä b#?%20/one", body)
    found = store.get("data/ä b#?%20/one")
    assert (bytes(found.data), found.size, found.etag, found.key) == (body, len(body), etag, "data/ä b#?%20/one")
    assert abs(found.modified - datetime.now(UTC)) < timedelta(minutes=5)
    entry = store.head("data/ä b#?%20/one")
    assert (entry.key, entry.size, entry.etag) == (found.key, found.size, found.etag)


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.create("empty", b"")
    assert bytes(store.get("empty").data) == b""
    assert store.entries("")[0].size == 0


def test_an_array_is_written_as_its_bytes(store: Store) -> None:
    samples = np.arange(1000, dtype="<i2").reshape(10, 100)
    store.create("samples", samples.data)
    assert bytes(store.get("samples").data) == samples.tobytes()


def test_what_exists_is_never_overwritten(store: Store) -> None:
    store.create("one", b"first")
    with pytest.raises(Conflict, match="one: another object"):
        store.create("one", b"other")
    with pytest.raises(Conflict):
        store.create("one", b"2" * 3_000_000)
    with pytest.raises(Conflict):
        store.swap("one", b"other", None)
    assert bytes(store.get("one").data) == b"first"


def test_writing_the_same_bytes_again_is_no_conflict(store: Store) -> None:
    assert store.create("one", b"same") == store.create("one", b"same")
    big = secrets.token_bytes(2_000_000)
    assert store.create("big", big) == store.create("big", big)


def test_many_objects_are_created_at_once(store: Store) -> None:
    objects = [(f"many/{number:03}", b"%d" % number) for number in range(100)]
    etags = store.create_many(objects)
    assert [entry.key for entry in store.entries("many")] == [key for key, _ in objects]
    assert [entry.etag for entry in store.entries("many/")] == etags
    assert store.create_many([]) == []


def test_a_conflict_among_many_is_raised(store: Store) -> None:
    store.create("many/3", b"there")
    with pytest.raises(Conflict, match="many/3"):
        store.create_many([(f"many/{number}", b"%d" % number) for number in range(10)])


def test_only_the_version_that_was_read_is_swapped(store: Store) -> None:
    first = store.create("current", b"1")
    second = store.swap("current", b"2", first)
    with pytest.raises(Conflict, match="another writer"):
        store.swap("current", b"3", first)
    assert bytes(store.get("current").data) == b"2"
    third = store.swap("current", b"3", second)
    assert store.get("current").etag == third


def test_nothing_is_swapped_where_nothing_is(store: Store) -> None:
    etag = store.create("gone", b"1")
    store.delete(["gone"])
    with pytest.raises(Conflict, match="removed"):
        store.swap("gone", b"2", etag)
    assert store.swap("gone", b"3", None) == store.get("gone").etag


def test_increments_by_sixteen_writers_are_never_lost(store: Store) -> None:
    store.create("counter", b"0 start")

    def increment(_: int) -> None:
        while True:
            found = store.get("counter")
            number = int(bytes(found.data).split()[0])
            try:
                store.swap("counter", f"{number + 1} {secrets.token_hex(8)}".encode(), found.etag)
            except Conflict:
                continue
            return

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(increment, range(64)))
    assert bytes(store.get("counter").data).split()[0] == b"64"


def test_ranges_are_exact(store: Store) -> None:
    body = secrets.token_bytes(10_000)
    etag = store.create("ranges", body)
    ranges = [(0, 1), (9_999, 10_000), (5, 5_000), (None, 7), (9_000, None), (None, None)]
    found = store.get_many([Get("ranges", start, stop, etag) for start, stop in ranges])
    assert [bytes(part.data) for part in found] == [body[start:stop] for start, stop in ranges]
    assert {part.size for part in found} == {10_000}
    assert store.counts.gets == len(ranges)


def test_a_range_beyond_the_end_is_damage(store: Store) -> None:
    store.create("short", b"12345")
    for start, stop in [(0, 6), (3, 100), (5, 6), (70, 80)]:
        with pytest.raises(DamagedData, match="short"):
            store.get_many([Get("short", start, stop)])


def test_a_range_that_is_none_is_refused(store: Store) -> None:
    for start, stop in [(3, 3), (5, 2), (-1, 2)]:
        with pytest.raises(InvalidInput, match="range"):
            store.get_many([Get("short", start, stop)])


def test_a_read_of_another_version_is_a_conflict(store: Store) -> None:
    etag = store.create("one", b"1")
    store.swap("one", b"2", etag)
    with pytest.raises(Conflict, match="one"):
        store.get_many([Get("one", 0, 1, etag)])


def test_what_has_not_changed_is_not_sent_again(store: Store) -> None:
    etag = store.create("one", b"1")
    assert store.get_if_changed("one", etag) is None
    assert store.wave([Get("one", unless_etag=etag)]) == [None]
    with pytest.raises(InvalidInput, match="unchanged"):
        store.get_many([Get("one", unless_etag=etag)])
    store.swap("one", b"2", etag)
    changed = store.get_if_changed("one", etag)
    assert changed is not None
    assert bytes(changed.data) == b"2"


def test_a_missing_object_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="data/none"):
        store.get("data/none")
    with pytest.raises(NotFound, match="data/none"):
        store.head("data/none")
    store.create("data/some", b"1")
    with pytest.raises(NotFound):
        store.get("data")
    with pytest.raises(NotFound):
        store.head("data")


def test_a_wave_answers_in_order_and_keeps_errors_apart(store: Store) -> None:
    store.create("index/CURRENT", b"1")
    store.create("commits/a", b"2")
    store.create("commits/b", b"3")
    current, commits, none = store.wave([Get("index/CURRENT"), List("commits/"), Get("nothing")], return_errors=True)
    assert bytes(current.data) == b"1"
    assert [entry.key for entry in commits] == ["commits/a", "commits/b"]
    assert isinstance(none, NotFound)
    with pytest.raises(NotFound):
        store.wave([Get("index/CURRENT"), Get("nothing")])
    assert store.wave([]) == []


def test_a_stream_hands_over_every_range_once(store: Store) -> None:
    body = secrets.token_bytes(300_000)
    store.create("body", body)
    gets = [Get("body", start, start + 1000) for start in range(0, len(body), 1000)]
    found = dict(store.stream(gets))
    assert b"".join(bytes(found[number].data) for number in range(300)) == body
    assert store.counts.gets == 300


def test_a_stream_raises_or_yields_its_errors(store: Store) -> None:
    store.create("one", b"1")
    gets = [Get("one"), Get("missing")]
    with pytest.raises(NotFound):
        list(store.stream(gets))
    answers = dict(store.stream(gets, return_errors=True))
    assert isinstance(answers[1], NotFound)
    assert bytes(answers[0].data) == b"1"


def test_a_stream_that_is_closed_early_stops(store: Store) -> None:
    store.create("one", b"1")
    stream = store.stream(Get("one") for _ in range(1000))
    next(stream)
    stream.close()
    assert store.counts.gets < 1000
    assert bytes(store.get("one").data) == b"1"


def test_a_stream_waits_for_a_slow_reader() -> None:
    store = open_store("memory://slow")
    size = 16 << 20
    store.create("one", bytes(size))
    stream = store.stream([Get("one", 0, size)] * 40)
    next(stream)
    time.sleep(0.5)
    assert store.counts.bytes_read <= 128 << 20
    assert len(list(stream)) == 39


def test_listings_are_sorted_and_follow_writes_and_deletes(store: Store) -> None:
    keys = ["a", "a-b/c", "a/b", "a/b-c", "a/b/c", "ab", "z/1"]
    for key in reversed(keys):
        if key not in ("a", "a/b"):  # in a folder, a name is an object or a folder
            store.create(key, key.encode())
    there = [key for key in sorted(keys) if key not in ("a", "a/b")]
    assert [entry.key for entry in store.entries("")] == there
    assert [entry.key for entry in store.entries("a")] == ["a/b-c", "a/b/c"]
    assert [entry.key for entry in store.entries("", 2)] == there[:2]
    assert store.entries("nothing") == []
    store.delete(["a/b/c", "ab"])
    assert [entry.key for entry in store.entries("")] == [key for key in there if key not in ("a/b/c", "ab")]


def test_missing_objects_can_be_deleted(store: Store) -> None:
    store.create("some", b"1")
    store.delete(["some", "none", "folder/none"])
    store.delete([])
    store.delete(["some"])
    assert store.entries("") == []


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\nb", "a\0b", "\udc80", "x" * 1025]
)
def test_keys_cannot_escape(store: Store, key: str) -> None:
    for call in (store.get, store.head, lambda key: store.create(key, b""), lambda key: store.delete([key])):
        with pytest.raises(InvalidInput, match="not a key"):
            call(key)
    with pytest.raises(InvalidInput):
        store.swap(key, b"", "etag")
    if key not in ("", "a/"):
        with pytest.raises(InvalidInput):
            store.entries(key)


def test_hidden_names_are_not_written(store: Store) -> None:
    for key in (".hidden", "a/.hidden", ".a/b"):
        with pytest.raises(InvalidInput, match="dot"):
            store.create(key, b"")


def test_the_store_tells_the_time(store: Store) -> None:
    assert abs(store.now() - datetime.now(UTC)) < timedelta(minutes=5)
    assert store.entries("") == []


def test_requests_and_bytes_are_counted(store: Store) -> None:
    before = store.counts.copy()
    store.create("one", b"12345")
    store.get("one")
    store.head("one")
    store.entries("")
    store.delete(["one"])
    spent = store.counts - before
    assert (spent.gets, spent.puts, spent.heads, spent.lists, spent.deletes) == (1, 1, 1, 1, 1)
    assert (spent.bytes_read, spent.bytes_written, spent.retries, spent.requests) == (5, 5, 0, 5)


def test_stores_that_keep_their_promises_pass_the_probe(store: Store) -> None:
    probe(store)
    assert store.entries("") == []
    assert store.writable
    assert store.can_list


def test_two_stores_of_one_url_see_the_same(tmp_path: Path) -> None:
    for url in (str(tmp_path), "memory://shared"):
        open_store(url).create("one", b"1")
        assert bytes(open_store(url).get("one").data) == b"1"
    assert bytes(open_store(tmp_path.as_uri()).get("one").data) == b"1"
    assert open_store("memory://other").entries("") == []

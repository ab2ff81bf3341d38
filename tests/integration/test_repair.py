"""What verify and repair do beyond single objects: lost indexes, gone sources, moved archives, doubts."""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from command import run
from damage import Content, inflict, keys_of, linked, overwrite
from small import commits_of, raw, rows_of

import archive as lk
from archive.errors import DamagedData, InvalidInput, NotFound
from archive.index.sealed import sign, signed
from archive.store import List, Store, open_store
from archive.view import open_view
from ingest.checking import verify as verifying
from ingest.checking.repair import repair
from ingest.checking.reseal import reseal
from ingest.checking.verify import fault_of, verify
from ingest.granule import GranuleContent, GranuleRecord, root_key, write_granule
from ingest.index.fold import fold
from ingest.initialise import initialise
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.keeping.tags import tag
from ingest.run import ingest, put_commit

if TYPE_CHECKING:
    from archive.index.rows import Row


@pytest.fixture
def url(whole: tuple[Path, Content], tmp_path: Path) -> str:
    return linked(whole[0], tmp_path / "archive")


@pytest.fixture
def before(whole: tuple[Path, Content]) -> Content:
    return whole[1]


def same(one: Content, other: Content) -> bool:
    return (one.samples, one.times, one.ledger) == (other.samples, other.times, other.ledger)


def content_of(store: Store, row: Row, **other: Any) -> GranuleContent:
    """Return the content of a granule that is there, from what it tells of itself."""
    record = GranuleRecord.decode(row.key, store.get(root_key(row.key)).data)
    values: dict[str, Any] = {
        "samples": verifying._stored(store, row.data),
        "time": row.time,
        "sources": row.sources,
        "files": () if "sources" in other else record.files,
        "headers": record.headers,
        **other,
    }
    return GranuleContent(**values)


def write(store: Store, row: Row, content: GranuleContent, **other: Any) -> Row:
    return write_granule(store, open_view(store).dataset(row.dataset), content, **other)


# -- lost indexes -----------------------------------------------------------------------------------


def test_an_index_that_is_all_gone_comes_back_from_granules_alone(url: str, before: Content) -> None:
    store = open_store(url)
    while fold(store) is not None:
        pass
    store.delete([entry.key for entry in store.entries("index")])
    with pytest.raises(DamagedData, match="CURRENT"):
        lk.open(url)
    assert repair(store).lost == []
    assert same(Content.of(url), before)
    assert verify(store, "full").findings == []


def test_what_came_after_the_newest_good_copy_comes_back_and_what_was_out_before_stays_out(
    url: str, before: Content
) -> None:
    store = open_store(url)
    row = rows_of(store)[0]
    out = write(store, row, content_of(store, row, sources=(replace_sha(row),)))  # never acknowledged
    while fold(store) is not None:
        pass
    newest = store.entries("index/snapshots/")[-1].key
    # A copy of the state without the young rows is good; that of the state with them and CURRENT are gone.
    store.delete(["index/CURRENT", newest])
    report = repair(store)
    assert report.lost == []
    after = Content.of(url)
    granules = {finding.key for finding in report.done}
    assert before.ledger <= after.ledger
    assert out.key in granules  # it is younger than the index that is left: reported, and back
    assert all("may have been removed" in one.what for one in report.done if ".zarr" in one.key)


def replace_sha(row: Row) -> Any:
    return row.sources[0]._replace(sha256=secrets.token_hex(32))


@pytest.mark.parametrize("how", ["incomplete", "unacknowledged", "replaced"])
def test_a_lost_leaf_comes_back_without_what_was_never_in_it(url: str, before: Content, how: str) -> None:
    store = open_store(url)
    while fold(store) is not None:
        pass
    row = rows_of(store)[0]
    batch = ["data/x/gone.zarr"] if how == "incomplete" else []
    shifted = row.time.shifted(1000)
    other = content_of(store, row, time=shifted, sources=(replace_sha(row),))
    stray = write(store, row, other, **({"batch": [row.key, *batch]} if batch else {}))
    if how == "replaced":
        new = content_of(store, row, time=shifted, sources=(replace_sha(row),), replaces=(stray.id,))
        put_commit(store, [write(store, row, new)], [], {})
    leaf = keys_of(store, "leaf")[0]
    if how == "replaced":
        fold(store)
        before, leaf = Content.of(url), keys_of(store, "leaf")[0]
    store.delete([leaf])
    report = repair(store)
    assert report.lost == []
    assert [finding.key for finding in report.doubtful] == ([] if how == "replaced" else [stray.key])
    assert same(Content.of(url), before)
    if how == "unacknowledged":
        repair(store, unproven=True)
        assert stray.key in {row.key for row in rows_of(store)}


def test_a_leaf_whose_rows_cannot_be_told_apart_waits_for_a_decision(url: str) -> None:
    store = open_store(url)
    while fold(store) is not None:
        pass
    row = rows_of(store)[1]
    leaf = keys_of(store, "leaf")[0]
    # The granule's etag is another one, so that no choice of rows gives the same bytes; and another is as large.
    overwrite(store, row.data.key, bytes(store.get(row.data.key).data))
    twin = write(store, row, content_of(store, row, sources=(replace_sha(row),)))
    other = keys_of(store, "leaf")[1]
    young = content_of(store, row, time=row.time.shifted(7), sources=(replace_sha(row),))
    put_commit(store, [write(store, row, young)], [], {})
    store.delete([entry.key for entry in store.entries("index/leaves/") if entry.key != other])
    report = repair(store)
    assert leaf in {finding.key for finding in report.lost}
    assert any("--unproven" in finding.what for finding in report.lost)
    with pytest.raises(DamagedData, match="leaves"):
        Content.of(url)
    assert leaf not in {finding.key for finding in repair(store, unproven=True).lost}
    assert {row.id, twin.id} <= {row.id for row in rows_of(store)}


def test_a_leaf_comes_back_without_the_row_of_a_granule_that_is_gone_too(url: str, before: Content) -> None:
    store = open_store(url)
    while fold(store) is not None:
        pass
    leaves = [entry.key for entry in store.entries("index/leaves/")]
    last = rows_of(store)[1]
    store.delete([*leaves, root_key(last.key)])
    report = repair(store)
    assert [
        "1 of its 3 rows are lost" in finding.what for finding in report.lost if "only older" not in finding.what
    ] == [True]
    assert last.id not in {row.id for row in rows_of(store)}
    assert len(rows_of(store)) == 4
    after = Content.of(url).samples
    assert after[rows_of(store)[-1].dataset] == before.samples[rows_of(store)[-1].dataset]


def test_an_older_state_in_the_place_of_current_is_noticed(url: str, before: Content) -> None:
    store = open_store(url)
    overwrite(store, "index/CURRENT", bytes(store.get("index/snapshots/000000000001").data))
    assert ["another object lies in its place" in finding.what for finding in verify(store).findings] == [True]
    repair(store)
    assert verify(store).findings == []
    assert same(Content.of(url), before)


def test_a_commit_whose_granules_are_gone_is_emptied_so_that_others_are_read(url: str, before: Content) -> None:
    store = open_store(url)
    rows = {row.key: row for commit in open_view(store).commits for row in commit.rows}
    first, second = keys_of(store, "commit")
    inflict(store, "cut", [first])
    store.delete([root_key(key) for key in rows])
    with pytest.raises(DamagedData):
        lk.open(url).coverage()
    report = repair(store)
    assert report.lost[0].key == first
    left = {row.id for row in rows_of(store)}
    assert len(left) == 4
    assert any(key.startswith("damaged/") for key in (entry.key for entry in store.entries("")))
    assert second not in {finding.key for finding in report.lost}


def test_commits_that_are_all_damaged_come_back_from_their_granules(url: str, before: Content) -> None:
    store = open_store(url)
    for key in keys_of(store, "commit"):
        inflict(store, "cut", [key])
    assert repair(store).lost == []
    assert same(Content.of(url), before)


def test_a_name_that_only_the_ledger_knew_is_known_again_after_the_next_ingest(
    url: str, raw: Any, tmp_path: Path
) -> None:
    store = open_store(url)
    copy = Path(shutil.copy(raw[0][0], tmp_path))
    ingest(store, [str(copy)])
    store.delete([entry.key for entry in store.entries("index/ledger/")])
    report = repair(store)
    assert ["another part with" in finding.what for finding in report.done] == [True]
    assert ["known again" in finding.what for finding in report.lost if "known" in finding.what] == [True]
    assert repair(store).done == []
    again = ingest(store, [str(copy), *(str(path) for path in raw[0][:4])])
    assert (again.known, again.sources, again.granules) == (4, 1, 0)


def test_an_index_that_is_lost_after_a_granule_was_made_anew_takes_the_new_one(url: str, before: Content) -> None:
    store = open_store(url)
    damaged = rows_of(store)[0]
    store.delete([damaged.data.key])
    repair(store)
    store.delete([entry.key for entry in store.entries("index")])
    store.delete([root_key(damaged.key)])
    repair(store)
    assert same(Content.of(url), before)
    assert damaged.key not in {row.key for row in rows_of(store)}


def test_an_index_lost_after_compact_and_gc_comes_back_compacted(url: str, before: Content) -> None:
    store = open_store(url)
    while fold(store) is not None:
        pass
    compact(store)
    compacted = {row.key for row in rows_of(store)}
    assert len(compacted) < 5
    store.delete([entry.key for entry in store.entries("index")])
    report = repair(store)
    assert {row.key for row in rows_of(store)} == compacted  # though the small ones are all there
    assert report.lost == []
    assert same(Content.of(url), before) or Content.of(url).samples == before.samples
    collect(store, timedelta(0))
    assert verify(store, "full").damaged is False


def test_what_was_removed_does_not_come_back_with_a_lost_leaf(url: str, before: Content) -> None:
    store = open_store(url)
    while fold(store) is not None:
        pass
    row, other = rows_of(store)[0], rows_of(store)[1]
    tag(store, "all")
    remove(store, row.dataset, row.time.first, row.time.last)
    left = Content.of(url)
    leaf = next(leaf for leaf in open_view(store).snapshot.leaves if leaf.dataset == row.dataset)
    store.delete([leaf.key])
    assert repair(store, unproven=True).lost == []
    assert same(Content.of(url), left)
    # What only a tag needs is looked at too, and what is damaged there is named.
    store.delete([row.data.key])
    assert other.key in {one.key for one in rows_of(store)}
    assert {finding.key for finding in verify(store, "full").findings if finding.damage} == {row.data.key}
    assert verify(store).damaged is False
    assert ["only older snapshots" in finding.what for finding in repair(store).lost] == [True]


# -- granules ---------------------------------------------------------------------------------------


def test_without_sources_lost_samples_are_reported_and_raise_and_the_rest_is_kept(
    raw: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    copies = [Path(shutil.copy(path, tmp_path)) for path in raw[0][:4]]
    url = f"memory://{secrets.token_hex(4)}"
    store = open_store(url)
    initialise(store)
    for copy in copies:
        ingest(store, [str(copy)])
    before = Content.of(url)
    first, second, third, _ = rows_of(store)
    for copy in copies:
        copy.unlink()
    store.delete([first.data.key, root_key(second.key)])
    inflict(store, "flip", [f"{third.key}/time/c/0"])
    report = repair(store)
    assert [finding.key for finding in report.lost] == [first.key]
    assert {finding.key for finding in report.done} == {second.key, third.key}
    assert first.key in {row.key for row in rows_of(store)}
    with pytest.raises(DamagedData, match=first.data.key):
        lk.open(url)[0].load()
    later = lk.open(url).select(time=(np.datetime64(second.time.first, "ns"), None))
    ends = b"".join(before.samples[second.dataset])
    assert ends.endswith(b"".join(patch.data.tobytes() for patch in later))
    told = {finding.granule for finding in verify(store, "full").findings}
    assert told == {first.key, second.key, third.key}  # older snapshots still name the other two


def test_a_source_that_changed_does_not_serve(raw: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    copy = Path(shutil.copy(raw[0][0], tmp_path))
    store = open_store(f"memory://{secrets.token_hex(4)}")
    initialise(store)
    ingest(store, [str(copy)])
    body = bytearray(copy.read_bytes())
    body[-5] ^= 1
    copy.write_bytes(body)
    report = verify(store, "quick", sources=True)
    assert (report.compared, report.unreachable, report.damaged) == (0, 1, False)
    assert ["is not the file that was ingested" in finding.what for finding in report.findings] == [True]
    (row,) = rows_of(store)
    store.delete([row.data.key])
    assert [finding.key for finding in repair(store).lost] == [row.key]


def test_samples_that_are_not_those_of_the_source_are_found(url: str) -> None:
    store = open_store(url)
    view = open_view(store)
    row = rows_of(store)[0]
    samples = verifying._stored(store, row.data).copy()
    samples[3, 1] += 1
    wrong = write(store, row, content_of(store, row, samples=samples))
    assert wrong.id == row.id
    fresh = open_store(f"memory://{secrets.token_hex(4)}")
    initialise(fresh)
    dataset = view.dataset(row.dataset)
    ingest(fresh, [one.url for one in GranuleRecord.decode(row.key, store.get(root_key(row.key)).data).files])
    put_commit(fresh, [write_granule(fresh, dataset, content_of(store, row, samples=samples))], [], {})
    assert verify(fresh, "full", sources=True).damaged is False  # the first of the same id serves
    other = open_store(f"memory://{secrets.token_hex(4)}")
    initialise(other)
    put_commit(
        other, [write_granule(other, dataset, content_of(store, row, samples=samples))], [], {dataset.name: dataset}
    )
    assert verify(other, "full").damaged is True  # no dataset.json was put
    found = [finding.what for finding in verify(other, "full", sources=True).findings if finding.kind == "granule"]
    assert found == ["its samples are not those of the source"]


def test_stamps_that_are_not_those_of_the_row_are_found(url: str) -> None:
    store = open_store(url)
    row = rows_of(store)[0]
    other = write(store, row, content_of(store, row, time=row.time.shifted(1)))
    record = signed("x", store.get(root_key(other.key)).data)
    record["attributes"]["lightkeep"]["row"]["time"] = [column.tolist() for column in row.time.columns()]
    record["attributes"]["lightkeep"]["sealed"] = "0" * 64
    overwrite(store, root_key(other.key), sign(json.dumps(record, ensure_ascii=False).encode()))
    fresh = replace(other, time=row.time, id="f" * 64)
    put_commit(store, [fresh], [], {})
    found = [finding for finding in verify(store, "full").findings if finding.granule == other.key]
    assert "its stamps are not those of the row" in {finding.what for finding in found}


def test_large_objects_are_hashed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from hashlib import sha256

    store = open_store(f"memory://{secrets.token_hex(4)}")
    body = secrets.token_bytes(10_007)
    store.create("a", body)
    monkeypatch.setattr(verifying, "_PART", 1000)
    assert fault_of(store, "a", len(body), sha256(body).hexdigest()) is None
    assert "SHA-256" in str(fault_of(store, "a", len(body), sha256(body[:-1] + b"?").hexdigest()))
    assert "bytes" in str(fault_of(store, "a", len(body) + 1, sha256(body).hexdigest()))
    assert "bytes" in str(fault_of(store, "a", len(body) - 1, sha256(body[:-1]).hexdigest()))
    assert fault_of(store, "b", 5, "") == "the object is missing"


def test_every_flipped_bit_of_a_signed_object_is_noticed(url: str) -> None:
    store = open_store(url)
    key = root_key(rows_of(store)[0].key)
    body = bytes(store.get(key).data)
    signed(key, body)
    step = max(len(body) // 400, 1)
    for place in range(0, len(body), step):
        changed = body[:place] + bytes([body[place] ^ 1 << place % 8]) + body[place + 1 :]
        with pytest.raises(DamagedData):
            signed(key, changed)


# -- verify -----------------------------------------------------------------------------------------


def test_a_sample_is_a_share_and_the_same_for_the_same_seed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(url)
    counts = [verify(store, "full", sample=0.4, seed=seed).granules for seed in (1, 1, 2, 3, 4)]
    assert counts[0] == counts[1]
    assert 0 < sum(counts) < 5 * 5
    monkeypatch.setattr(verifying, "LISTED_WHOLE", 0)
    assert (verify(store).granules, verify(store).findings) == (5, [])
    for share in (0, -1, 1.5):
        with pytest.raises(InvalidInput, match="share"):
            verify(store, sample=share)


def test_verify_beside_folds_and_gc_finds_nothing(url: str, before: Content) -> None:
    from threading import Thread

    store = open_store(url)
    row = rows_of(store)[0]

    template = content_of(store, row)

    def work() -> None:
        other = open_store(url)
        for number in range(6):
            shifted = row.time.shifted((number + 1) * 10**12)
            content = replace(template, time=shifted, sources=(replace_sha(row),), files=())
            put_commit(other, [write(other, row, content)], [], {})
            fold(other)
            if number == 3:
                compact(other)
                collect(other, timedelta(0))

    writer = Thread(target=work)
    writer.start()
    found = [verify(store, mode).damaged for mode in ("full", "quick", "full", "quick")]  # type: ignore[arg-type]
    writer.join()
    assert not any(found)


def test_verify_is_sure_of_current_though_others_fold_before_each_listing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, folded = open_store(url), 0
    wave = Store.wave

    def slow(self: Store, requests: Any, **options: Any) -> Any:
        nonlocal folded
        looks = len(requests) == 3 and isinstance(requests[1], List) and requests[1].prefix == "index/"
        if not looks or folded == 2:
            return wave(self, requests, **options)
        folded += 1
        current = wave(self, requests[:1], **options)
        other = open_store(url)
        for commit in commits_of(other, raw(tmp_path / "more" / f"{folded}.h5", folded)):
            other.create(commit.key, commit.encode())
        fold(other)
        return current + wave(self, requests[1:], **options)

    monkeypatch.setattr(Store, "wave", slow)
    assert verify(store).findings == []
    assert folded == 2


def test_nothing_that_is_no_archive_is_verified_or_mended(tmp_path: Path) -> None:
    for check in (verify, repair):
        with pytest.raises(NotFound, match="lightkeep init"):
            check(open_store(str(tmp_path)))
    assert not list(tmp_path.iterdir())


# -- moved archives ---------------------------------------------------------------------------------


def test_a_moved_archive_is_sealed_anew(whole: tuple[Path, Content], tmp_path: Path, before: Content) -> None:
    shutil.copytree(whole[0], tmp_path / "moved")
    url = str(tmp_path / "moved")
    store = open_store(url)
    assert verify(store).damaged
    full = verify(store, "full")
    assert not full.damaged
    assert {finding.what.partition(",")[0] for finding in full.findings} == {"is right"}
    row = rows_of(store)[0]
    inflict(store, "flip", [row.data.key])
    report = reseal(store)
    assert {finding.key for finding in report.findings} == {row.data.key}
    assert {finding.key for finding in verify(store).findings} == {row.data.key}
    assert repair(store).lost == []
    assert verify(store).findings == []
    assert same(Content.of(url), before)
    number = open_view(store).snapshot.number
    assert reseal(store).snapshot == number


# -- commands ---------------------------------------------------------------------------------------


def test_the_commands_say_what_is_wrong_and_end_with_three(url: str) -> None:
    run("verify", url)
    key = keys_of(open_store(url), "data")[0]
    inflict(open_store(url), "flip", [key])
    done = run("verify", url, "--full", "--json", code=3)
    assert [finding["key"] for finding in json.loads(done.stdout)["findings"]] == [key]
    assert key in run("verify", url, code=3).stdout
    dry = json.loads(run("repair", url, "--dry-run", "--json").stdout)
    assert [finding["what"] for finding in dry["done"]] == ["to be read again from its sources"]
    assert "read again from its sources, as" in run("repair", url, "--quick").stdout
    run("verify", url, "--sources")
    run("verify", url, "--reseal", "--full", code=2)
    run("verify", url, "--reseal")

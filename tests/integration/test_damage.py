"""Every kind of object is damaged in every way: verify names it, what touches it raises, and repair mends it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from damage import Content, fill, inflict, keys_of, linked
from small import rows_of

import archive as lk
from archive.errors import DamagedData
from archive.store import open_store
from ingest.checking.repair import repair
from ingest.checking.verify import verify

if TYPE_CHECKING:
    from ingest.server import LocalS3

KINDS = [
    "archive",
    "CURRENT",
    "dataset",
    "snapshot",
    "leaf",
    "ledger",
    "commit",
    "data",
    "zarr.json",
    "data/zarr.json",
    "time/c/0",
    "distance/c/0",
]
DAMAGES = ["flip", "cut", "delete", "swap"]
ALONE = {"archive", "CURRENT"}  # there is no second one to be swapped with
TOUCHED = {"CURRENT", "leaf", "commit", "data"}  # what our readers read


def test_a_whole_archive_is_found_whole(whole: tuple[Path, Content]) -> None:
    store = open_store(str(whole[0]))
    for mode in ("quick", "full"):
        report = verify(store, mode, sources=True)  # type: ignore[arg-type]
        assert report.findings == []
        assert (report.granules, report.compared, report.unreachable) == (5, 5, 0)


def check_damage(url: str, kind: str, damage: str, before: Content) -> None:
    store = open_store(url)
    keys = keys_of(store, kind)
    names = sorted(before.samples)
    damaged = inflict(store, damage, keys)
    report = verify(store, "full")
    told = {finding.key for finding in report.findings if finding.damage}
    if kind == "commit" and damage == "delete":
        assert not told
        assert [finding.kind for finding in report.findings] == ["granule"]
    else:
        assert told == set(damaged)
        assert report.damaged == bool(damaged)
    if kind != "commit" and (damage == "delete" or (damage == "cut" and kind in {"CURRENT", "leaf", "ledger", "data"})):
        assert keys[0] in {finding.key for finding in verify(store, "quick").findings}

    if kind in TOUCHED and not (kind == "commit" and damage == "delete"):
        with pytest.raises(DamagedData, match=keys[0].rsplit("/", 1)[-1][:20]):
            Content.of(url)
        if kind in {"leaf", "data"} and damage != "swap":
            assert [patch.data.tobytes() for patch in lk.open(url, dataset=names[1])] == before.samples[names[1]]
    elif kind not in {"ledger", "commit"}:
        assert Content.of(url).samples == before.samples

    there = {entry.key: entry.etag for entry in store.entries("")}
    acknowledged = not (kind == "commit" and damage == "delete")
    plan = repair(store, dry_run=True) if damage == "flip" else None
    assert {entry.key: entry.etag for entry in store.entries("")} == there
    done = repair(store, unproven=not acknowledged)
    assert plan is None or len(plan.done) == len(done.done)
    gone = there.keys() - {entry.key for entry in store.entries("")}
    assert all(key.startswith("commits/") for key in gone)  # folded
    after = Content.of(url)
    assert after.samples == before.samples
    assert after.times == before.times
    assert after.ledger == before.ledger
    lost = set(damaged) if kind == "snapshot" and damage != "swap" else set()
    assert {finding.key for finding in done.lost} == lost
    assert {one.key for one in verify(store, "full").findings if one.damage} == lost | superseded(url, damaged, kind)
    assert damage != "cut" or repair(store).done == []


def superseded(url: str, damaged: list[str], kind: str) -> set[str]:
    """Return damaged objects that only older snapshots need any more, after rows of others were swapped in."""
    live = {row.key for row in rows_of(open_store(url))}
    granules = {key.partition(".zarr/")[0] + ".zarr" for key in damaged if ".zarr/" in key} - live
    return {key for key in damaged if key.partition(".zarr/")[0] + ".zarr" in granules}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_in_a_folder_is_named_and_mended(
    whole: tuple[Path, Content], tmp_path: Path, kind: str, damage: str
) -> None:
    if damage == "swap" and kind in ALONE:
        return
    check_damage(linked(whole[0], tmp_path / "archive"), kind, damage, whole[1])


@pytest.mark.parametrize("kind", ["CURRENT", "leaf", "commit", "data", "zarr.json"])
def test_damage_in_memory_is_named_and_mended(raw: tuple[list[Path], list[Path]], kind: str) -> None:
    url = f"memory://damage-{secrets.token_hex(4)}"
    fill(open_store(url), *raw)
    check_damage(url, kind, "flip", Content.of(url))


@pytest.mark.slow
def test_damage_in_a_bucket_is_named_and_mended(server: LocalS3, raw: tuple[list[Path], list[Path]]) -> None:
    url = f"s3://{server.bucket}/damage"
    store = open_store(url)
    fill(store, *raw)
    before = Content.of(url)
    chosen = [keys_of(store, kind) for kind in ("leaf", "data", "ledger", "time/c/0")]
    damaged = {key for keys in chosen for key in inflict(store, "flip", keys[::-1] if "time" in keys[0] else keys)}
    damaged.update(inflict(store, "delete", ["index/CURRENT"]))
    assert {finding.key for finding in verify(store, "full").findings} == damaged
    assert repair(store).lost == []
    after = Content.of(url)
    assert (after.samples, after.times, after.ledger) == (before.samples, before.times, before.ledger)

"""What is known of the places of frames while an archive is written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frame_sets import header, new_archive, pixels, write_frame, write_set
from numpy.random import default_rng

from archive.cube import table
from archive.view import open_view
from ingest.frames import storing
from ingest.places import Places
from ingest.run import ingest

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from archive.index.rows import Row
    from archive.store import Store
    from archive.view import View


def view_of(store: Store) -> View:
    """The archive as it is at this moment."""
    view = open_view(store)
    view.settle()
    return view


def rows_of_frames(store: Store) -> list[Row]:
    view = view_of(store)
    return [row for one in view.tables(["TESTED"]) for row in view.rows(one, range(len(one.sources)))]


def change(store: Store, path: Path) -> Row:
    """Write other pixels into the file of a frame, ingest it again, and return its row."""
    write_frame(path, pixels("noise", default_rng()), header(0, 0), {})
    assert ingest(store, [str(path)]).sources == 1
    (row,) = rows_of_frames(store)
    return row


def test_what_others_have_put_at_a_place_stands_above_what_was_noted_earlier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.places._SHARE", 0)
    store = new_archive(str(tmp_path / "archive"))
    path, *_ = write_set(tmp_path / "in")
    ingest(store, [str(path)])
    places = Places(view_of(store))

    def shown() -> list[str]:
        return [one.sha256 for one in places.of("TESTED").values()]

    first = view_of(store)
    assert len(shown()) == 1
    mine = [change(store, path) for _ in range(2)]
    between = view_of(store)
    for row in mine:
        places.note([row])
        places.renew(first)
        assert shown() == [row.sources[0].sha256]  # not committed yet
    places.renew(between)
    theirs = change(store, path)
    places.renew(view_of(store))
    assert shown() == [theirs.sources[0].sha256]


def test_what_was_noted_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_archive(str(tmp_path / "archive"))
    places = Places(view_of(store))
    paths = write_set(tmp_path / "in")
    for path in paths:
        ingest(store, [str(path)])
    unpacked: list[str] = []

    def unpack(text: str) -> table.FrameTable | table.Document:
        unpacked.append(text)
        return table.unpack(text)

    monkeypatch.setattr(storing, "unpack", unpack)
    for row in rows_of_frames(store):
        places.note([row])
        assert places.of("TESTED")
    assert len(places.of("TESTED")) == len(unpacked) == len(paths)


def test_what_will_not_be_committed_holds_no_place(tmp_path: Path) -> None:
    store, other = new_archive(str(tmp_path / "archive")), new_archive(str(tmp_path / "other"))
    path, *_ = write_set(tmp_path / "in")
    ingest(store, [str(path)])
    (first,) = rows_of_frames(store)
    ingest(other, [str(path)])
    second = change(other, path)
    places = Places(view_of(store))
    assert len(places.of("TESTED")) == 1
    places.note([second])
    places.forget([first])
    assert [one.sha256 for one in places.of("TESTED").values()] == [second.sources[0].sha256]
    places.forget([second])
    assert [one.sha256 for one in places.of("TESTED").values()] == [first.sources[0].sha256]
    places.forget([second])

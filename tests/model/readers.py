"""Readers: they open in two waves, and then hold what they saw."""

from __future__ import annotations

from typing import NamedTuple

from model.rules import Rule
from model.values import Commit, Row, Snapshot, cut
from model.world import COMMITS, CURRENT, Process, Violation, World

__all__ = ["View", "open_view"]

_ATTEMPTS = 8


class View(NamedTuple):
    """What a reader sees, from `asked` (a step and an hour) on."""

    snapshot: Snapshot
    commits: tuple[Commit, ...]
    rows: tuple[Row, ...]
    asked: int
    hour: float


def open_view(world: World) -> Process[View]:
    """Return a pinned view; as `archive.view` opens it."""
    yield
    asked, hour = world.step, world.hours
    if world.chance() < 0.5:
        snapshot, etag = world.current()
        yield
        keys = world.list(COMMITS)
    else:
        keys = world.list(COMMITS)
        yield
        snapshot, etag = world.current()
    commits: list[Commit] = []
    for _ in range(_ATTEMPTS):
        first = world.chance() < 0.5
        newer: tuple[Snapshot, int] | None = None
        if first and Rule.SECOND_LOOK not in world.off:
            yield
            newer = world.current()
        bodies: list[Commit] = []
        for key in keys:
            yield
            found = world.get(key)
            if found is not None:
                bodies.append(found[0])
        gone = len(bodies) < len(keys)
        if not first and Rule.SECOND_LOOK not in world.off:
            yield
            newer = world.current()
        if newer is not None and newer[1] != etag:
            snapshot, etag = newer
        elif not gone or Rule.GONE_LOOKS_AGAIN in world.off:
            commits = bodies
            break
        elif Rule.GONE_AND_UNCHANGED in world.off:
            continue
        keys = [commit.key for commit in bodies]
    else:
        raise Violation("a reader cannot open: a listed commit is gone, and CURRENT has not changed")
    rows = seen_rows(world, snapshot, commits)
    world.say(f"opened {snapshot.number} with {[commit.key for commit in commits]}")
    return View(snapshot, tuple(commits), tuple(rows), asked, hour)


def seen_rows(world: World, snapshot: Snapshot, commits: list[Commit]) -> list[Row]:
    """Return folded rows, and the young ones that they do not stand for."""
    rows = world.rows(snapshot)
    known = {name for row in rows for name in (row.id, *row.replaces)}
    for commit in commits:
        for row in commit.rows:
            left = young_row(world, snapshot, row)
            if left is None or (row.id in known and Rule.READER_DROPS_KNOWN not in world.off):
                continue
            known.add(row.id)
            rows.append(left)
    return rows


def young_row(world: World, snapshot: Snapshot, row: Row) -> Row | None:
    """Return what removals leave of a young row."""
    if Rule.INCARNATION in world.off:
        return row
    if Rule.REMOVAL_HAS_SPAN in world.off:
        return row if row.life == snapshot.life else None
    return cut(row, snapshot.lives)


def young_life(world: World, view: View) -> int:
    """Return the life that a writer works in."""
    if Rule.LIFE_FROM_CURRENT in world.off and view.commits and not any(view.snapshot.leaves):
        return view.commits[-1].rows[0].life if view.commits[-1].rows else view.snapshot.life
    return view.snapshot.life


__all__ += ["CURRENT", "seen_rows", "young_life", "young_row"]

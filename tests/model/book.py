"""The book of one schedule: what was promised to whom, and whether it is kept. It sees all and does nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from model.values import SLOTS, Commit, Row, Snapshot, Source, served, slots_of, version_of
from model.world import COMMITS, CURRENT, RETENTION, SNAPSHOTS, Violation, World, copy_key

if TYPE_CHECKING:
    from model.readers import View

__all__ = ["Book", "check_once", "stored_twice"]


class _Success(NamedTuple):
    """A reported success: whoever asks after `since` sees it, unless a removal came after `unless`."""

    sha: int
    slots: tuple[int, ...]
    since: int
    unless: int


class Book:
    """What was promised."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.successes: list[_Success] = []
        self.listed: set[tuple[str, int]] = set()
        self.versions: list[tuple[int, int, int]] = []  # slot, version, since
        self.commits: dict[str, Commit] = {}
        self.safe: set[str] = set()  # commits whose success was reported
        self.removals: list[list[int]] = [[] for _ in range(SLOTS)]  # steps, by slot
        self.lives: list[tuple[int, int]] = []  # since, life: removals reported
        self.views: list[View] = []
        self.tags: set[int] = set()
        self.history: dict[int, Snapshot] = {0: world.objects[CURRENT][0]}
        self.superseded: dict[int, float] = {}
        self.steps: dict[int, int] = {}  # at which each snapshot became the newest
        self.folded: dict[int, int] = {}  # id of a row: the first snapshot that held it
        self._needs: dict[int, frozenset[str]] = {}
        world.on_swap = self.swapped
        world.on_delete = self.deleted

    # -- what is promised -------------------------------------------------------------------------

    def committed(self, commit: Commit) -> None:
        """Note a commit that is about to be put."""
        self.commits[commit.key] = commit

    def blocked(self, key: str) -> None:
        """Raise: a writer's commit was refused, so it would have to try again because of another."""
        raise Violation(f"{key}: a writer was in the way of another")

    def passed(self, view: View, life: int, sources: Iterable[Source]) -> None:
        """Raise if a writer is told of a removal that it must have known when it began."""
        if any(view.snapshot.lives[slot] > life for source in sources for slot in slots_of(source.sha)):
            raise Violation("what was removed cannot come again: a writer works in a life that has ended")

    def acknowledge(self, sources: Iterable[Source], step: int, *, known: bool = False) -> None:
        """Note a success that is reported now, for what was there at a step."""
        for source in sources:
            self.world.say(f"reports {source.name} {'known' if known else 'done'} ({source.sha}, life {source.life})")
            self.successes.append(_Success(source.sha, slots_of(source.sha), self.world.step, step))
            self.listed.add((source.name, source.sha))

    def replaced(self, slot: int, sha: int) -> None:
        """Note that a file has replaced its earlier self."""
        self.versions.append((slot, version_of(sha), self.world.step))

    def removed(self, life: int) -> None:
        """Note a removal that is reported."""
        self.world.say(f"reports a removal, life {life}")
        self.lives.append((self.world.step, life))

    def pin(self, view: View) -> None:
        """Note a reader that holds its view from now on."""
        self.views.append(view)

    def tagged(self, number: int) -> None:
        """Note a tag that is reported."""
        self.world.say(f"reports snapshot {number} tagged")
        self.tags.add(number)
        self.check_kept(number, "tagged")

    # -- what is true -----------------------------------------------------------------------------

    def rows(self, snapshot: Snapshot) -> list[Row]:
        """Return the rows of a snapshot, whether its leaves are there or not."""
        return [row for key in snapshot.leaves if key for row in self.world.leaf_rows[key]]

    def needs(self, snapshot: Snapshot) -> frozenset[str]:
        """Return the objects that a snapshot needs."""
        found = self._needs.get(snapshot.nonce)
        if found is None:
            leaves = [key for key in snapshot.leaves if key]
            found = frozenset([*leaves, *[row.key for key in leaves for row in self.world.leaf_rows[key]]])
            self._needs[snapshot.nonce] = found
        return found

    def gone_since(self, success: _Success, slot: int) -> bool:
        """Return whether a removal came after what was reported."""
        steps = self.removals[slot]
        return bool(steps) and steps[-1] > success.unless

    # -- checks -----------------------------------------------------------------------------------

    def swapped(self, old: Snapshot, new: Snapshot) -> None:
        """Check a new snapshot at the moment in which it becomes the newest."""
        world = self.world
        self.history[new.number] = new
        self.steps[new.number] = world.step
        self.superseded[old.number] = world.hours
        for slot in range(SLOTS):
            if new.lives[slot] > old.lives[slot]:
                self.removals[slot].append(world.step)
        missing = sorted(key for key in self.needs(new) if key not in world.objects)
        if missing:
            raise Violation(f"snapshot {new.number} ({new.note}) refers to {missing[0]}, which is not there")
        rows = self.rows(new)
        for row in rows:
            self.folded.setdefault(row.id, new.number)
        check_once(rows, f"snapshot {new.number} ({new.note})")
        if new.note == "compact":
            before = {slot: sha for slot, (sha, _) in served(self.rows(old)).items()}
            after = {slot: sha for slot, (sha, _) in served(rows).items()}
            if before != after:
                raise Violation(f"compact changed what is read in snapshot {new.number}: {before} became {after}")

    def deleted(self, key: str) -> None:
        """Check that nobody needs what was just deleted."""
        world = self.world
        current: Snapshot = world.objects[CURRENT][0]
        if key.startswith(COMMITS):
            if key not in current.folded and key in self.safe:
                raise Violation(f"{key} is deleted and was never folded")
            return
        young = world.hours - RETENTION
        kept = [number for number, hour in self.superseded.items() if hour > young]
        if key.startswith(SNAPSHOTS):
            number = int(key[len(SNAPSHOTS) :])
            if number in kept or number in self.tags:
                raise Violation(f"{key} is deleted, and is tagged or younger than the retention time")
            return
        if key in self.needs(current):
            raise Violation(f"{key} is deleted, and CURRENT needs it")
        for number in [*kept, *sorted(self.tags)]:
            if key in self.needs(self.history[number]):
                raise Violation(f"{key} is deleted, and snapshot {number} needs it, tagged or young")
        for view in self.views:
            if view.hour > young and (key in self.needs(view.snapshot) or any(row.key == key for row in view.rows)):
                raise Violation(f"{key} is deleted, and a reader holds it since {world.hours - view.hour:g} h")

    def check_kept(self, number: int, what: str) -> None:
        """Check that a snapshot can be opened by its number."""
        current: Snapshot = self.world.objects[CURRENT][0]
        if number != current.number and copy_key(number) not in self.world.objects:
            raise Violation(f"snapshot {number} is {what} and cannot be opened")
        if any(key not in self.world.objects for key in self.needs(self.history[number])):
            raise Violation(f"snapshot {number} is {what}, and what it needs is not there")

    def check_all_kept(self) -> None:
        """Check that every tagged and every young snapshot can be opened."""
        young = self.world.hours - RETENTION
        for number, hour in self.superseded.items():
            if hour > young:
                self.check_kept(number, "younger than the retention time")
        for number in sorted(self.tags):
            self.check_kept(number, "tagged")

    def check_view(self, view: View) -> None:
        """Check what a reader sees: all or nothing, each thing once, nothing reported lost, nothing removed."""
        seen = served(view.rows)
        self._check_rows(view)
        self._check_commits(view, set(seen))
        self._check_reports(view, {slot: sha for slot, (sha, _) in seen.items()})

    def _check_rows(self, view: View) -> None:
        """Check that each row is whole, there once, and neither removed nor replaced."""
        snapshot = view.snapshot
        among = snapshot.folded.union(commit.key for commit in view.commits)
        held = {row.id for row in self.rows(snapshot)}
        for row in view.rows:
            if row.key not in self.world.objects:
                raise Violation(f"a reader sees a row whose granule {row.key} is not there")
            if not row.origin <= among:
                raise Violation(f"a reader sees a row of {sorted(row.origin)} without having the commits")
            removed = [sha for slot, sha in row.content if row.life < snapshot.lives[slot]]
            if removed:
                raise Violation(f"a reader sees source {removed[0]}, which was removed")
            if row.id not in held and self.folded.get(row.id, snapshot.number + 1) <= snapshot.number:
                raise Violation(f"a reader sees {row.key} again, beside the row that took its place")
        check_once(view.rows, "a view")

    def _check_commits(self, view: View, seen: set[int]) -> None:
        """Check that all of each commit is seen."""
        lives = view.snapshot.lives
        for key in [*sorted(view.snapshot.folded), *[commit.key for commit in view.commits]]:
            for row in self.commits[key].rows:
                for slot, sha in row.content:
                    if slot not in seen and row.life >= lives[slot]:
                        raise Violation(f"a reader has {key} and does not see its source {sha} in slot {slot}")

    def _check_reports(self, view: View, seen: dict[int, int]) -> None:
        """Check that what was reported before the reader came is so."""
        for since, life in self.lives:
            if since < view.asked and view.snapshot.life < life:
                raise Violation(f"a removal that was reported (life {life}) is undone")
        for success in self.successes:
            if success.since < view.asked:
                for slot in success.slots:
                    if slot not in seen and not self.gone_since(success, slot):
                        raise Violation(f"source {success.sha} was reported, and a reader does not see slot {slot}")
        for slot, version, since in self.versions:
            if since < view.asked and slot in seen and version_of(seen[slot]) < version:
                raise Violation(f"slot {slot} was replaced by version {version}, and a reader sees an older one")


def check_once(rows: Iterable[Row], where: str) -> None:
    """Check that no row is there twice, by itself or in one that stands for it."""
    known: set[int] = set()
    for row in rows:
        names = {row.id, *row.replaces}
        if not known.isdisjoint(names):
            raise Violation(f"{where} holds the same row twice")
        known |= names


def stored_twice(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """Return what is stored more than once: (slot, source)."""
    held = [pair for row in rows for pair in row.content]
    return sorted({pair for pair in held if held.count(pair) > 1})

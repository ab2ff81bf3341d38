"""Keepers: all that replaces rows or removes objects: compact, rm, ingest --replace, tag and gc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.rules import Rule
from model.values import SLOTS, Row, Snapshot, Source, content_of, cut, new_row, served, slots_of
from model.world import COMMITS, DATA, DAY, HALF_DAY, LEAVES, RETENTION, SNAPSHOTS, Process, World, copy_key

if TYPE_CHECKING:
    from model.book import Book

__all__ = ["collect", "compact", "remove", "replace", "tag"]

_TRIES = 4
_CLOCK_AHEAD = 40.0  # hours by which a keeper's own clock may be wrong
_REPLACED = (0, 1, 4, 5)  # slots that no other recorder holds


def following(old: Snapshot, world: World, note: str, **changes: object) -> Snapshot:
    """Return the snapshot after one."""
    return old._replace(
        number=old.number + 1, nonce=world.fresh(), note=note, created=world.hours, dropped=(), **changes
    )


# -- compact --------------------------------------------------------------------------------------


def compact(world: World, book: Book, *, everything: bool = False) -> Process[None]:
    """Merge some rows into one; after a lost race only if they are all still there."""
    yield
    old, etag = world.current()
    rows = world.rows(old)
    members = members_of(world, rows, everything=everything)
    if len(members) < 2:
        return
    content = tuple(sorted((slot, sha) for slot, (sha, _) in served(members).items()))
    replaced = frozenset(name for row in members for name in (row.id, *row.replaces))
    origin = frozenset(key for row in members for key in row.origin)
    row = new_row(old.life, content, f"{DATA}{world.fresh()}", origin)
    if Rule.IDS_KEPT not in world.off:
        row = row._replace(replaces=replaced)
    began = world.hours
    yield from world.put(row.key, row.content)
    until = 1e9  # gc's swap is in the way of the first try, whenever it comes
    for _ in range(_TRIES):
        gone = set(members)
        left = [other for other in rows if other not in gone]
        leaves, put = world.leaves(old, [*left, row])
        new = following(old, world, "compact", leaves=leaves)
        if (yield from world.swap(old, etag, new, put, until)):
            return
        yield
        old, etag = world.current()
        rows = world.rows(old)
        if Rule.REPLACER_HALF_DAY not in world.off:
            until = began + HALF_DAY
        if Rule.RECHECKED not in world.off and not set(members) <= set(rows):
            world.say("gives up: a row to be replaced is no longer there")
            return
        if Rule.OVERLAPS_RECHECKED not in world.off and len(overlapping(rows, members)) > len(members):
            world.say("gives up: another row has come that overlaps")
            return


def members_of(world: World, rows: list[Row], *, everything: bool) -> list[Row]:
    """Return contiguous rows to be merged, and all that overlap them."""
    ordered = sorted(rows, key=lambda row: (row.content[0][0], row.id))
    if not ordered:
        return []
    first = 0 if everything else int(world.chance() * len(ordered))
    most = SLOTS * 4 if everything else 2 + int(world.chance() * 3)
    members = [ordered[first]]
    last = ordered[first].content[-1][0]
    for row in ordered[first + 1 :]:
        if row.content[0][0] > last + 1 or len(members) >= most:
            break
        members.append(row)
        last = max(last, row.content[-1][0])
    return members if Rule.OVERLAPS_TAKEN in world.off else overlapping(rows, members)


def overlapping(rows: list[Row], members: list[Row]) -> list[Row]:
    """Return members and all rows that share times with them, or with what shares times with them."""
    first = min(row.content[0][0] for row in members)
    last = max(row.content[-1][0] for row in members)
    found = list(members)
    while True:
        wider = [row for row in rows if row.content[0][0] <= last and row.content[-1][0] >= first]
        if len(wider) <= len(found):
            return wider if len(wider) == len(found) else found
        found = wider
        first = min(row.content[0][0] for row in found)
        last = max(row.content[-1][0] for row in found)


# -- removal and replacement ----------------------------------------------------------------------


def after_removal(world: World, old: Snapshot, slots: tuple[int, ...]) -> tuple[dict[str, object], list[Row]]:
    """Return what a removal changes of a snapshot, and which rows it leaves."""
    life = old.life + 1
    lives = tuple(life if slot in slots else old.lives[slot] for slot in range(SLOTS))
    left = [kept for row in world.rows(old) if (kept := cut(row, lives)) is not None]
    ledger = tuple(line for line in old.ledger if all(lives[slot] <= line.life for slot in slots_of(line.sha)))
    return {"life": life, "lives": lives, "ledger": ledger}, left


def remove(world: World, book: Book) -> Process[None]:
    """Remove the dataset, or a span of its time; begin a new life there."""
    slots = tuple(range(SLOTS))
    if world.chance() < 0.6:
        first = int(world.chance() * SLOTS)
        slots = slots[first : first + 1 + int(world.chance() * 3)]
    for _ in range(_TRIES):
        yield
        old, etag = world.current()
        changes, left = after_removal(world, old, slots)
        leaves, put = world.leaves(old, left)
        new = following(old, world, "rm", leaves=leaves, **changes)
        if (yield from world.swap(old, etag, new, put)):
            book.removed(new.life)
            return


def replace(world: World, book: Book) -> Process[None]:
    """A file has changed, and its new self takes the place of the earlier one."""
    slot = _REPLACED[int(world.chance() * len(_REPLACED))]
    name = str(slot)
    world.files[name] = world.files.get(name, 0) + 1
    yield
    sha = slot + 10 * world.files[name]
    old, etag = world.current()
    life, began, until = old.life + 1, world.hours, 1e9
    row = new_row(life, content_of([sha]), f"{DATA}{world.fresh()}", frozenset())
    yield from world.put(row.key, row.content)
    for _ in range(_TRIES):
        changes, left = after_removal(world, old, (slot,))
        leaves, put = world.leaves(old, [*left, row])
        changes["ledger"] = (*changes["ledger"], Source(name, sha, life))  # type: ignore[misc]
        new = following(old, world, "replace", leaves=leaves, **changes)
        if (yield from world.swap(old, etag, new, put, until)):
            book.acknowledge([Source(name, sha, life)], book.steps[new.number])
            book.replaced(slot, sha)
            return
        yield
        old, etag = world.current()
        if Rule.REPLACER_HALF_DAY not in world.off:
            until = began + HALF_DAY
        if Rule.RECHECKED not in world.off and old.life + 1 != life:
            world.say("gives up: there was another removal")
            return


def tag(world: World, book: Book) -> Process[None]:
    """Name a snapshot, so that gc keeps it."""
    yield
    old, etag = world.current()
    least = 0 if Rule.TAG_ABOVE_FLOOR in world.off else old.floor
    number = least + int(world.chance() * (old.number + 1 - least))
    yield
    if number != old.number and world.get(copy_key(number)) is None:
        return
    if Rule.TAGS_IN_CURRENT in world.off:
        yield from world.put(f"tags/{number}", number)
        book.tagged(number)
        return
    for _ in range(_TRIES):
        new = following(old, world, "tag", tags=(*old.tags, number))
        if (yield from world.swap(old, etag, new, [])):
            book.tagged(number)
            return
        yield
        old, etag = world.current()
        if number < old.floor and Rule.TAG_ABOVE_FLOOR not in world.off:
            world.say(f"refuses: snapshot {number} is no longer kept")
            return


# -- gc -------------------------------------------------------------------------------------------


def collect(world: World, book: Book) -> Process[None]:  # noqa: C901 - the order of its steps is the rule
    """Delete what nothing refers to, and what was dropped longer ago than the retention time."""
    off = world.off
    ahead = _CLOCK_AHEAD if Rule.STORE_CLOCK in off else 0.0
    needed: set[str] = set()
    if Rule.GC_COMMITS_AFTER in off:
        yield from young_needs(world, needed)
    yield
    now, listed = world.hours + ahead, ages(world)
    yield
    old, etag = world.current()
    floor = floor_of(world, old, listed, now)
    if Rule.GC_SWAPS not in off:
        new = following(old, world, "gc", floor=floor)
        if not (yield from world.swap(old, etag, new, [])):
            return
        old = new
    if Rule.GC_LISTS_FIRST in off:
        yield
        now, listed = world.hours + ahead, ages(world)
    if Rule.GC_COMMITS_AFTER not in off:
        yield from young_needs(world, needed)
    if Rule.GC_CURRENT_AFTER not in off:
        yield
        old, _ = world.current()
    floor = max(floor, old.floor)
    if not (yield from kept_needs(world, old, floor, needed)):
        return
    tags = old.tags if Rule.TAGS_IN_CURRENT not in off else tuple(int(key[5:]) for key in world.list("tags/"))
    for key, modified in listed.items():
        if key.startswith(SNAPSHOTS):
            number = int(key[len(SNAPSHOTS) :])
            done = number < floor and number not in tags
        else:
            done = key not in needed and (is_old(world, now, modified) or Rule.GC_DAY in off)
        if done:
            yield
            world.delete(key)


def is_old(world: World, now: float, modified: float) -> bool:
    """Return whether an object was a day old when it was listed."""
    if Rule.GC_AGES_AT_LIST in world.off:
        now = world.hours
    return now - modified >= DAY


def ages(world: World) -> dict[str, float]:
    """Return what may be deleted, with the store's time of each."""
    world.say("LIST of data, leaves and snapshots")
    return {
        key: modified for key, (_, _, modified) in world.objects.items() if key.startswith((DATA, LEAVES, SNAPSHOTS))
    }


def floor_of(world: World, current: Snapshot, listed: dict[str, float], now: float) -> int:
    """Return the oldest snapshot to be kept: the first that was the newest within the retention time."""
    floor = current.floor
    while floor < current.number:
        followed = listed.get(copy_key(floor + 1))
        if followed is None or followed > now - RETENTION:
            break
        floor += 1
    return floor


def young_needs(world: World, needed: set[str]) -> Process[None]:
    """Add what young commits need; one that is gone is in the CURRENT that is read next."""
    yield
    for key in world.list(COMMITS):
        yield
        found = world.get(key)
        if found is not None:
            needed.update(row.key for row in found[0].rows)


def kept_needs(world: World, current: Snapshot, floor: int, needed: set[str]) -> Process[bool]:
    """Add what the kept snapshots need, and what they say was dropped; `False` where one of them is gone."""
    kept: list[Snapshot] = [current]
    numbers = [*range(floor, current.number), *current.tags] if Rule.GC_READS_KEPT not in world.off else current.tags
    for number in numbers:
        if number == current.number:
            continue
        yield
        found = world.get(copy_key(number))
        if found is None:
            if Rule.TAGS_IN_CURRENT in world.off or Rule.COPY_FIRST in world.off:
                continue
            world.say(f"gives up: snapshot {number} is gone, another gc is at work")
            return False
        kept.append(found[0])
    for snapshot in kept:
        needed.update(key for key in snapshot.leaves if key)
        needed.update(row.key for key in snapshot.leaves if key for row in world.leaf_rows[key])
        if snapshot.number > floor:
            needed.update(snapshot.dropped)
    return True

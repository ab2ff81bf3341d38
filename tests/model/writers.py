"""Writers, who put granules and then a commit, and folders, who move commits into leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.readers import View, open_view, young_life, young_row
from model.rules import Rule
from model.values import OTHER, SLOTS, Commit, Row, Snapshot, Source, content_of, covered, new_row, slots_of
from model.world import COMMITS, DATA, HALF_DAY, Process, World, young

if TYPE_CHECKING:
    from model.book import Book

__all__ = ["fold", "folder", "write", "writer"]

NAMES = ("0", "1", "2", "8", "3", "4", "5", "1-copy", "4-copy")
"""Files: each begins with the number of its source; a copy has the same content under another name."""


def writer(world: World, book: Book) -> Process[None]:
    """Ingest some files; now and then twice, or without looking into the ledger, as redelivered work is."""
    blind = world.chance() < 0.3
    count = 1 + int(world.chance() * 5)
    first = int(world.chance() * len(NAMES))
    names = [NAMES[(first + number) % len(NAMES)] for number in range(count)]
    for _ in range(1 + (world.chance() < 0.3)):
        yield from write(world, book, names, blind=blind)


def write(world: World, book: Book, names: list[str], *, blind: bool) -> Process[None]:
    """Ingest files as `ingest.run` does: plan with a view, put granules, commit, report."""
    view = yield from open_view(world)
    book.check_view(view)
    life = young_life(world, view)
    yield
    sources, shas = chosen(world, book, view, life, names, blind=blind)
    if not sources:
        return
    began = world.hours
    key = f"{COMMITS}{world.fresh()}"
    rows = tuple(made(world, life, shas, key))
    if Rule.GRANULES_FIRST not in world.off:
        for row in rows:
            yield from world.put(row.key, row.content)
    until = began + HALF_DAY if Rule.WRITER_HALF_DAY not in world.off else 1e9
    commit = Commit(key, rows, tuple(sources))
    book.committed(commit)
    done = yield from world.put(key, commit, None, until)
    if Rule.GRANULES_FIRST in world.off:
        for row in rows:
            yield from world.put(row.key, row.content)
    if not done:
        if done is False:
            book.blocked(key)
        return
    step = world.step
    if Rule.ACK_LOOKS_BACK not in world.off:
        yield
        lives = world.current()[0].lives
        if any(lives[slot] > life for source in sources for slot in slots_of(source.sha)):
            world.say("was passed by a removal: reports no success")
            book.passed(view, life, sources)
            return
    book.safe.add(key)
    book.acknowledge(sources, step)


def chosen(
    world: World, book: Book, view: View, life: int, names: list[str], *, blind: bool
) -> tuple[list[Source], list[int]]:
    """Return the lines of the ledger and the contents that are new."""
    lives = view.snapshot.lives
    listed = [*view.snapshot.ledger, *(source for commit in view.commits for source in commit.sources)]
    if Rule.LEDGER_HAS_LIVES not in world.off:
        listed = [source for source in listed if all(lives[slot] <= source.life for slot in slots_of(source.sha))]
    seen = {(source.name, source.sha) for source in listed}
    held = {source.sha for source in listed}
    earlier = {source.name: source.sha for source in listed}
    sources: list[Source] = []
    shas: list[int] = []
    for name in names:
        sha = int(name[0]) + 10 * world.files.get(name[0], 0)
        if blind or (name, sha) not in seen:
            if not blind and earlier.get(name, sha) != sha:
                continue  # a changed file is refused without --replace
            sources.append(Source(name, sha, life))
            if (blind or sha not in held) and sha not in shas:
                shas.append(sha)
        else:
            book.acknowledge([Source(name, sha, life)], view.asked, known=True)
    return sources, shas


def made(world: World, life: int, shas: list[int], commit: str) -> list[Row]:
    """Return the rows of granules: contiguous sources together or apart, what overlaps apart."""
    groups: list[list[int]] = []
    for sha in sorted(shas, key=lambda sha: sha % 10):
        follows = groups and groups[-1][-1] % 10 == sha % 10 - 1 and sha % 10 < SLOTS
        if follows and world.chance() < 0.6:
            groups[-1].append(sha)
        else:
            groups.append([sha])
    assert all(len(group) == 1 or OTHER not in group for group in groups)
    origin = frozenset((commit,))
    return [new_row(life, content_of(group), f"{DATA}{world.fresh()}", origin) for group in groups]


def folder(world: World, book: Book) -> Process[None]:
    """Fold once or twice."""
    for _ in range(1 + (world.chance() < 0.5)):
        yield from fold(world, book)


def fold(world: World, book: Book) -> Process[None]:
    """Fold as `ingest.index.fold` does."""
    yield
    if world.chance() < 0.5:
        old, etag = world.current()
        yield
        keys = world.list(COMMITS)
    else:
        keys = world.list(COMMITS)
        yield
        old, etag = world.current()
    if not keys:
        return
    bodies = yield from young(world, keys)
    commits = [body for body in bodies.values() if body is not None]
    if len(commits) < len(keys):
        return
    new, leaves = folded(world, old, commits)
    if Rule.DELETE_AFTER_SWAP in world.off:
        for key in keys:
            yield
            world.delete(key)
    won = yield from world.swap(old, etag, new, leaves)
    if won or Rule.ONLY_WINNER_DELETES in world.off:
        for key in keys:
            yield
            world.delete(key)


def folded(world: World, old: Snapshot, commits: list[Commit]) -> tuple[Snapshot, list[str]]:
    """Return the next snapshot, and the leaves that it needs."""
    held = world.rows(old)
    known = {name for row in held for name in (row.id, *row.replaces)}
    fresh: list[Row] = []
    gone: list[str] = []
    for commit in commits:
        for row in commit.rows:
            left = young_row(world, old, row)
            if left is None or (row.id in known and Rule.FOLD_DROPS_KNOWN not in world.off):
                gone.append(row.key)
                continue
            if Rule.FOLD_DROPS_KNOWN not in world.off:
                known.add(row.id)
            fresh.append(left)
    rows = list(held)
    for row in sorted(fresh, key=lambda row: (-len(row.content), row.content, row.id)):
        if Rule.FOLD_DROPS_COVERED not in world.off and covered(row.content, rows):
            gone.append(row.key)
        else:
            rows.append(row)
    kept = {row.key for row in rows}
    leaves, put = world.leaves(old, rows)
    new = old._replace(
        number=old.number + 1,
        nonce=world.fresh(),
        note="fold",
        created=world.hours,
        leaves=leaves,
        ledger=ledger_with(world, old, [source for commit in commits for source in commit.sources]),
        dropped=() if Rule.DROPPED_NAMED in world.off else tuple(key for key in gone if key not in kept),
        folded=old.folded | {commit.key for commit in commits},
    )
    return new, put


def ledger_with(world: World, old: Snapshot, sources: list[Source]) -> tuple[Source, ...]:
    """Return the ledger with new sources in it, each once."""
    if Rule.LEDGER_HAS_LIVES not in world.off:
        sources = [source for source in sources if all(old.lives[slot] <= source.life for slot in slots_of(source.sha))]
    if Rule.LEDGER_ONCE in world.off:
        return (*old.ledger, *sources)
    lines = {(source.name, source.sha): source for source in old.ledger}
    for source in sources:
        line = lines.get((source.name, source.sha))
        if line is None or line.life < source.life:
            lines[source.name, source.sha] = source
    return tuple(lines.values())

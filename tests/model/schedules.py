"""Schedules: who takes part, in which order they go on, who dies and when time passes. A seed decides it all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from model.book import Book, stored_twice
from model.keepers import collect, compact, remove, replace, tag
from model.readers import open_view
from model.rules import Rule
from model.values import Snapshot, slots_of
from model.world import COMMITS, CURRENT, Process, Violation, World
from model.writers import NAMES, fold, folder, write, writer

__all__ = ["Failure", "Outcome", "explain", "first_failure", "run", "run_many"]

type Actor = Callable[[World, Book], Process[None]]


class Failure(NamedTuple):
    """A schedule that broke a promise."""

    seed: int
    promise: str


class Outcome(NamedTuple):
    """What many schedules came to."""

    schedules: int
    steps: int
    failures: tuple[Failure, ...]


class Mix(NamedTuple):
    """Who takes part, at least and at most, and how often time jumps."""

    actors: tuple[tuple[Actor, int, int], ...]
    jumps: int
    deaths: float


def reader(world: World, book: Book) -> Process[None]:
    """Open, and hold what is seen."""
    for _ in range(2):
        view = yield from open_view(world)
        book.check_view(view)
        book.pin(view)


def initialiser(world: World, book: Book) -> Process[None]:
    """Make the archive once more: another `init` was first."""
    yield from world.put(CURRENT, Snapshot())


MIXES = (
    Mix(((writer, 2, 4), (folder, 1, 3), (reader, 1, 3), (initialiser, 0, 1)), 0, 0.01),
    Mix(((writer, 2, 4), (folder, 1, 2), (reader, 1, 2), (compact, 1, 3), (remove, 0, 1)), 0, 0.01),
    Mix(((writer, 2, 4), (folder, 1, 3), (reader, 0, 2), (remove, 1, 2), (replace, 0, 2), (compact, 0, 1)), 1, 0.01),
    Mix(((writer, 1, 4), (folder, 1, 3), (reader, 0, 2), (collect, 1, 2), (compact, 0, 2)), 5, 0.02),
    Mix(((writer, 1, 3), (folder, 1, 3), (reader, 0, 1), (collect, 1, 3), (tag, 0, 2), (remove, 0, 1)), 6, 0.02),
    Mix(((writer, 1, 2), (folder, 1, 2), (collect, 1, 2), (replace, 0, 2), (compact, 0, 2)), 4, 0.02),
    Mix(((writer, 2, 3), (folder, 2, 3), (compact, 2, 3)), 0, 0.0),
    Mix(((writer, 0, 1), (folder, 1, 2), (tag, 1, 2), (collect, 1, 2)), 3, 0.01),
    Mix(((writer, 1, 1), (folder, 2, 3), (collect, 1, 1)), 3, 0.0),
)
_FOCUS = {
    Rule.GC_LISTS_FIRST: 3,
    Rule.GC_SWAPS: 3,
    Rule.DROPPED_NAMED: 3,
    Rule.OVERLAPS_TAKEN: 6,
    Rule.OVERLAPS_RECHECKED: 6,
    Rule.FRESH_LEAVES: 8,
    Rule.TAGS_IN_CURRENT: 7,
    Rule.TAG_ABOVE_FLOOR: 7,
}
_JUMPS = (1.0, 5.0, 11.0, 13.0, 25.0, 26.0, 31.0)
_DELIVERS = 0.04
_STAYS = 0.7  # how often who went on goes on
_TOO_LONG = 20_000


def run(seed: int, off: Iterable[Rule] = (), trace: Callable[[str], None] | None = None) -> int:
    """Run one schedule, check every promise, and return the number of its steps.

    Raises
    ------
    Violation
        A promise is broken.
    """
    world = World(seed, tuple(off), trace)
    book = Book(world)
    chance = world.chance
    mix = MIXES[seed % len(MIXES)]
    world.faults = (0.0, 0.03, 0.1)[int(chance() * 3)]
    running = started(world, book, mix)
    jump = 0.06 if mix.jumps else 0.0
    jumps = int(chance() * (mix.jumps + 1))
    deaths = mix.deaths if chance() < 0.6 else 0.0
    last = 0
    while running:
        world.step += 1
        lot = chance()
        if lot < _DELIVERS and world.late:
            world.deliver()
            continue
        if jumps and lot > 1 - jump:
            jumps -= 1
            world.pass_time(_JUMPS[int(chance() * len(_JUMPS))])
            continue
        if last >= len(running) or chance() > _STAYS:
            last = int(chance() * len(running))
        world.who, process = running[last]
        if chance() < deaths:
            world.say("dies")
            process.close()
            running.pop(last)
            continue
        try:
            next(process)
        except StopIteration:
            running.pop(last)
        if world.step > _TOO_LONG:
            raise Violation("somebody goes on for ever")
    world.faults = 0.0
    finish(world, book)
    return world.step


def started(world: World, book: Book, mix: Mix) -> list[tuple[str, Process[None]]]:
    """Return the processes that take part."""
    running: list[tuple[str, Process[None]]] = []
    for actor, least, most in mix.actors:
        for number in range(least + int(world.chance() * (most - least + 1))):
            running.append((f"{actor.__name__} {number}", actor(world, book)))  # noqa: PERF401
    return running


def finish(world: World, book: Book) -> None:
    """Let the archive come to rest, and check what must be true then."""

    def alone(process: Process[None]) -> None:
        world.who = "at rest"
        for _ in process:
            world.step += 1

    def folds() -> None:
        for _ in range(3):
            if world.list(COMMITS):
                alone(fold(world, book))
        if world.list(COMMITS):
            raise Violation("commits cannot be folded")

    def look() -> None:
        world.step += 1
        alone(reader(world, book))

    look()
    folds()
    look()
    book.check_all_kept()
    apart = [name for name in NAMES if not name.startswith("8")]
    alone(write(world, book, apart, blind=True))
    folds()
    # Compact drops what loses against another source, so that may come again with its neighbours.
    came = [*book.rows(world.objects[CURRENT][0]), *(row for commit in book.commits.values() for row in commit.rows)]
    pairs = {pair for row in came for pair in row.content}
    disputed = len(pairs) > len({slot for slot, _ in pairs})
    alone(compact_runs(world, book))
    before = stored_twice(book.rows(world.objects[CURRENT][0]))
    if before:
        raise Violation(f"stored twice after compact: {before}")
    alone(write(world, book, apart, blind=True))
    folds()
    after = stored_twice(book.rows(world.objects[CURRENT][0]))
    if after and not disputed:
        raise Violation(f"stored twice after it came in once more: {after}")
    check_ledger(world, book)
    look()


def compact_runs(world: World, book: Book) -> Process[None]:
    """Compact until nothing is stored twice."""
    yield from compact(world, book, everything=True)
    for _ in range(40):
        if not stored_twice(world.rows(world.objects[CURRENT][0])):
            return
        yield from compact(world, book)


def check_ledger(world: World, book: Book) -> None:
    """Check that the ledger lists what was reported, and each source once under a name."""
    current: Snapshot = world.objects[CURRENT][0]
    lines = [(line.name, line.sha) for line in current.ledger]
    if len(lines) > len(set(lines)):
        raise Violation("the ledger lists a source twice")
    for success in book.successes:
        gone = any(book.gone_since(success, slot) for slot in success.slots)
        if not gone and success.sha not in {sha for _, sha in lines}:
            raise Violation(f"source {success.sha} was reported, and the ledger does not list it")
    held = {slot for row in book.rows(current) for slot, _ in row.content}
    for name, sha in lines:
        if not set(slots_of(sha)) <= held:
            raise Violation(f"the ledger lists {name} ({sha}), and its samples are not there")


def run_many(first: int, count: int, off: tuple[Rule, ...] = (), stride: int = 1) -> Outcome:
    """Run schedules one after the other; stop at the first that breaks a promise."""
    steps = 0
    for number in range(count):
        seed = first + number * stride
        try:
            steps += run(seed, off)
        except Violation as broken:
            return Outcome(number + 1, steps, (Failure(seed, str(broken)),))
    return Outcome(count, steps, ())


def first_failure(off: tuple[Rule, ...], most: int) -> Failure | None:
    """Return the first schedule that breaks a promise, among so many at most.

    Where the breach of a rule shows seldom, these are schedules of the mix whose actors it concerns.
    """
    mix = next((_FOCUS[rule] for rule in off if rule in _FOCUS), None)
    outcome = run_many(0, most, off) if mix is None else run_many(mix, most, off, len(MIXES))
    failures = outcome.failures
    return failures[0] if failures else None


def explain(failure: Failure, off: Iterable[Rule] = ()) -> str:
    """Return seed, promise and trace of a schedule that broke one."""
    lines: list[str] = []
    try:
        run(failure.seed, off, lines.append)
    except Violation as broken:
        lines.append(f"     {broken}")
    return "\n".join([f"seed {failure.seed}: {failure.promise}", *lines])

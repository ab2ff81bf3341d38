"""The model's world: a store with a clock, lost answers and late messages, and the book that checks promises.

A process is a generator; each `yield` is a moment at which any other may go on, time may pass, or it may
die. Between two yields it makes at most one request, which the store does at once and whole.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

from model.rules import Rule
from model.values import Commit, Row, Snapshot, leaf_of

__all__ = ["CURRENT", "DAY", "HALF_DAY", "RETENTION", "Process", "Violation", "World", "copy_key"]

CURRENT = "index/CURRENT"
COMMITS = "commits/"
DATA = "data/"
LEAVES = "index/leaves/"
SNAPSHOTS = "index/snapshots/"
DAY, HALF_DAY = 24.0, 12.0
RETENTION = 30.0  # hours
_REQUEST_LIVES = 11.0  # hours until a request that has not arrived never will: the margin of the half day

type Process[T] = Generator[None, None, T]


class Violation(Exception):
    """A promise is broken."""


def copy_key(number: int) -> str:
    """Return the key of the copy of a snapshot."""
    return f"{SNAPSHOTS}{number}"


class World:
    """The store, the clock, and chance.

    Parameters
    ----------
    seed
        Decides everything: the same seed is the same schedule.
    off
        Rules that are not kept.
    trace
        Called with a line for each thing that happens.
    """

    def __init__(self, seed: int, off: tuple[Rule, ...] = (), trace: Callable[[str], None] | None = None) -> None:
        self.random = random.Random(seed)
        self.chance = self.random.random
        self.off = off
        self.trace = trace
        self.hours = 0.0
        self.step = 0
        self.faults = 0.0  # how often an answer is lost or a message late
        self.objects: dict[str, tuple[Any, int, float]] = {}  # value, etag, modified
        self.late: list[tuple[float, str, Any, int | None]] = []
        self.leaf_rows: dict[str, tuple[Row, ...]] = {}
        self.files: dict[str, int] = {}
        self.who = ""
        self._count = 0
        self.on_swap: Callable[[Snapshot, Snapshot], None] = lambda old, new: None
        self.on_delete: Callable[[str], None] = lambda key: None
        self.put_now(CURRENT, Snapshot(), None)

    def fresh(self) -> int:
        """Return a number never given before."""
        self._count += 1
        return self._count

    def say(self, what: str) -> None:
        """Write a line of the trace."""
        if self.trace is not None:
            self.trace(f"{self.step:4d} {self.hours:6.1f} h  {self.who:12s} {what}")

    # -- requests ---------------------------------------------------------------------------------

    def get(self, key: str) -> tuple[Any, int, float] | None:
        """Return value, ETag and age of an object, or `None`."""
        found = self.objects.get(key)
        if self.trace is not None:
            value = found[0] if found else "nothing"
            self.say(f"GET {key} -> {value.number if isinstance(value, Snapshot) else 'it' if found else value}")
        return found

    def current(self) -> tuple[Snapshot, int]:
        """Return the newest snapshot and its ETag."""
        found = self.get(CURRENT)
        if found is None:
            raise Violation("CURRENT is missing")
        return found[0], found[1]

    def list(self, prefix: str) -> list[str]:
        """Return the keys below a prefix."""
        found = [key for key in self.objects if key.startswith(prefix)]
        if self.trace is not None:
            self.say(f"LIST {prefix} -> {found}")
        return found

    def put_now(self, key: str, value: Any, etag: int | None) -> bool:
        """Put an object if it has an ETag (`None`: if there is none), and return whether it was put."""
        there = self.objects.get(key)
        if etag is None:
            if there is not None and Rule.PUT_IF_ABSENT not in self.off:
                return False
        elif (there is None or there[1] != etag) and Rule.SWAP_COMPARES not in self.off:
            return False
        self.objects[key] = (value, self.fresh(), self.hours)
        if key == CURRENT and there is not None:
            self.on_swap(there[0], value)
        return True

    def delete(self, key: str) -> None:
        """Delete an object if it is there."""
        if key in self.objects:
            self.say(f"DELETE {key}")
            del self.objects[key]
            self.on_delete(key)

    def put(self, key: str, value: Any, etag: int | None = None, until: float = 1e9) -> Process[bool | None]:
        """Put as a client does: it repeats what was not answered; `None` where time was up.

        The value must be a new object: to be the same object is to hold the same nonce.
        """
        asked_twice = False
        while True:
            yield
            if self.hours > until:
                return None
            if self.chance() < self.faults:
                asked_twice = True
                if self.chance() < 0.4:
                    self.late.append((self.hours + _REQUEST_LIVES, key, value, etag))
                    self.say(f"PUT {key}: does not arrive yet")
                else:
                    done = self.put_now(key, value, etag)
                    self.say(f"PUT {key}: {'done' if done else 'refused'}, but the answer is lost")
                continue
            done = self.put_now(key, value, etag)
            self.say(f"PUT {key} -> {'done' if done else 'refused'}")
            if done:
                return True
            if not asked_twice:
                return False
            if Rule.READ_BACK in self.off:
                return True
            yield
            there = self.get(key)
            if there is not None:
                return there[0] is value
            if etag is not None:
                return False

    # -- what others do ---------------------------------------------------------------------------

    def deliver(self) -> None:
        """Let a message arrive late, whoever sent it."""
        until, key, value, etag = self.late.pop(int(self.chance() * len(self.late)))
        if self.hours <= until:
            self.who = "late"
            done = self.put_now(key, value, etag)
            self.say(f"PUT {key}: arrives {'' if done else 'and is refused'}")

    def pass_time(self, hours: float) -> None:
        """Let hours go by."""
        self.hours += hours
        self.who = "time"
        self.say(f"passes, {hours:g} h")

    # -- leaves -----------------------------------------------------------------------------------

    def rows(self, snapshot: Snapshot) -> list[Row]:
        """Return the rows of a snapshot, from its leaves."""
        found: list[Row] = []
        for key in snapshot.leaves:
            if key is not None:
                if key not in self.objects:
                    raise Violation(f"{key} of snapshot {snapshot.number} is missing")
                found.extend(self.leaf_rows[key])
        return found

    def leaves(self, old: Snapshot, rows: list[Row]) -> tuple[tuple[str | None, ...], list[str]]:
        """Return the leaves that hold rows, and which of them are new."""
        parts: tuple[list[Row], list[Row]] = ([], [])
        for row in rows:
            parts[leaf_of(row)].append(row)
        keys: list[str | None] = []
        put: list[str] = []
        for part, before in zip(parts, old.leaves, strict=True):
            part.sort(key=lambda row: (row.content[0][0], row.id))
            held = tuple(part)
            if not held:
                keys.append(None)
            elif before is not None and self.leaf_rows[before] == held:
                keys.append(before)
            else:
                name: object = self.fresh()
                if Rule.FRESH_LEAVES in self.off:  # the same rows have the same key
                    name = "+".join([row.key[len(DATA) :] for row in held]) + f"-{hash(tuple(row[2] for row in held))}"
                key = f"{LEAVES}{name}"
                self.leaf_rows[key] = held
                keys.append(key)
                put.append(key)
        return tuple(keys), put

    def swap(self, old: Snapshot, etag: int, new: Snapshot, leaves: list[str], until: float = 1e9) -> Process[bool]:
        """Put leaves, copy CURRENT, swap it, and copy the new one; return whether it was ours that got in."""
        if Rule.COPY_FIRST not in self.off:
            yield from self.put(copy_key(old.number), old)
        if Rule.LEAVES_FIRST not in self.off:
            for key in leaves:
                yield from self.put(key, ())
        won = yield from self.put(CURRENT, new, etag, until)
        if won is None:
            return False
        if not won and Rule.COPY_TELLS_WINNER not in self.off:
            yield
            copy = self.get(copy_key(new.number))
            won = copy is not None and copy[0].nonce == new.nonce
        if not won:
            return False
        if Rule.LEAVES_FIRST in self.off:
            for key in leaves:
                yield from self.put(key, ())
        yield from self.put(copy_key(new.number), new)
        return True


def young(world: World, keys: list[str]) -> Process[dict[str, Commit | None]]:
    """Return the bodies of commits, asked for in any order."""
    found: dict[str, Commit | None] = {}
    for key in keys:
        yield
        body = world.get(key)
        found[key] = None if body is None else body[0]
    return found

"""All that can be done to an archive, in any order, with crashes between any two requests, against a dictionary."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fire.scene import (
    SAMPLES,
    STEP,
    Place,
    assert_sound,
    assert_stored_once,
    begin,
    contents,
    leave_young,
    samples,
    seen,
    stamps,
    write,
)
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from archive.errors import DamagedData, NotFound, StoreTrouble
from archive.store import Store, loop
from ingest import run
from ingest.index.fold import fold
from ingest.index.swap import read_current
from ingest.initialise import initialise
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.keeping.tags import tag
from ingest.settings import Settings

if TYPE_CHECKING:
    import archive as lk

NAMES = ("a", "b")
FILES = range(5)

type Model = dict[tuple[str, int], bytes]
"""One row of samples for each dataset and stamp (ns)."""


class Crash(BaseException):
    """The process is dead from here on."""


def mortal(store: Store, at: int) -> Store:
    """Have a store raise `Crash` at its step `at` and at each after: before a request, or after its answer."""
    engine, plain, taken = store._engine, store._engine._repeat, [0]

    def step() -> None:
        taken[0] += 1
        if taken[0] >= at:
            raise Crash

    async def repeat(kind: str, key: str, send: Callable[[int], Awaitable[Any]]) -> Any:
        async def between(retry: int) -> Any:
            step()
            answer = await send(retry)
            step()
            return answer

        return await plain(kind, key, between)

    engine._repeat = repeat  # type: ignore[method-assign,assignment]
    return store


@dataclass(frozen=True)
class Pinned:
    """What a reader holds, and what it must give for ever."""

    spool: lk.Spool
    model: Model
    number: int


class Archive(RuleBasedStateMachine):
    """An archive and what it should hold."""

    cache: Path  # of raw files, by number and version

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lightkeep-fire-"))
        self.model: Model = {}
        self.versions = {(name, number): 0 for name in NAMES for number in FILES}
        self.whole: set[tuple[str, int]] = set()  # files whose content is held, with nothing removed
        self.copied: set[tuple[str, int]] = set()
        self.numbered: dict[int, Model] = {}
        self.tags: dict[str, Model] = {}
        self.pinned: list[Pinned] = []
        self.floor = 0
        self.place = Place(self.url())

    def url(self) -> str:
        return f"memory://fire-{secrets.token_hex(8)}"

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @initialize()
    def make(self) -> None:
        initialise(self.place.store())

    # -- raw files --------------------------------------------------------------------------------

    def path(self, name: str, number: int) -> Path:
        """Return the path of a file as it is now."""
        version = self.version(name, number)
        made = self.cache / str(version) / f"{number:03d}.h5"
        if not made.exists():
            write(made.parent, number, version)
        path = self.folder / name / f"{number:03d}.h5"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        os.link(made, path)
        return path

    def version(self, name: str, number: int) -> int:
        """Return what the content of a file depends on: no two files have the same."""
        return self.versions[name, number] * len(NAMES) + NAMES.index(name)

    def of_file(self, name: str, number: int) -> Model:
        rows = samples(number, self.version(name, number))
        return {(name, stamp): row.tobytes() for stamp, row in zip(stamps(number), rows, strict=True)}

    def put(self, name: str, paths: Iterable[Path], store: Store | None = None, *, anew: bool = False) -> None:
        run.ingest(store or self.place.store(), [str(path) for path in paths], Settings(dataset=name, anew=anew))

    # -- what is done -----------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES),
        numbers=st.sets(st.sampled_from(FILES), min_size=1),
        folded=st.booleans(),
        anew=st.booleans(),
    )
    def ingest(self, name: str, numbers: set[int], *, folded: bool, anew: bool) -> None:
        paths = [self.path(name, number) for number in sorted(numbers)]
        with pytest.MonkeyPatch.context() as patch:
            if not folded:  # who commits need not fold
                leave_young(patch)
            self.put(name, paths, anew=anew)
        self.came_in(name, numbers)

    def came_in(self, name: str, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.model = self.model | self.of_file(name, number)
            self.whole.add((name, number))

    @precondition(lambda self: self.whole)
    @rule(data=st.data())
    def ingest_a_copy(self, data: st.DataObject) -> None:
        name, number = data.draw(st.sampled_from(sorted(self.whole)))
        copy = self.folder / f"copy-{secrets.token_hex(4)}.h5"
        shutil.copyfile(self.path(name, number), copy)
        self.put(name, [copy])
        self.copied.add((name, number))

    @precondition(lambda self: self.whole - self.copied)
    @rule(data=st.data())
    def ingest_a_changed_file(self, data: st.DataObject) -> None:
        name, number = data.draw(st.sampled_from(sorted(self.whole - self.copied)))
        self.versions[name, number] += 1
        self.put(name, [self.path(name, number)])
        self.came_in(name, [number])

    @rule()
    def fold(self) -> None:
        fold(self.place.store())

    @rule()
    def compact(self) -> None:
        compact(self.place.store())
        assert_stored_once(self.place)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_a_span(self, data: st.DataObject) -> None:
        name, first, last = self.a_span(data)
        remove(self.place.store(), name, first, last)
        self.went(name, first, last)

    def a_span(self, data: st.DataObject) -> tuple[str, int, int]:
        """Draw a span that holds something of a dataset."""
        name, first = data.draw(st.sampled_from(sorted(self.model)))
        return name, first, first + data.draw(st.integers(0, 3 * SAMPLES)) * STEP

    def went(self, name: str, first: int, last: int) -> None:
        gone = {(name, stamp) for _, stamp in self.model if first <= stamp <= last}
        self.model = {key: row for key, row in self.model.items() if key not in gone}
        self.whole = {held for held in self.whole if held[0] != name or set(self.of_file(*held)) <= set(self.model)}

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_a_dataset(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted({name for name, _ in self.model})))
        remove(self.place.store(), name)
        self.went(name, begin(0), begin(len(FILES)) + SAMPLES * STEP)

    @rule(name=st.sampled_from(["one", "two", "three"]))
    def tag(self, name: str) -> None:
        if name not in self.tags:
            number = tag(self.place.store(), name)
            self.tags[name] = self.numbered[number] = self.model

    @rule(at_once=st.booleans())
    def collect(self, *, at_once: bool) -> None:
        self.collect_with(self.place.store(), at_once=at_once)

    def collect_with(self, store: Store, *, at_once: bool) -> None:
        if at_once:
            young = bool(self.place.store().entries("commits/"))
            self.floor = read_current(self.place.store()).snapshot.number + young
        collect(store, timedelta(0) if at_once else timedelta(days=7))

    # -- crashes ----------------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES),
        numbers=st.sets(st.sampled_from(FILES), min_size=1),
        at=st.integers(1, 150),
    )
    def crash_in_ingest(self, name: str, numbers: set[int], at: int) -> None:
        paths = [self.path(name, number) for number in sorted(numbers)]
        self.crash(lambda store: self.put(name, paths, store), at)
        found = self.found()
        for number in numbers:
            file = self.of_file(name, number)
            if file.items() <= found.items():
                self.came_in(name, [number])

    @rule(at=st.integers(1, 60), deed=st.sampled_from(["compact", "fold"]))
    def crash_in_what_changes_nothing(self, deed: str, at: int) -> None:
        self.crash({"compact": compact, "fold": fold}[deed], at)

    @rule(at=st.integers(1, 60))
    def crash_in_collect(self, at: int) -> None:
        self.crash(lambda store: self.collect_with(store, at_once=True), at)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), at=st.integers(1, 60))
    def crash_in_remove(self, data: st.DataObject, at: int) -> None:
        name, first, last = self.a_span(data)
        self.crash(lambda store: remove(store, name, first, last), at)
        if self.found() != self.model:
            self.went(name, first, last)

    def crash(self, work: Callable[[Store], object], at: int) -> None:
        store = mortal(self.place.store(), at)
        with suppress(Crash, StoreTrouble):  # a read that is broken off says so in its own way
            work(store)
        self.quiet(store)

    def quiet(self, store: Store) -> None:
        """Wait until nothing of a dead process is under way."""

        async def nothing() -> None:
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

        loop.run(nothing())

    # -- what is read -----------------------------------------------------------------------------

    def found(self, as_of: int | str | None = None) -> Model:
        return of_spool(self.place.open(as_of))

    @invariant()
    def holds_what_it_should(self) -> None:
        assert self.found() == self.model

    @invariant()
    def snapshots_that_are_kept_can_be_opened(self) -> None:
        store = self.place.store()
        if not store.entries("commits/"):
            current = read_current(store).snapshot
            self.numbered.setdefault(current.number, self.model)

    @precondition(lambda self: self.numbered)
    @rule(data=st.data())
    def read_an_older_snapshot(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.numbered)))
        snapshot = read_current(self.place.store()).snapshot
        if snapshot.oldest > number and number not in snapshot.tags.values():
            assert number < self.floor
            with pytest.raises(NotFound, match="removed by gc"):
                self.found(number)
        else:
            assert self.found(number) == self.numbered[number]

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def read_a_tag(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.tags)))
        assert self.found(name) == self.tags[name]

    @rule()
    def pin(self) -> None:
        number = read_current(self.place.store()).snapshot.number
        spool = self.place.open()
        assert len(spool) >= 0  # from here on nothing that it sees changes
        self.pinned.append(Pinned(spool, self.model, number))

    @precondition(lambda self: self.pinned)
    @rule(data=st.data())
    def read_what_is_pinned(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.pinned))
        try:
            assert of_spool(reader.spool) == reader.model
        except DamagedData:
            assert reader.number < self.floor  # what it needs was collected

    @rule()
    def check(self) -> None:
        while self.place.store().entries("commits/"):
            fold(self.place.store())
        contents(self.place)
        assert_sound(self.place)


class Folder(Archive):
    """The same in a folder."""

    def url(self) -> str:
        return str(self.folder / "archive")

    def quiet(self, store: Store) -> None:
        store._engine.backend._threads.shutdown(wait=True)  # type: ignore[attr-defined]


def of_spool(spool: lk.Spool) -> Model:
    return {(name, stamp): row for name in spool.datasets for stamp, row in seen(spool.select(dataset=name)).items()}


def play(machine: type[Archive], folder: Path, examples: int, steps: int) -> None:
    machine.cache = folder
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=(Phase.explicit, Phase.generate),
        ),
    )


@pytest.mark.slow
def test_an_archive_in_memory_holds_what_a_dictionary_holds(tmp_path: Path) -> None:
    play(Archive, tmp_path, 8, 25)


@pytest.mark.prove
@pytest.mark.parametrize("machine", [Archive, Folder])
def test_an_archive_holds_what_a_dictionary_holds_in_many_lives(machine: type[Archive], tmp_path: Path) -> None:
    play(machine, tmp_path, 100, 40)

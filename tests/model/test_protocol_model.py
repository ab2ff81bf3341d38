"""The commit protocol under random schedules: with all rules no promise breaks, without any one of them some do."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from model.rules import AMENDMENTS, REDUNDANT, Rule
from model.schedules import MIXES, Failure, explain, first_failure, run, run_many

SCHEDULES = 2_000
PROVEN = 100_000
MOST = 20_000  # schedules within which the breach of a rule must show
_PART = 5_000
RARE = {Rule.FRESH_LEAVES, Rule.GC_AGES_AT_LIST, Rule.GC_LISTS_FIRST, Rule.OVERLAPS_RECHECKED, Rule.TAGS_IN_CURRENT}
NEEDED = [
    pytest.param(rule, marks=pytest.mark.prove if rule in RARE else (), id=rule.name)
    for rule in Rule
    if rule not in REDUNDANT
]


def assert_kept(failures: tuple[Failure, ...]) -> None:
    assert not failures, explain(failures[0])


def test_no_promise_breaks_while_all_rules_are_kept() -> None:
    outcome = run_many(0, SCHEDULES)
    assert_kept(outcome.failures)
    assert outcome.schedules == SCHEDULES
    assert outcome.steps > 100 * SCHEDULES  # they do something


@pytest.mark.prove
def test_no_promise_breaks_in_very_many_schedules() -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        outcomes = list(pool.map(run_many, range(SCHEDULES, SCHEDULES + PROVEN, _PART), [_PART] * (PROVEN // _PART)))
    for outcome in outcomes:
        assert_kept(outcome.failures)
    assert sum(outcome.schedules for outcome in outcomes) == PROVEN


@pytest.mark.parametrize("rule", NEEDED)
def test_some_promise_breaks_without(rule: Rule) -> None:
    failure = first_failure((rule,), MOST)
    assert failure is not None, f"{rule.name}: {rule.value}: no promise needs it in {MOST} schedules"
    run(failure.seed)  # with the rule, the same schedule is a good one


@pytest.mark.parametrize("rule", REDUNDANT, ids=lambda rule: rule.name)
def test_no_promise_needs(rule: Rule) -> None:
    outcome = run_many(0, SCHEDULES, (rule,))
    assert not outcome.failures, explain(outcome.failures[0], (rule,))


def test_a_seed_is_one_schedule_in_every_process() -> None:
    failure = first_failure((Rule.READ_BACK,), MOST)
    assert failure is not None
    told = explain(failure, (Rule.READ_BACK,))
    assert told.startswith(f"seed {failure.seed}: {failure.promise}")
    assert told.endswith(failure.promise)
    code = (
        "from model.rules import Rule; from model.schedules import Failure, explain;"
        f"print(explain(Failure({failure.seed}, {failure.promise!r}), (Rule.READ_BACK,)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told


def test_every_mix_brings_each_of_its_actors_to_work() -> None:
    for number, mix in enumerate(MIXES):
        lines: list[str] = []
        for seed in range(number, 40 * len(MIXES), len(MIXES)):
            run(seed, (), lines.append)
        seen = {line.split(" h  ")[1].split()[0] for line in lines}
        assert {actor.__name__ for actor, _, _ in mix.actors} <= seen


def test_the_first_design_breaks_promises_and_the_amendments_are_no_idle_rules() -> None:
    assert not AMENDMENTS & set(REDUNDANT)
    assert run_many(0, MOST, tuple(AMENDMENTS)).failures

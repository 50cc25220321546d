"""A save that cannot get its locks raises, has written nothing, and can be made again; on every engine."""

from __future__ import annotations

import contextlib

import pytest
from django.db import OperationalError, connections, transaction

from fieldstone.store import DELETED, NO_GRADE, Grade, Preferences, Summary, UserInfo
from fieldstone.store.tables import HISTORY, PREFERENCES, STATE, SUMMARY, USAGE, USER_INFO
from fieldstone.testing import race
from tests.conftest import each_engine, usage
from tests.engines.locks import IMPATIENT, locked

A, B = usage("a"), usage("b")
EVERYWHERE = [A, B, Summary(A), Preferences("problem"), UserInfo()]
LAST_LOCKED = [STATE, SUMMARY.name, PREFERENCES.name, USER_INFO.name]
"""In the order of a save: of the last one everything else is written already when the wait begins."""


def everywhere(value):
    return {place: {"x": value} for place in EVERYWHERE}


def read_back(store, learner):
    return {place: dict(state.fields) for place, state in store.read(learner, EVERYWHERE).items()}


@pytest.fixture
def impatient(alias, store):
    """The test's own connection gives up soon."""
    with connections[alias].cursor() as cursor:
        cursor.execute(IMPATIENT[connections[alias].vendor])
    yield
    connections[alias].close()


@each_engine
@pytest.mark.parametrize("table", LAST_LOCKED)
def test_a_save_that_waits_too_long_writes_nothing_and_the_next_one_works(store, learner, alias, impatient, table):
    store.save(learner, everywhere(1), grades={A: Grade(1, 2)})
    with locked(alias, table):
        with pytest.raises(OperationalError):
            store.save(learner, everywhere(2), grades={A: Grade(2, 2)})
        assert read_back(store, learner) == everywhere(1)
    assert read_back(store, learner) == everywhere(1)
    store.save(learner, everywhere(3), expected={A: 1, B: 1})
    assert read_back(store, learner) == everywhere(3)
    assert [revision.number for revision in store.history(learner, B)] == [2, 1]
    assert store.read(learner, [A])[A].grade == 1


@each_engine
@pytest.mark.parametrize("table", [STATE, USER_INFO.name])
def test_a_callers_transaction_goes_on_after_a_save_that_waited_too_long(store, learner, alias, impatient, table):
    """What it saved before and saves after is committed; of the save that failed there is nothing."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has one lock, and the caller's transaction has it from its beginning")
    other = learner + 1
    store.save(learner, everywhere(1))
    with locked(alias, table), transaction.atomic(alias):
        store.save(other, {A: {"x": 1}})
        with pytest.raises(OperationalError):
            store.save(learner, everywhere(2))
        store.save(other, {A: {"y": 2}})
    assert read_back(store, learner) == everywhere(1)
    assert dict(store.read(other, [A])[A].fields) == {"x": 1, "y": 2}
    assert len(store.history(learner, A)) == 1


@each_engine
def test_of_several_deletions_none_is_written_without_the_others(store, learner, alias, impatient):
    """Also when a save is nothing else."""
    store.save(learner, {UserInfo(): {"x": 1, "y": 2, "z": 3}})
    with locked(alias, f"{USER_INFO.name} WHERE field_name = 'z'"):
        with pytest.raises(OperationalError):
            store.save(learner, {UserInfo(): dict.fromkeys("xyz", DELETED)})
        assert read_back(store, learner) == {UserInfo(): {"x": 1, "y": 2, "z": 3}}


@each_engine
@pytest.mark.parametrize("change", [2, DELETED], ids=["setting", "deleting"])
def test_a_save_does_not_wait_for_the_rows_of_another_learner(store, learner, alias, impatient, change):
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has one lock, for all rows")
    own = [A, B, Preferences("problem"), UserInfo()]
    for number in range(5):
        store.save(learner + number, {place: {"x": 1, "y": 1} for place in own})
    with contextlib.ExitStack() as others:
        for table in (STATE, PREFERENCES.name, USER_INFO.name):
            others.enter_context(locked(alias, f"{table} WHERE student_id <> {learner}"))
        store.save(learner, {place: {"x": change} for place in own})
    left = {"y": 1} if change is DELETED else {"x": change, "y": 1}
    states = store.read(learner, own)
    assert [dict(states[place].fields) for place in own] == [left] * len(own)


@each_engine
def test_taking_a_grade_away_does_not_wait_for_another_block(store, learner, alias, impatient):
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has one lock, for all rows")
    for _ in range(5):
        store.save(learner, {A: {"x": 1}, B: {"x": 1}}, grades={A: Grade(1, 2)})
    others = f"WHERE usage_id = (SELECT id FROM {USAGE} AS met WHERE met.key = '{B}')"
    with locked(alias, f"{STATE} {others}"), locked(alias, f"{HISTORY} {others}"):
        store.save(learner, {}, grades={A: NO_GRADE})
    assert store.read(learner, [A])[A].grade is None


@each_engine
def test_of_two_transactions_in_a_deadlock_one_is_written_and_one_raises(store, learner, alias):
    """Each of two callers' own transactions has a block that the other saves next: no sorting can help there."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no row locks: one writes at a time")
    store.save(learner, {A: {}, B: {}, UserInfo(): {"begun": 1}}, grades={A: Grade(0, 1), B: Grade(0, 1)})

    def saving_both(name, first, then):
        def save_both():
            with transaction.atomic(alias):
                store.save(learner, {first: {name: 1}, Preferences(name): {"x": 1}})
                store.save(learner, {then: {name: 1}})

        return save_both

    # What stands there is what the one that was written leaves by itself, or `race` would say so.
    report = race(saving_both("this", A, B), saving_both("other", B, A), using=alias, allow=["deadlock"], limit=12)
    assert report.deadlocks
    for interleaving in report.interleavings:
        errors = [outcome.error for outcome in interleaving.outcomes.values() if outcome.error]
        is_deadlock = any(finding.kind == "deadlock" for finding in interleaving.findings)
        assert [isinstance(error, OperationalError) for error in errors] == [True] * is_deadlock
    store.save(learner, {A: {"after": 1}})

"""Earlier states, as our own tables keep them, on every engine."""

from __future__ import annotations

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fieldstone.errors import DamagedHistoryError
from fieldstone.store.engines.history import HistoryTable
from fieldstone.store.models import StudentModuleHistory
from fieldstone.store.retention import Limits, Trimming
from fieldstone.store.routing import Home, home_for_writing
from fieldstone.store.tables import SNAPSHOT_EVERY
from fieldstone.store.usages import find_usage, forget_all
from fieldstone.testing.contracts.stores.samples import dicts_of
from tests.conftest import each_engine, usage
from tests.engines.routers import Divided, each_engine_with_two_databases

A = usage("a")


@each_engine
def test_an_old_state_is_rebuilt_from_the_last_snapshot_before_it(store, learner, alias):
    """However long the history, a bounded number of deltas is replayed, in one query."""
    for number in range(2 * SNAPSHOT_EVERY + 5):
        store.save(learner, {A: {"x": number, f"f{number % 7}": number}})
    rows = StudentModuleHistory.objects.using(alias)
    assert list(rows.exclude(snapshot=None).values_list("revision", flat=True).order_by("revision")) == [
        SNAPSHOT_EVERY,
        2 * SNAPSHOT_EVERY,
    ]
    rows.filter(revision__lt=2 * SNAPSHOT_EVERY).update(delta="{}")  # nothing before the snapshot is looked at
    with CaptureQueriesContext(connections[alias]) as queries:
        latest = store.at(learner, A, revision=2 * SNAPSHOT_EVERY + 5)
    assert len(queries) == 1
    assert dict(latest.fields) == dict(store.read(learner, [A])[A].fields)


@each_engine
def test_looking_back_costs_a_query_and_one_more_for_a_block_that_was_not_met(store, learner, alias):
    store.save(learner, {A: {"x": 1}})
    forget_all()
    for expected in (2, 1):
        with CaptureQueriesContext(connections[alias]) as queries:
            store.at(learner, A, revision=1)
        assert len(queries) == expected
    with CaptureQueriesContext(connections[alias]) as queries:
        assert len(store.history(learner, A)) == 1
    assert len(queries) == 1


@each_engine
def test_a_state_that_revisions_are_missing_for_is_an_error_and_no_other_state(store, learner, alias):
    for number in range(4):
        store.save(learner, {A: {f"x{number}": 1}})
    StudentModuleHistory.objects.using(alias).filter(revision=2).delete()
    assert dict(store.at(learner, A, revision=1).fields) == {"x0": 1}
    for revision in (2, 3, 4):
        with pytest.raises(
            DamagedHistoryError, match=f"revision {revision} of learner {learner}.*fieldstone_verify"
        ):
            store.at(learner, A, revision=revision)
    with pytest.raises(DamagedHistoryError):
        store.restore(learner, A, revision=3)
    assert store.read(learner, [A])[A].revision == 4


@each_engine
def test_the_states_cost_no_more_queries_than_the_history(store, learner, alias):
    for number in range(SNAPSHOT_EVERY + 1):
        store.save(learner, {A: {"x": number}})
    forget_all()
    for expected in (2, 1):
        with CaptureQueriesContext(connections[alias]) as queries:
            assert len(store.states(learner, A)) == SNAPSHOT_EVERY + 1
        assert len(queries) == expected


@each_engine
def test_the_states_of_a_trimmed_history_are_those_that_are_kept(store, learner, alias):
    for number in range(5):
        store.save(learner, {A: {"x": number, f"f{number}": 1}})
    expected = dicts_of(store.states(learner, A))[:3]
    for _ in Trimming(home_for_writing(alias), Limits(revisions=3, days=None), timezone.now()).batches():
        pass
    assert len(store.history(learner, A)) == 3
    assert dicts_of(store.states(learner, A)) == expected


@each_engine
def test_states_that_revisions_are_missing_for_are_an_error_and_no_other_states(store, learner, alias):
    for number in range(SNAPSHOT_EVERY + 1):
        store.save(learner, {A: {f"x{number}": 1}})
    rows = StudentModuleHistory.objects.using(alias)
    rows.filter(revision=SNAPSHOT_EVERY - 1).delete()  # only what has a snapshot comes after it
    assert len(store.states(learner, A)) == SNAPSHOT_EVERY
    rows.filter(revision=2).delete()
    with pytest.raises(DamagedHistoryError, match=f"revision 3 of learner {learner}.*fieldstone_verify"):
        store.states(learner, A)


@each_engine_with_two_databases
def test_the_states_of_a_history_on_two_aliases(store, learner, alias, settings):
    """Some revisions moved, one still beside the states, and one in both, as a crash leaves it."""
    home = Home(alias, f"{alias}_history")
    settings.DATABASE_ROUTERS = [Divided(home)]
    for number in range(4):
        store.save(learner, {A: {"x": number, f"f{number}": 1}})
    outbox, moved = HistoryTable(home.states), HistoryTable(home.history)
    rows = moved.read_all(learner, find_usage(str(A), alias))
    outbox.add(rows[1:3])
    moved.remove([rows[2].key])
    here, there = (CaptureQueriesContext(connections[name]) for name in home)
    with here, there:
        states = store.states(learner, A)
    assert (len(here), len(there)) == (1, 1)
    assert [(state.fields["x"], len(state.fields)) for state in states] == [(3, 5), (2, 4), (1, 3), (0, 2)]

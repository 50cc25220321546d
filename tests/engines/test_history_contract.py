"""Earlier states and expected revisions, on every engine."""

from __future__ import annotations

import inspect
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldstone.errors import ConflictError, DamagedHistoryError, InvalidPlaceError, NoSuchRevisionError
from fieldstone.store import DELETED, Grade, Store, UserInfo
from fieldstone.store.engines.history import HistoryTable
from fieldstone.store.models import StudentModule, StudentModuleHistory
from fieldstone.store.retention import Limits, Trimming
from fieldstone.store.routing import Home, home_for_writing
from fieldstone.store.tables import SNAPSHOT_EVERY
from fieldstone.store.usages import find_usage, forget_all
from tests.conftest import each_engine, usage
from tests.engines.routers import Divided, each_engine_with_two_databases
from tests.strategies import field_names, json_values

A, B = usage("a"), usage("b")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def daily(alias, store):
    """A store whose saves are a day apart, the first at New Year."""
    days = itertools.count()
    return Store(alias, clock=lambda: NEW_YEAR + timedelta(days=next(days)))


@each_engine
def test_the_state_as_of_a_revision(store, learner):
    store.save(learner, {A: {"x": 1, "y": None}})
    store.save(learner, {A: {"x": 2, "z": [3]}})
    store.save(learner, {A: {"y": DELETED}})
    assert [dict(store.at(learner, A, revision=number).fields) for number in (1, 2, 3)] == [
        {"x": 1, "y": None},
        {"x": 2, "y": None, "z": [3]},
        {"x": 2, "z": [3]},
    ]


@each_engine
def test_the_state_as_of_a_moment(daily, learner):
    for number in range(3):
        daily.save(learner, {A: {"x": number}})
    just_before = NEW_YEAR + timedelta(days=2, microseconds=-1)
    state = daily.at(learner, A, moment=just_before)
    assert (dict(state.fields), state.revision, state.modified) == ({"x": 1}, 2, NEW_YEAR + timedelta(days=1))
    assert daily.at(learner, A, moment=NEW_YEAR).revision == 1
    before = daily.at(learner, A, moment=NEW_YEAR - timedelta(seconds=1))
    assert (dict(before.fields), before.revision) == ({}, 0)


@each_engine
def test_a_clock_that_runs_back_does_not_disorder_the_moments(alias, learner, store):
    """Each revision's time is no earlier than the one before: as of any moment it is a state that was."""
    times = iter([NEW_YEAR + timedelta(days=1), NEW_YEAR, NEW_YEAR + timedelta(days=2)])
    store = Store(alias, clock=lambda: next(times))
    for number in range(3):
        store.save(learner, {A: {f"x{number}": number}})
    assert dict(store.at(learner, A, moment=NEW_YEAR + timedelta(hours=1)).fields) == {}
    assert dict(store.at(learner, A, moment=NEW_YEAR + timedelta(days=1)).fields) == {"x0": 0, "x1": 1}


@each_engine
@pytest.mark.parametrize("revision", [0, 2, -1])
def test_a_revision_that_never_was(store, learner, revision):
    store.save(learner, {A: {"x": 1}})
    with pytest.raises(NoSuchRevisionError, match=f"no revision {revision}"):
        store.at(learner, A, revision=revision)
    with pytest.raises(NoSuchRevisionError):
        store.at(learner + 1, A, revision=1)


@each_engine
@pytest.mark.parametrize("arguments", [{}, {"revision": 1, "moment": NEW_YEAR}])
def test_either_a_revision_or_a_moment(store, learner, arguments):
    with pytest.raises(TypeError, match="either"):
        store.at(learner, A, **arguments)


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
def test_restoring_writes_a_new_revision(store, learner):
    store.save(learner, {A: {"x": 1, "gone": 1}, B: {"other": 1}})
    store.save(learner, {A: {"x": 2, "gone": DELETED, "new": [1]}})
    receipt = store.restore(learner, A, revision=1, actor=learner + 1)
    assert dict(receipt.states[A].fields) == {"x": 1, "gone": 1}
    latest = store.history(learner, A)[0]
    assert (latest.number, latest.origin, latest.actor_id) == (3, "restore", learner + 1)
    assert latest.changes == {"x": 1, "gone": 1, "new": DELETED}
    assert dict(store.at(learner, A, revision=2).fields) == {"x": 2, "new": [1]}
    assert dict(store.read(learner, [B])[B].fields) == {"other": 1}


@each_engine
def test_restoring_what_is_there_already_writes_nothing(store, learner):
    store.save(learner, {A: {"x": 1}})
    store.restore(learner, A, revision=1)
    assert len(store.history(learner, A)) == 1


@each_engine
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    saves=st.lists(
        st.dictionaries(field_names, json_values | st.just(DELETED), min_size=1, max_size=3), max_size=6
    )
)
def test_every_revision_of_any_saves_is_what_a_dict_was(store, learner, saves):
    with transaction.atomic(store.using):
        model, models = {}, []
        for changes in saves:
            store.save(learner, {A: changes})
            model = {name: value for name, value in (model | changes).items() if value is not DELETED}
            models.append(model)
        for number, expected in enumerate(models, 1):
            state = store.at(learner, A, revision=number)
            assert repr(sorted(state.fields.items())) == repr(sorted(expected.items()))
        for number, expected in enumerate(models, 1):
            store.restore(learner, A, revision=number)
            now = store.read(learner, [A])[A]
            assert repr(sorted(now.fields.items())) == repr(sorted(expected.items()))
        transaction.set_rollback(True, using=store.using)


# Every state


def dicts_of(states):
    return [dict(state.fields) for state in states]


@each_engine
def test_the_states_after_every_save_are_those_as_of_every_revision(store, learner):
    """Grades and times among them, across snapshots, latest first."""
    for number in range(2 * SNAPSHOT_EVERY + 5):
        changes = {f"f{number % 7}": number, f"f{(number + 3) % 7}": DELETED}
        store.save(learner, {A: changes}, grades={A: Grade(number, 200)} if number % 3 else {})
    states = store.states(learner, A)
    assert [state.revision for state in states] == list(range(2 * SNAPSHOT_EVERY + 5, 0, -1))
    for state in states:
        same = store.at(learner, A, revision=state.revision)
        assert dict(state.fields) == dict(same.fields)
        assert state._replace(fields=None) == same._replace(fields=None)
    assert [state.modified for state in states] == [revision.at for revision in store.history(learner, A)]


@each_engine
def test_the_states_of_what_was_never_saved(store, learner):
    assert store.states(learner, A) == []
    store.save(learner, {A: {"x": 1}})
    assert store.states(learner, B) == store.states(learner + 1, A) == []


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


@each_engine
def test_the_states_for_coroutines_are_the_same(store, learner):
    store.save(learner, {A: {"x": 1}})
    store.save(learner, {A: {"y": 1}})
    arguments = [list(inspect.signature(call).parameters.values()) for call in (store.states, store.astates)]
    assert arguments[0] == arguments[1]
    assert dicts_of(async_to_sync(store.astates)(learner, A)) == [{"x": 1, "y": 1}, {"x": 1}]


# Expected revisions


@each_engine
def test_a_save_on_the_revision_that_was_read_goes_through(store, learner):
    store.save(learner, {A: {"x": 1}}, expected={A: 0})
    receipt = store.save(learner, {A: {"x": 2}, B: {"y": 1}}, expected={A: 1})
    assert receipt.states[A].revision == 2


@each_engine
@pytest.mark.parametrize(
    ("expected", "current"), [({A: 1}, 2), ({A: 0}, 2), ({A: 3}, 2), ({B: 1}, 0), ({A: 2, B: 5}, 0)]
)
def test_a_save_on_another_revision_is_a_conflict_and_writes_nothing(store, learner, alias, expected, current):
    store.save(learner, {A: {"x": 1}})
    store.save(learner, {A: {"x": 2}})
    with pytest.raises(ConflictError) as caught:
        store.save(learner, {A: {"x": 3}, B: {"y": 1}, UserInfo(): {"u": 1}}, expected=expected)
    conflict = caught.value
    assert conflict.usage_key in expected
    assert (conflict.expected, conflict.current) == (expected[conflict.usage_key], current)
    states = store.read(learner, [A, B, UserInfo()])
    assert {place: dict(state.fields) for place, state in states.items()} == {A: {"x": 2}}
    assert StudentModule.objects.using(alias).get().revision == 2
    assert len(store.history(learner, A)) == 2


@each_engine
def test_a_conflict_does_not_break_the_callers_transaction(store, learner, alias):
    store.save(learner, {A: {"x": 1}})
    with transaction.atomic(alias):
        with pytest.raises(ConflictError):
            store.save(learner, {A: {"x": 2}}, expected={A: 0})
        store.save(learner, {A: {"x": 3}}, expected={A: 1})
    assert dict(store.read(learner, [A])[A].fields) == {"x": 3}


@each_engine
def test_a_revision_can_be_expected_only_of_what_is_saved(store, learner):
    with pytest.raises(InvalidPlaceError, match="no field of it is saved"):
        store.save(learner, {A: {"x": 1}}, expected={B: 0})
    assert not store.read(learner, [A])

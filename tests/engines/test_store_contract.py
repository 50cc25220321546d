"""What every engine's store does; a new engine joins by its alias in ``tests/conftest.py``."""

from __future__ import annotations

import json
import math
from collections import namedtuple
from datetime import UTC, datetime, timedelta

import pytest
from django.db import Error, connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldstone.errors import InvalidLearnerError, InvalidPlaceError, InvalidValueError
from fieldstone.store.models import StudentModule, StudentModuleHistory, Usage, XModuleStudentInfoField
from fieldstone.store.places import Preferences, Summary, UserInfo
from fieldstone.store.store import Store
from fieldstone.values import DELETED
from tests.conftest import each_engine, usage
from tests.strategies import field_names, json_values

Score = namedtuple("Score", ["raw_earned", "raw_possible"])
A, B, C = usage("a"), usage("b"), usage("c", "html")


def fields_of(store, learner, place):
    state = store.read(learner, [place]).get(place)
    return None if state is None else dict(state.fields)


def replayed(store, learner, place):
    """The state that the deltas of a row add up to."""
    fields = {}
    for revision in reversed(store.history(learner, place)):
        fields |= revision.changes
    return {name: value for name, value in fields.items() if value is not DELETED}


@each_engine
def test_a_saved_field_is_read_back_with_its_revision(store, learner):
    store.save(learner, {A: {"attempts": 1}})
    store.save(learner, {A: {"attempts": 2}})
    state = store.read(learner, [A])[A]
    assert dict(state.fields) == {"attempts": 2}
    assert state.revision == 2


@each_engine
def test_fields_not_named_in_a_save_stay(store, learner):
    """The second save gives back the merged row, as it stands in the database."""
    store.save(learner, {A: {"attempts": 1, "seed": 7}})
    receipt = store.save(learner, {A: {"attempts": 2}})
    assert dict(receipt.states[A].fields) == {"attempts": 2, "seed": 7}
    assert fields_of(store, learner, A) == {"attempts": 2, "seed": 7}


@each_engine
def test_missing_is_not_none(store, learner):
    """A stored null is a value; a place without a row is not in what ``read`` gives."""
    store.save(learner, {A: {"answer": None}})
    states = store.read(learner, [A, B])
    assert states[A].fields["answer"] is None
    assert "other" not in states[A].fields
    assert B not in states


@each_engine
def test_a_deleted_field_is_gone_and_the_row_stays(store, learner):
    store.save(learner, {A: {"attempts": 1}})
    store.save(learner, {A: {"attempts": DELETED}})
    assert fields_of(store, learner, A) == {}


@each_engine
def test_deleting_a_field_where_no_row_exists_leaves_an_empty_state(store, learner):
    store.save(learner, {A: {"attempts": DELETED, "seed": 1}})
    assert fields_of(store, learner, A) == {"seed": 1}
    assert json.loads(StudentModule.objects.using(store.using).get().state) == {"seed": 1}


@each_engine
def test_a_value_replaces_the_old_one_whole(store, learner):
    """Objects are not merged deeply: the new value is what was saved."""
    store.save(learner, {A: {"answers": {"x": {"old": 1}, "y": 2}}})
    store.save(learner, {A: {"answers": {"x": {"new": None}}}})
    assert fields_of(store, learner, A) == {"answers": {"x": {"new": None}}}


PROBES = [
    None, True, False, 0, -0.0, 1, 1.0, 1e22, 1e-7, 2**53 + 1, 10**4000, 0.1, math.inf, -math.inf,
    "", "\x00", "\ud800", "\U0001f600", "é", "\u2028", '"', "\\", "null", {}, [], {"": None}, [None], [[]],
    {"a": {"b": None}}, {"$ref": 1}, [1, 1.0, "1"], "x" * 5_000_000,
]  # fmt: skip


@each_engine
def test_values_come_back_equal_and_of_the_same_type(store, learner):
    store.save(learner, {A: {f"field {n}": value for n, value in enumerate(PROBES)}})
    store.save(learner, {A: {"another": 1}})  # the server merges once more
    fields = store.read(learner, [A])[A].fields
    for number, value in enumerate(PROBES):
        assert repr(fields[f"field {number}"]) == repr(value)


@each_engine
def test_a_value_of_depth_1000_comes_back(store, learner):
    """Deeper than Python's own limit on recursion lets its json go."""
    deep = 1
    for _ in range(500):
        deep = {"a": [deep]}
    store.save(learner, {A: {"deep": deep}})
    found = store.read(learner, [A])[A].fields["deep"]
    for _ in range(500):
        found = found["a"][0]
    assert found == 1


@each_engine
def test_a_value_over_the_limit_is_refused(store, learner, settings):
    settings.FIELDSTONE = {"MAX_VALUE_BYTES": 10}
    store.save(learner, {A: {"x": "12345678"}})
    with pytest.raises(InvalidValueError, match=r"'x' of .* it takes 11 bytes, and 10 are allowed"):
        store.save(learner, {A: {"x": "123456789"}, B: {"y": 1}})
    assert fields_of(store, learner, A) == {"x": "12345678"}


@each_engine
def test_named_tuples_are_stored_as_objects(store, learner):
    """XBlock's ScoreField writes them, and reads only objects with both names; Open edX stores them so."""
    store.save(learner, {A: {"score": Score(0.5, 1), "history": [Score(0, 1)], "plain": (1, 2)}})
    assert fields_of(store, learner, A) == {
        "score": {"raw_earned": 0.5, "raw_possible": 1},
        "history": [{"raw_earned": 0, "raw_possible": 1}],
        "plain": [1, 2],
    }


@each_engine
def test_what_is_read_is_a_copy(store, learner):
    store.save(learner, {A: {"answers": [1]}})
    fields = store.read(learner, [A])[A].fields
    fields["answers"].append(2)
    assert fields["answers"] == [1]


@each_engine
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(saves=st.lists(st.dictionaries(field_names, json_values | st.just(DELETED), max_size=4), max_size=5))
def test_any_saves_give_what_a_dict_would(store, learner, saves):
    """Against a plain model: sets and deletes of any names and values, and the deltas replay to the state."""
    with transaction.atomic(store.using):
        model = {}
        for changes in saves:
            store.save(learner, {A: changes})
            model = {name: value for name, value in (model | changes).items() if value is not DELETED}
        assert repr(sorted((fields_of(store, learner, A) or {}).items())) == repr(sorted(model.items()))
        assert repr(sorted(replayed(store, learner, A).items())) == repr(sorted(model.items()))
        transaction.set_rollback(True, using=store.using)


@each_engine
def test_one_save_reaches_all_scopes_and_blocks(store, learner):
    changes = {
        B: {"x": 2},
        A: {"x": 1},
        Summary(A): {"votes": {"yes": 1}},
        Preferences("problem"): {"speed": 1.5},
        UserInfo(): {"language": "de"},
    }
    store.save(learner, changes)
    states = store.read(learner, changes)
    assert {place: dict(state.fields) for place, state in states.items()} == changes


@each_engine
def test_row_per_field_scopes_merge_and_delete_by_field(store, learner):
    store.save(learner, {UserInfo(): {"a": 1, "b": 2}, Summary(A): {"n": 1}})
    store.save(learner, {UserInfo(): {"a": DELETED, "b": None}, Summary(A): {"n": 2}})
    states = store.read(learner, [UserInfo(), Summary(A)])
    assert dict(states[UserInfo()].fields) == {"b": None}
    assert dict(states[Summary(A)].fields) == {"n": 2}
    assert XModuleStudentInfoField.objects.using(store.using).get().revision == 2


@each_engine
def test_a_save_that_fails_at_its_last_statement_leaves_nothing(store, learner, alias):
    """The database refuses the last of five scopes: no row of the first four is there."""
    table = XModuleStudentInfoField._meta.db_table
    store.save(learner, {A: {"x": 0}})
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
    try:
        with pytest.raises(Error):
            store.save(
                learner,
                {
                    A: {"x": 1},
                    B: {"x": 1},
                    Summary(A): {"n": 1},
                    Preferences("html"): {"p": 1},
                    UserInfo(): {"u": 1},
                },
            )
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")
    states = store.read(learner, [A, B, Summary(A), Preferences("html"), UserInfo()])
    assert {place: dict(state.fields) for place, state in states.items()} == {A: {"x": 0}}
    assert len(store.history(learner, A)) == 1


@each_engine
def test_a_failed_save_does_not_break_the_callers_transaction(store, learner, alias):
    table = XModuleStudentInfoField._meta.db_table
    with transaction.atomic(alias):
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
        with pytest.raises(Error):
            store.save(learner, {A: {"x": 1}, UserInfo(): {"u": 1}})
        store.save(learner, {B: {"x": 1}})
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")
    assert fields_of(store, learner, A) is None
    assert fields_of(store, learner, B) == {"x": 1}


@each_engine
def test_a_failed_save_of_states_alone_does_not_break_the_callers_transaction(store, learner, alias):
    """A save that is one statement has a savepoint too, where there is a transaction to protect."""
    table = StudentModuleHistory._meta.db_table
    store.save(learner, {A: {"x": 1}})
    with transaction.atomic(alias):
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
        with pytest.raises(Error):
            store.save(learner, {A: {"x": 2}})
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")
        store.save(learner, {A: {"y": 1}})
    assert fields_of(store, learner, A) == {"x": 1, "y": 1}
    assert replayed(store, learner, A) == {"x": 1, "y": 1}


@each_engine
def test_history_says_what_changed_when_and_by_whom(alias, learner, store):
    times = iter([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)])
    store = Store(alias, clock=lambda: next(times))
    store.save(learner, {A: {"x": 1, "y": 2}}, origin="handler:answer")
    store.save(learner, {A: {"x": None, "y": DELETED}}, origin="rescore", actor=99)
    latest, first = store.history(learner, A)
    assert (first.number, first.changes, first.origin, first.actor_id) == (
        1,
        {"x": 1, "y": 2},
        "handler:answer",
        None,
    )
    assert (latest.number, latest.changes, latest.actor_id) == (2, {"x": None, "y": DELETED}, 99)
    assert latest.at - first.at == timedelta(days=1, hours=3, minutes=4, seconds=5, microseconds=678)
    assert store.read(learner, [A])[A].modified == latest.at


@each_engine
def test_updates_never_go_backwards(alias, learner, store):
    """A save with a clock that is behind keeps the later time."""
    times = iter([datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)])
    store = Store(alias, clock=lambda: next(times))
    store.save(learner, {A: {"x": 1}})
    store.save(learner, {A: {"x": 2}})
    assert store.read(learner, [A])[A].modified == datetime(2026, 1, 2, tzinfo=UTC)
    assert [revision.at for revision in store.history(learner, A)] == [datetime(2026, 1, 2, tzinfo=UTC)] * 2


@each_engine
def test_learners_are_kept_apart(store, learner):
    store.save(learner, {A: {"x": 1}, Preferences("html"): {"p": 1}, UserInfo(): {"u": 1}, Summary(A): {"n": 1}})
    states = store.read(learner + 1, [A, Preferences("html"), UserInfo(), Summary(A)])
    assert {place: dict(state.fields) for place, state in states.items()} == {Summary(A): {"n": 1}}
    assert store.history(learner + 1, A) == []


@each_engine
@pytest.mark.parametrize(
    ("place", "fields", "error", "words"),
    [
        (B, {"x": {1, 2}}, InvalidValueError, "'x' of block-v1:Org"),
        (B, {"x": b"bytes"}, InvalidValueError, "bytes"),
        (B, {"nul\x00": 1}, InvalidValueError, "U\\+0000"),
        (B, {"\ud800": 1}, InvalidValueError, "surrogate"),
        (B, {7: 1}, InvalidValueError, "string"),
        (UserInfo(), {"n" * 256: 1}, InvalidValueError, "255"),
        ("block-v1:Org+Course+Run+type@problem+block@a", {"x": 1}, InvalidPlaceError, "UsageKey.from_string"),
        (usage("n" * 250), {"x": 1}, InvalidPlaceError, "longer than 255"),
        (Preferences(""), {"x": 1}, InvalidPlaceError, "block type"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(store, learner, alias, place, fields, error, words):
    """Not even the key of the good block in the same save is interned."""
    with pytest.raises(error, match=words):
        store.save(learner, {A: {"x": 1}, place: fields})
    assert not Usage.objects.using(alias).exists()


@each_engine
@pytest.mark.parametrize("nobody", [None, "ada", True, 1.0])
def test_only_a_saved_user_or_its_key_is_a_learner(store, alias, nobody):
    with pytest.raises(InvalidLearnerError):
        store.save(nobody, {A: {"x": 1}})
    with pytest.raises(InvalidLearnerError):
        store.read(nobody, [A])


@each_engine
@pytest.mark.parametrize("met", [True, False], ids=["ids known", "ids not known"])
def test_a_prefetch_costs_one_query_a_scope(store, learner, alias, met):
    from fieldstone.store.usages import forget_all

    blocks = [usage(f"b{n}") for n in range(300)]
    store.save(learner, {block: {"x": n} for n, block in enumerate(blocks)})
    if not met:
        forget_all()
    for places in (
        blocks,
        [Summary(b) for b in blocks],
        [Preferences(f"t{n}") for n in range(9)],
        [UserInfo()],
    ):
        with CaptureQueriesContext(
            connections[alias],
        ) as queries:
            states = store.read(learner, [*places])
            list(states.items())
        assert len(queries) == 1, queries.captured_queries
    assert len(store.read(learner, blocks)) == 300


@each_engine
def test_a_save_of_a_page_does_not_grow_in_queries_with_its_blocks(store, learner, alias):
    def queries_for(count):
        changes = {usage(f"b{n}"): {"x": 1} for n in range(count)}
        store.save(learner, changes)
        with CaptureQueriesContext(connections[alias]) as queries:
            store.save(learner, changes)
        return len(queries)

    assert queries_for(1) == queries_for(200) <= 4


@each_engine
def test_an_id_from_a_rolled_back_transaction_is_not_remembered(store, learner, alias):
    """Another key may get that id: were it remembered, answers would show at the wrong block."""
    with transaction.atomic(alias):
        store.save(learner, {A: {"x": 1}})
        assert fields_of(store, learner, A) == {"x": 1}
        transaction.set_rollback(True, using=alias)
    store.save(learner, {C: {"x": 3}})
    store.save(learner, {A: {"x": 2}})
    ids = dict(Usage.objects.using(alias).values_list("key", "id"))
    assert ids.keys() == {str(A), str(C)}
    rows = StudentModule.objects.using(alias).values_list("usage__key", "usage_id")
    assert dict(rows) == ids


@each_engine
def test_an_id_from_a_rolled_back_savepoint_is_not_remembered(store, learner, alias):
    with transaction.atomic(alias):
        with pytest.raises(ZeroDivisionError), transaction.atomic(alias):
            store.save(learner, {A: {"x": 1}})
            raise ZeroDivisionError
        store.save(learner, {C: {"x": 3}})
        store.save(learner, {A: {"x": 2}})
    rows = StudentModule.objects.using(alias).values_list("usage__key", "usage_id")
    assert dict(rows) == dict(Usage.objects.using(alias).values_list("key", "id"))


@each_engine
def test_an_id_is_remembered_once_it_is_committed(store, learner, alias):
    with transaction.atomic(alias):
        store.save(learner, {A: {"x": 1}})
    with CaptureQueriesContext(connections[alias]) as queries:
        store.save(learner, {A: {"x": 2}})
    assert not [query for query in queries.captured_queries if Usage._meta.db_table in query["sql"]]


@each_engine
def test_the_rolled_back_save_leaves_neither_state_nor_history(store, learner, alias):
    with pytest.raises(ZeroDivisionError), transaction.atomic(alias):
        store.save(learner, {A: {"x": 1}})
        raise ZeroDivisionError
    assert not StudentModule.objects.using(alias).exists()
    assert not StudentModuleHistory.objects.using(alias).exists()


@each_engine
def test_saving_nothing_costs_nothing(store, learner, alias):
    with CaptureQueriesContext(connections[alias]) as queries:
        store.save(learner, {})
        store.save(learner, {A: {}})
    assert len(queries) == 0

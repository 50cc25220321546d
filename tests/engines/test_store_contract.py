"""The contract of stores on every engine, and what our own tables have to say; a new engine joins in
``tests/conftest.py``.

``CI=true`` tries more sequences of calls, ``FIELDSTONE_EXAMPLES=1000`` as many as that.
"""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from django.db import Error, connections, transaction
from django.test.utils import CaptureQueriesContext

from fieldstone.errors import InvalidPlaceError, InvalidValueError
from fieldstone.store.models import StudentModule, StudentModuleHistory, Usage, XModuleStudentInfoField
from fieldstone.store.parts import part_of
from fieldstone.store.places import Preferences, Summary, UserInfo
from fieldstone.store.store import Store
from fieldstone.store.verify import Verification
from fieldstone.testing.contracts.stores import StoreContract
from fieldstone.testing.contracts.stores.samples import fields_of, replayed
from fieldstone.values import DELETED
from tests.conftest import each_engine, usage

A, B, C = usage("a"), usage("b"), usage("c", "html")


@each_engine
class TestStore(StoreContract):
    examples = int(os.environ.get("FIELDSTONE_EXAMPLES") or (120 if os.environ.get("CI") else 50))

    @pytest.fixture(autouse=True)
    def on_alias(self, alias):
        self.alias = alias

    def make_store(self):
        return Store(self.alias)

    def check_stored(self, store, context):
        """The history, too, adds up to the states."""
        part = part_of(self.alias, context=str(context))
        assert [finding for batch in Verification(self.alias, part).batches() for finding in batch] == []


@each_engine
def test_a_clock_that_a_store_is_given_counts(alias, learner):
    days = itertools.count()
    store = Store(alias, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=next(days)))
    for number in range(2):
        store.save(learner, {A: {"x": number}})
    store.restore(learner, A, revision=1)
    assert [revision.at.day for revision in store.history(learner, A)] == [3, 2, 1]


@each_engine
def test_a_field_deleted_where_no_row_exists_is_not_in_the_row(store, learner):
    store.save(learner, {A: {"attempts": DELETED, "seed": 1}})
    assert json.loads(StudentModule.objects.using(store.using).get().state) == {"seed": 1}


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
def test_a_save_of_a_page_takes_four_queries_at_most(store, learner, alias):
    changes = {usage(f"b{n}"): {"x": 1} for n in range(200)}
    store.save(learner, changes)
    with CaptureQueriesContext(connections[alias]) as queries:
        store.save(learner, changes)
    assert len(queries) <= 4


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

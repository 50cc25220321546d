"""What was read of fields with a row each is still so when they are saved, or nothing is; on every engine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction
from django.db.transaction import TransactionManagementError

from fieldstone.errors import ConflictError, InvalidPlaceError
from fieldstone.store import DELETED, Preferences, Summary, UserInfo
from fieldstone.store.models import XModuleUserStateSummaryField
from fieldstone.testing import race
from tests.conftest import each_engine, usage

A, B = usage("a"), usage("b")
BY_FIELD = [Summary(A), Preferences("problem"), UserInfo()]

pytestmark = pytest.mark.django_db(transaction=True)


def fields_at(store, learner, place):
    states = store.read(learner, [place])
    return dict(states[place].fields) if place in states else {}


@each_engine
@pytest.mark.parametrize("place", BY_FIELD, ids=["summary", "preferences", "user_info"])
def test_a_save_on_what_was_read_succeeds_and_the_next_on_it_is_refused(store, learner, place):
    store.save(learner, {place: {"x": 1, "y": 1}}, expected={place: {"x": 0, "y": 0}})
    assert store.read(learner, [place])[place].revisions == {"x": 1, "y": 1}
    store.save(learner, {place: {"x": 2}}, expected={place: {"x": 1}})
    with pytest.raises(ConflictError, match="'x' of") as caught:
        store.save(learner, {place: {"x": 3, "y": 3}, B: {"z": 1}}, expected={place: {"x": 1, "y": 1}})
    assert (caught.value.field_name, caught.value.expected, caught.value.current) == ("x", 1, 2)
    assert caught.value.place == place
    assert fields_at(store, learner, place) == {"x": 2, "y": 1}
    assert fields_at(store, learner, B) == {}


@each_engine
@pytest.mark.parametrize("place", BY_FIELD, ids=["summary", "preferences", "user_info"])
def test_a_field_that_came_to_be_or_was_deleted_meanwhile_is_a_conflict(store, learner, place):
    store.save(learner, {place: {"x": 1}})
    with pytest.raises(ConflictError):
        store.save(learner, {place: {"x": 2}}, expected={place: {"x": 0}})
    with pytest.raises(ConflictError):
        store.save(learner, {place: {"x": DELETED}}, expected={place: {"x": 0}})
    store.save(learner, {place: {"x": DELETED}}, expected={place: {"x": 1}})
    with pytest.raises(ConflictError):
        store.save(learner, {place: {"x": DELETED}}, expected={place: {"x": 1}})
    assert fields_at(store, learner, place) == {}


@each_engine
def test_only_the_fields_that_are_expected_are_looked_at(store, learner):
    store.save(learner, {Summary(A): {"x": 1, "y": 1}})
    store.save(learner, {Summary(A): {"x": 5, "y": 5}}, expected={Summary(A): {"x": 1}})
    store.save(learner, {Summary(A): {"y": 6}}, expected={Summary(A): {"y": 2}})
    assert fields_at(store, learner, Summary(A)) == {"x": 5, "y": 6}


@each_engine
@pytest.mark.parametrize(
    "expected",
    [{A: {"x": 1}}, {Summary(A): 1}, {Summary(A): {"z": 1}}, {Summary(B): {"x": 1}}, {UserInfo(): {"x": 0}}],
)
def test_what_cannot_be_expected_is_said_before_anything_is_written(store, learner, expected):
    with pytest.raises(InvalidPlaceError, match="expected"):
        store.save(learner, {A: {"x": 1}, Summary(A): {"x": 1}}, expected=expected)
    assert fields_at(store, learner, A) == {}


@each_engine
def test_counting_in_many_threads_loses_no_count(store, learner):
    """Each reads, adds one, and begins again when somebody was faster."""
    place = Summary(A)

    def count(_: int) -> None:
        while True:
            state = store.read(None, [place]).get(place)
            seen = state.fields["n"] if state else 0
            revision = (state.revisions if state else {}).get("n", 0)
            try:
                store.save(None, {place: {"n": seen + 1}}, expected={place: {"n": revision}})
                break
            except ConflictError:
                continue
        connections[store.using].close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
    assert fields_at(store, learner, place) == {"n": 40}


@each_engine
def test_a_lock_is_of_a_transaction(store, learner):
    with pytest.raises(TransactionManagementError, match="until the end of a transaction"):
        store.lock(learner, [A])


@each_engine
def test_who_has_locked_places_is_saved_over_by_nobody(store, learner, alias):
    """Read under the lock and saved: no other save comes in between, in any order of the steps."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no row locks: a transaction that begins IMMEDIATE has the database to itself")
    places = [A, Summary(A), Preferences("problem"), UserInfo()]

    def count() -> None:
        with transaction.atomic(alias):
            store.lock(learner, places)
            states = store.read(learner, places)
            store.save(learner, {place: {"n": states[place].fields["n"] + 1} for place in places})

    store.save(learner, {place: {"n": 0} for place in places})
    race(count, count, using=alias, limit=20)
    store.save(learner, {place: {"n": 0} for place in places})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: (count(), connections[alias].close()), range(12)))
    assert all(state.fields["n"] == 12 for state in store.read(learner, places).values())


@each_engine
def test_a_lock_takes_the_rows_of_fields_in_the_order_in_which_a_save_does(store, learner, alias):
    """By name, not as they came to be stored: else a save and a lock could each wait for the other."""
    if connections[alias].vendor != "postgresql":
        pytest.skip("who waits for a row is asked of PostgreSQL")
    place, rows = Summary(A), XModuleUserStateSummaryField.objects.using(alias).select_for_update(nowait=True)

    def lock() -> None:
        try:
            with transaction.atomic(alias), connections[alias].cursor() as cursor:
                for way in ("indexscan", "bitmapscan"):  # as for a small table whose statistics are known
                    cursor.execute(f"SET LOCAL enable_{way} = off")
                store.lock(None, [place])
        finally:
            connections[alias].close()

    def someone_waits() -> bool:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return cursor.fetchone()[0] > 0

    for name in ("y", "x"):
        store.save(None, {place: {name: 0}})
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(alias):
            rows.get(field_name="x")
            locking = pool.submit(lock)
            while not someone_waits():
                assert not locking.done()
            rows.get(field_name="y")
        locking.result()

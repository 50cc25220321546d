"""``Store.save(fence=)``: a save under a lock that another has held since is refused, on every engine."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from fieldstone.errors import ConflictError, LockNotHeldError, LockTimeout, StaleFenceError
from fieldstone.kvs.fencing import Fence, check_fence
from fieldstone.kvs.region import Region
from fieldstone.kvs.tables import FENCE, NAME_LENGTH
from fieldstone.store import Grade, Preferences, Summary, UserInfo
from fieldstone.store.plan import Plan
from tests.conftest import each_engine, usage
from tests.engines.locks import IMPATIENT

A = usage("a")
EVERYWHERE = [A, Summary(A), Preferences("problem"), UserInfo()]
OLD, NEW = Fence("report", 10), Fence("report", 11)


def everywhere(value):
    return {place: {"x": value} for place in EVERYWHERE}


def read_back(store, learner):
    return {place: dict(state.fields) for place, state in store.read(learner, EVERYWHERE).items()}


def tokens(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT name, token FROM {FENCE}")
        return dict(cursor.fetchall())


@pytest.fixture
def region():
    region = Region("fenced").configure("memory")
    yield region
    region.close()


@each_engine
def test_a_save_with_an_older_token_is_refused_and_writes_nothing(store, learner, alias):
    store.save(learner, everywhere(1), fence=NEW, grades={A: Grade(1, 2)})
    with pytest.raises(StaleFenceError) as refused:
        store.save(learner, everywhere(2), fence=OLD, grades={A: Grade(2, 2)})
    assert (refused.value.name, refused.value.token, refused.value.newest) == ("report", 10, 11)
    assert read_back(store, learner) == everywhere(1)
    assert store.read(learner, [A])[A].grade == 1
    assert len(store.history(learner, A)) == 1
    assert tokens(alias) == {"report": 11}


@each_engine
@pytest.mark.parametrize("place", EVERYWHERE, ids=["state", "summary", "preferences", "user_info"])
def test_of_one_statement_too_nothing_is_written(store, learner, alias, place):
    """The places beside ``user_state`` are written without a transaction when nothing is to be checked."""
    store.save(learner, {place: {"x": 1}}, fence=NEW)
    with pytest.raises(StaleFenceError):
        store.save(learner, {place: {"x": 2}}, fence=OLD)
    assert dict(store.read(learner, [place])[place].fields) == {"x": 1}


@each_engine
def test_a_holder_may_save_often_and_a_later_one_after_it(store, learner, alias):
    for value in (1, 2):
        store.save(learner, {A: {"x": value}}, fence=OLD)
    store.save(learner, {A: {"x": 3}}, fence=NEW)
    store.save(learner, {A: {"x": 4}}, fence=Fence("another", 1))
    assert tokens(alias) == {"report": 11, "another": 1}
    assert len(store.history(learner, A)) == 4


@each_engine
def test_a_save_that_fails_raises_no_token(store, learner, alias):
    store.save(learner, {A: {"x": 1}}, fence=OLD)
    with pytest.raises(ConflictError):
        store.save(learner, {A: {"x": 2}}, expected={A: 7}, fence=NEW)
    assert tokens(alias) == {"report": 10}
    store.save(learner, {A: {"x": 3}}, fence=OLD)


@each_engine
def test_a_callers_transaction_goes_on_after_a_refused_save(store, learner, alias):
    store.save(learner, {A: {"x": 1}}, fence=NEW)
    with transaction.atomic(alias):
        store.save(learner, {UserInfo(): {"before": 1}})
        with pytest.raises(StaleFenceError):
            store.save(learner, {A: {"x": 2}}, fence=OLD)
        store.save(learner, {UserInfo(): {"after": 1}})
    assert dict(store.read(learner, [UserInfo()])[UserInfo()].fields) == {"before": 1, "after": 1}
    assert dict(store.read(learner, [A])[A].fields) == {"x": 1}


@each_engine
def test_a_fence_costs_one_statement_and_a_transaction_and_without_one_nothing(store, learner, alias):
    store.save(learner, {A: {"x": 0}}, fence=OLD)
    with CaptureQueriesContext(connections[alias]) as without:
        store.save(learner, {A: {"x": 1}})
    with CaptureQueriesContext(connections[alias]) as with_it:
        store.save(learner, {A: {"x": 2}}, fence=OLD)
    assert not any(FENCE in query["sql"] for query in without.captured_queries)
    assert sum(FENCE in query["sql"] for query in with_it.captured_queries) == 1
    statements = [
        [query["sql"] for query in queries if query["sql"] not in ("BEGIN", "BEGIN IMMEDIATE", "COMMIT")]
        for queries in (without.captured_queries, with_it.captured_queries)
    ]
    assert len(statements[1]) == len(statements[0]) + 1


@each_engine
def test_a_later_holder_waits_for_the_transaction_that_was_checked(store, learner, alias):
    """Its save is after the earlier one's, never between its check and its commit."""
    checked, refused = threading.Event(), []

    def save_later():
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute(IMPATIENT[connections[alias].vendor])
            assert checked.wait(60)
            store.save(learner, {A: {"x": "later"}}, fence=NEW)
        except OperationalError as error:
            refused.append(error)
        finally:
            connections[alias].close()

    other = threading.Thread(target=save_later)
    other.start()
    with transaction.atomic(alias):
        check_fence(OLD, alias)
        checked.set()
        other.join(60)
        store.save(learner, {A: {"x": "earlier"}})
    assert len(refused) == 1, "the later holder did not wait"
    store.save(learner, {A: {"x": "later"}}, fence=NEW)
    assert dict(store.read(learner, [A])[A].fields) == {"x": "later"}


@each_engine
def test_a_lock_is_a_fence_as_long_as_it_is_held(store, learner, alias, region):
    with region.lock("report", timeout=60) as lock:
        store.save(learner, {A: {"x": 1}}, fence=lock)
        assert tokens(alias) == {lock.as_fence().name: lock.fence}
    with pytest.raises(LockNotHeldError):
        store.save(learner, {A: {"x": 2}}, fence=lock)
    with pytest.raises(LockNotHeldError):
        store.save(learner, {}, fence=lock)
    assert dict(store.read(learner, [A])[A].fields) == {"x": 1}


@each_engine
def test_a_lock_past_its_timeout_authorises_no_save(store, learner, alias, region):
    lock = region.lock("report", timeout=60).acquire()
    lock.acquire_time -= 60
    with pytest.raises(LockTimeout):
        store.save(learner, {A: {"x": 1}}, fence=lock)
    assert len(store.history(learner, A)) == 0
    lock.release()


@each_engine
def test_a_holder_that_was_overtaken_is_refused_though_it_believes_in_its_lock(store, learner, alias, region):
    paused = region.lock("report", timeout=60).acquire()
    region.backend.release(paused.mutex.name, paused.mutex._owner)  # as if its time had passed on the server
    name = paused.as_fence().name
    later = Fence(name, region.backend.acquire(paused.mutex.name, "later", 60, 0))
    store.save(learner, {A: {"x": "later"}}, fence=later)
    with pytest.raises(StaleFenceError):
        store.save(learner, {A: {"x": "paused"}}, fence=paused)
    assert dict(store.read(learner, [A])[A].fields) == {"x": "later"}


@each_engine
def test_restoring_and_saving_plans_are_fenced_too(store, learner, alias):
    store.save(learner, {A: {"x": 1}})
    store.save(learner, {A: {"x": 2}}, fence=NEW)
    with pytest.raises(StaleFenceError):
        store.restore(learner, A, revision=1, fence=OLD)
    with pytest.raises(StaleFenceError):
        store.save_plan(learner, Plan.of({A: {"x": 3}}, {}), fence=OLD)
    assert dict(store.read(learner, [A])[A].fields) == {"x": 2}
    store.restore(learner, A, revision=1, fence=NEW)
    assert dict(store.read(learner, [A])[A].fields) == {"x": 1}


@each_engine
def test_coroutines_saves_are_fenced_too(store, learner, alias):
    async def save():
        try:
            await store.asave(learner, {A: {"x": 1}}, fence=NEW)
            with pytest.raises(StaleFenceError):
                await store.asave(learner, {A: {"x": 2}}, fence=OLD)
            await store.asave(learner, {A: {"x": 3}})
            with pytest.raises(StaleFenceError):
                await store.arestore(learner, A, revision=1, fence=OLD)
        finally:
            await sync_to_async(connections.close_all)()

    asyncio.run(save())
    assert dict(store.read(learner, [A])[A].fields) == {"x": 3}


# check_fence by itself


@each_engine
def test_a_check_outside_a_transaction_is_an_error(alias):
    with pytest.raises(TransactionManagementError, match="atomic"):
        check_fence(OLD, alias)
    assert tokens(alias) == {}


@each_engine
def test_a_check_that_was_rolled_back_counts_for_nothing(alias):
    with pytest.raises(KeyError), transaction.atomic(alias):
        check_fence(NEW, alias)
        raise KeyError
    with transaction.atomic(alias):
        check_fence(OLD, alias)
    assert tokens(alias) == {"report": 10}


@each_engine
def test_names_of_any_length_and_with_any_character_are_told_apart(alias):
    names = [
        "x" * NAME_LENGTH,
        "x" * (NAME_LENGTH + 1),
        "x" * (NAME_LENGTH + 2),
        "Case",
        "case",
        "e",
        "é",
        "e ",
        "n\0",
    ]
    with transaction.atomic(alias):
        for token, name in enumerate(names, 1):
            check_fence(Fence(name, token), alias)
        for token, name in enumerate(names, 1):
            check_fence(Fence(name, token), alias)
    assert sorted(tokens(alias).values()) == list(range(1, len(names) + 1))


@each_engine
def test_tokens_take_63_bits(alias):
    with transaction.atomic(alias):
        check_fence(Fence("report", 2**63 - 1), alias)
        with pytest.raises(StaleFenceError):
            check_fence(Fence("report", 2**63 - 2), alias)


@each_engine
def test_without_the_table_the_error_says_what_to_do(alias):
    """As where the app of regions is not installed."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {FENCE} RENAME TO {FENCE}_aside")
    try:
        with pytest.raises(ImproperlyConfigured, match=r"manage\.py migrate"), transaction.atomic(alias):
            check_fence(NEW, using=alias)
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE {FENCE}_aside RENAME TO {FENCE}")

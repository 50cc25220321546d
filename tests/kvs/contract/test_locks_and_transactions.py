"""A lock that is held until a transaction has ended; and fences, checked where it writes."""

from __future__ import annotations

import pytest
from django.db import connections, transaction

from fieldstone.errors import LockNotHeldError, LockTimeout, StaleFenceError, UnexpectedError
from fieldstone.kvs import Region
from fieldstone.kvs.fencing import check_fence
from fieldstone.testing.contracts.locks.checks import Locks
from tests.kvs.backends import DATABASES, each
from tests.kvs.workers import elsewhere


@pytest.fixture
def alias(kind):
    return kind.alias


@pytest.fixture
def locks(region, brief):
    return Locks(region.lock, brief)


@pytest.fixture
def is_free(region):
    """Whether another could have the lock of ``key`` now."""

    def ask() -> bool:
        return not region.backend.locked(region.lock("key").mutex.name)

    return ask


@pytest.fixture
def memory() -> Region:
    """Locks of another server than the one that has the transaction."""
    return Region("memory-beside").configure("memory")


@each(DATABASES)
def test_a_lock_is_released_after_the_commit_and_not_before(memory, alias):
    with transaction.atomic(using=alias):
        with memory.lock("key") as lock:
            lock.release_after_commit(using=alias)
        assert lock.active
        with pytest.raises(UnexpectedError):
            memory.lock("key", blocking_timeout=0).acquire()
        order = []
        transaction.on_commit(lambda: order.append(lock.active), using=alias)
    assert not lock.active
    assert order == [False]
    memory.lock("key", blocking_timeout=0).acquire().release()


@each(DATABASES)
def test_a_lock_is_released_after_a_rollback_too(memory, alias):
    with pytest.raises(KeyError), transaction.atomic(using=alias), memory.lock("key") as lock:
        lock.release_after_commit(using=alias)
        raise KeyError
    assert not lock.active
    memory.lock("key", blocking_timeout=0).acquire().release()


@each(DATABASES)
def test_a_lock_is_released_when_the_savepoint_is_rolled_back(memory, alias):
    with transaction.atomic(using=alias):
        with pytest.raises(KeyError), transaction.atomic(using=alias), memory.lock("key") as lock:
            lock.release_after_commit(using=alias)
            raise KeyError
        assert not lock.active
        with transaction.atomic(using=alias), memory.lock("key", blocking_timeout=0) as lock:
            lock.release_after_commit(using=alias)
        assert lock.active
    assert not lock.active


@each(DATABASES)
def test_a_lock_is_released_when_the_connection_is_lost(memory, alias):
    connection = connections[alias]
    with pytest.raises(Exception), transaction.atomic(using=alias), memory.lock("key") as lock:  # noqa: B017
        lock.release_after_commit(using=alias)
        connection.connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    connection.close()
    assert not lock.active


@each(DATABASES)
def test_outside_a_transaction_there_is_nothing_to_wait_for(memory, alias):
    with memory.lock("key") as lock, pytest.raises(UnexpectedError, match="atomic"):
        lock.release_after_commit(using=alias)
    assert not lock.active
    with pytest.raises(LockNotHeldError), transaction.atomic(using=alias):
        lock.release_after_commit(using=alias)


@each(DATABASES)
def test_a_late_release_after_a_commit_is_logged_and_not_raised(memory, alias, caplog):
    with transaction.atomic(using=alias), memory.lock("key", timeout=0.05) as lock:
        lock.release_after_commit(using=alias)
        elsewhere(memory.lock("key", blocking_timeout=20).acquire)
    assert "LockTimeout" in caplog.text


@each(DATABASES)
def test_locks_in_the_database_hold_over_the_transaction_that_they_guard(region, alias, is_free):
    """Others see the lock while the transaction is open, and after its rollback it is free."""
    with region.lock("key") as lock:
        assert not is_free()
        with pytest.raises(KeyError), transaction.atomic(using=alias):
            region.set("key", 1, lock)
            raise KeyError
        assert lock.active
        lock.check("key")
        assert not is_free()
    assert is_free()


@each(DATABASES)
def test_a_token_that_is_not_the_newest_is_refused_and_what_it_would_write_is_rolled_back(locks, region, alias):
    late = locks("key", locks.brief).acquire()
    old = late.as_fence()
    with transaction.atomic(using=alias):
        check_fence(old, alias)
    lock = elsewhere(locks("key", blocking_timeout=20).acquire)
    with transaction.atomic(using=alias):
        check_fence(lock, alias)
        check_fence(lock, alias)
    lock.release()
    with pytest.raises(StaleFenceError) as refused, transaction.atomic(using=alias):
        check_fence(old, alias)
    assert (refused.value.name, refused.value.token) == (old.name, old.token)
    assert refused.value.newest == lock.fence
    with pytest.raises(LockTimeout), transaction.atomic(using=alias):
        check_fence(late, alias)
    with pytest.raises(LockNotHeldError), transaction.atomic(using=alias):
        check_fence(lock, alias)


@each(DATABASES)
def test_a_token_whose_transaction_was_rolled_back_shuts_nobody_out(locks, alias):
    first = locks("key", locks.brief).acquire().as_fence()
    lock = elsewhere(locks("key", blocking_timeout=20).acquire)
    with pytest.raises(KeyError), transaction.atomic(using=alias):
        check_fence(lock, alias)
        raise KeyError
    with transaction.atomic(using=alias):
        check_fence(first, alias)


@each(DATABASES)
def test_a_fence_is_checked_inside_a_transaction_only(locks, alias):
    with locks("key") as lock, pytest.raises(transaction.TransactionManagementError, match="atomic"):
        check_fence(lock, alias)

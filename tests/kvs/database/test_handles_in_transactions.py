"""What a handle is worth that was acquired in a transaction: nothing, once that has ended."""

from __future__ import annotations

import time

import pytest
from django.db import connections, transaction

from fieldstone.errors import LockTimeout
from fieldstone.kvs import Region
from tests.conftest import each_server


@pytest.fixture
def region(alias):
    region = Region("handles").configure("database", using=alias)
    yield region
    region.clear()


@each_server
def test_after_the_commit_a_handle_authorises_nothing(region, alias):
    with transaction.atomic(alias):
        lock = region.lock("key").acquire()
        region.set("key", 1, lock)
    with pytest.raises(LockTimeout):
        region.set("key", 2, lock)
    assert region.get("key") == 1


@each_server
def test_after_a_rollback_a_handle_authorises_nothing(region, alias):
    with pytest.raises(KeyError), transaction.atomic(alias):
        lock = region.lock("key").acquire()
        raise KeyError
    assert lock.expired
    with pytest.raises(LockTimeout):
        lock.as_fence()


@each_server
def test_after_a_rollback_to_a_savepoint_a_handle_authorises_nothing(region, alias):
    with transaction.atomic(alias):
        with pytest.raises(KeyError), transaction.atomic(alias):
            inner = region.lock("inner").acquire()
            raise KeyError
        outer = region.lock("outer").acquire()
        assert inner.expired
        assert not outer.expired


@each_server
def test_a_lock_of_a_transaction_is_renewed_by_a_thread_that_sees_nothing_of_it(region, alias):
    lost = []
    with transaction.atomic(alias), region.lock("key", timeout=0.3, renew=True, on_lost=lost.append) as lock:
        until = time.monotonic() + 20
        acquired = lock.acquire_time
        while lock.acquire_time == acquired:
            assert time.monotonic() < until
            time.sleep(0.01)
        lock.check("key")
    assert not lost
    connections[alias].close()

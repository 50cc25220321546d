"""Locks on every backend: who holds them, for how long, and what they authorise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from fieldstone import conf
from fieldstone.errors import InvalidKeyError, LockNotHeldError, LockTimeout, UnexpectedError, WrongLockError
from fieldstone.kvs import KeyValueStoreLock, Region
from fieldstone.kvs.locks import Fence
from fieldstone.testing.contracts.base import Make, needs
from fieldstone.testing.contracts.locks.base import OnLocks
from fieldstone.testing.contracts.locks.checks import (
    CHECKS,
    LONG,
    Locks,
    gives_each_holder_a_greater_fence,
    token,
)
from fieldstone.testing.contracts.workers import elsewhere, in_threads


def _closing(work: Callable[[int], None]) -> Any:
    return lambda number: in_threads(1, lambda _: work(number))


def _gives_up(lock: KeyValueStoreLock) -> bool:
    try:
        lock.acquire()
    except UnexpectedError:
        return True
    return False


class Holding(OnLocks):
    """Locks on every backend: who holds them, for how long, and what they authorise."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_a_lock(self, locks: Locks, region: Region, check: Callable[[Locks], None]) -> None:
        if check is gives_each_holder_a_greater_fence:
            needs(region, "fencing")
        check(locks)

    @pytest.mark.parametrize("write", ["set", "delete"])
    def test_a_write_wants_the_lock_of_its_key_held_and_not_expired(
        self, region: Region, locks: Locks, write: str
    ) -> None:
        def written(lock: Any, key: str = "key") -> None:
            if write == "set":
                region.set(key, 2, lock)
            else:
                region.delete(key, lock)

        region.set_multi({"key": 1, "other": 1})
        late = locks.outlived("key")
        with pytest.raises(LockTimeout):
            written(late)
        lock = locks("key")
        with pytest.raises(LockNotHeldError):
            written(lock)
        with lock, pytest.raises(WrongLockError):
            written(lock, "other")
        with pytest.raises(LockNotHeldError):
            written(lock)
        assert region.get_multi(["key", "other"]) == [1, 1]
        with locks("key") as lock:
            written(lock)
        assert region.get("key", None) == (2 if write == "set" else None)

    def test_writing_without_a_lock_takes_none_and_asks_for_none(self, region: Region, locks: Locks) -> None:
        with locks("key"):
            region.set("key", 1)
            region.delete("key")

    def test_a_lock_is_released_when_its_block_raises(self, region: Region, locks: Locks) -> None:
        with pytest.raises(KeyError), locks("key"):
            raise KeyError
        locks("key").acquire().release()

    def test_a_lock_that_was_outlived_is_told_at_the_end_of_its_block_unless_that_raises(
        self, region: Region, locks: Locks
    ) -> None:
        with pytest.raises(LockTimeout), locks("key", self.brief):
            elsewhere(locks("key", blocking_timeout=self.patience).acquire).release()
        with pytest.raises(KeyError), locks("key", self.brief):
            elsewhere(locks("key", blocking_timeout=self.patience).acquire).release()
            raise KeyError

    def test_without_locking_locks_exclude_nobody_and_authorise_all_the_same(self, make: Make) -> None:
        region = make(locking=False)
        with region.lock("key") as one, region.lock("key") as other:
            region.set("key", 1, one)
            region.set("key", 2, other)
            assert one.active and one.fence is None
            with pytest.raises(UnexpectedError, match="no fencing token"):
                one.as_fence()
        with pytest.raises(LockNotHeldError):
            region.set("key", 3, one)
        assert region.get("key") == 2

    def test_the_times_of_the_region_are_those_of_its_locks(self, make: Make) -> None:
        region = make(lock_timeout=7.5, blocking_timeout=0.25)
        lock = region.get_lock("key")
        assert (lock.lock_timeout, lock.mutex.blocking_timeout) == (7.5, 0.25)
        lock = region.lock("key", timeout=2, blocking_timeout=0)
        assert (lock.lock_timeout, lock.mutex.blocking_timeout) == (2.0, 0.0)
        assert make(lock_timeout=7.5, max_lock_attempts=3).get_lock("key").mutex.blocking_timeout == 3.0
        assert make().get_lock("key").lock_timeout == conf.lock_timeout()

    @pytest.mark.parametrize(
        "times", [{"timeout": 0}, {"timeout": float("inf")}, {"blocking_timeout": -1}], ids=repr
    )
    def test_times_that_are_none_are_refused(self, region: Region, times: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            region.lock("key", **times)

    def test_a_lock_of_a_bad_key_is_refused(self, region: Region) -> None:
        with pytest.raises(InvalidKeyError):
            region.lock("")

    def test_a_fence_carries_the_name_of_its_lock(self, region: Region, locks: Locks) -> None:
        needs(region, "fencing")
        with locks("key") as lock, locks("other") as other:
            assert lock.as_fence() == Fence(lock.mutex.name, token(lock))
            assert lock.as_fence().name != other.as_fence().name
        with pytest.raises(LockNotHeldError):
            lock.as_fence()

    def test_the_backend_tells_an_owner_from_others(self, region: Region) -> None:
        """What all of this stands on."""
        if not region.abilities.honest_locks and not region.abilities.fencing:
            pytest.skip("its locks know no owners")
        backend = region.backend
        name = f"{region.name}!owner"
        assert backend.acquire(name, "a", LONG, 0) is not None
        assert backend.acquire(name, "a", LONG, 0) is None
        assert backend.acquire(name, "b", LONG, 0) is None
        assert not backend.release(name, "b")
        assert not backend.renew(name, "b", LONG)
        assert backend.locked(name)
        assert backend.renew(name, "a", LONG)
        assert backend.release(name, "a")
        assert not backend.locked(name)
        assert not backend.release(name, "a")
        assert not backend.renew(name, "a", LONG)

    def test_who_waits_longest_is_next_where_locks_are_fair(self, region: Region, locks: Locks) -> None:
        needs(region, "fair_locks")
        order, held = [], locks("key").acquire()

        def wait(number: int) -> None:
            with locks("key", blocking_timeout=self.patience):
                order.append(number)

        started = []
        for number in range(4):
            started.append(threading.Thread(target=_closing(wait), args=[number]))
            started[-1].start()
            time.sleep(0.06)  # until it is in the queue: nothing tells of that
        held.release()
        for thread in started:
            thread.join(self.patience)
        assert order == list(range(4))

    def test_who_gave_up_waiting_is_in_nobodys_way(self, region: Region, locks: Locks) -> None:
        with locks("key"):
            with pytest.raises(UnexpectedError):
                elsewhere(locks("key", blocking_timeout=0.1).acquire)
            assert in_threads(3, lambda _: _gives_up(locks("key", blocking_timeout=0.1))) == [True] * 3
        locks("key").acquire().release()

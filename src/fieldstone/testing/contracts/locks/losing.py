"""Locks that are renewed, and those that the server forgot."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from fieldstone.errors import LockTimeout, UnexpectedError
from fieldstone.kvs import KeyValueStoreLock, Region
from fieldstone.testing.contracts.locks.base import OnLocks
from fieldstone.testing.contracts.locks.checks import Locks, token
from fieldstone.testing.contracts.workers import elsewhere


class Losing(OnLocks):
    """Locks that are renewed, and those that the server forgot."""

    def test_fences_grow_also_when_the_server_has_forgotten_everything(
        self, region: Region, locks: Locks, forget_all: Callable[[], None]
    ) -> None:
        with locks("key") as before:
            fence = token(before)
        forget_all()
        with locks("key") as after:
            assert token(after) > fence

    def test_a_holder_whose_lock_the_server_forgot_is_told(
        self, region: Region, locks: Locks, forget_all: Callable[[], None]
    ) -> None:
        lock = locks("key").acquire()
        forget_all()
        with pytest.raises(LockTimeout):
            lock.renew()
        assert lock.expired
        with pytest.raises(LockTimeout):
            region.set("key", 1, lock)
        with pytest.raises(LockTimeout):
            lock.release()

    def test_renewal_keeps_a_lock_beyond_its_timeout(self, region: Region, locks: Locks) -> None:
        timeout = max(self.brief * 2, 0.3)  # a third of it is what a renewal may be late
        with region.lock("key", timeout=timeout, renew=True) as lock:
            witness = locks("witness", timeout).acquire()
            elsewhere(locks("witness", blocking_timeout=self.patience).acquire).release()
            assert witness.expired
            lock.check("key")
            with pytest.raises(UnexpectedError):
                locks("key").acquire()
        locks("key").acquire().release()
        assert "renewing" not in "".join(thread.name for thread in threading.enumerate())

    def test_the_holder_is_told_once_when_a_renewed_lock_is_taken_away(
        self, region: Region, forget_all: Callable[[], None]
    ) -> None:
        lost: list[KeyValueStoreLock] = []
        lock = region.lock("key", timeout=self.brief * 2, renew=True, on_lost=lost.append).acquire()
        forget_all()
        self.eventually(lambda: lost)
        assert lost == [lock]
        assert lock.expired
        with pytest.raises(LockTimeout):
            region.set("key", 1, lock)
        with pytest.raises(LockTimeout):
            lock.renew()
        with pytest.raises(LockTimeout):
            lock.release()
        assert lost == [lock]

"""What any lock has to do, as functions of something that makes locks: ours, or other people's.

``locks(key, timeout=, blocking_timeout=)`` gives a ``KeyValueStoreLock``. Each check raises ``AssertionError``, or
what it did not expect. ``LockContract`` runs them on the locks of a region.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fieldstone.errors import LockNotHeldError, LockTimeout, UnexpectedError
from fieldstone.kvs import KeyValueStoreLock
from fieldstone.testing.contracts.workers import elsewhere, in_threads

LONG = 60.0
"""A timeout in seconds that no check outlives."""


@dataclass(frozen=True)
class Locks:
    make: Callable[..., KeyValueStoreLock]
    brief: float
    """The shortest time in seconds that one can be held for."""
    patience: float = 20.0
    """What is bounded by some tenths of a second has to be over after so many seconds, on any machine."""

    def __call__(self, key: str, timeout: float = LONG, blocking_timeout: float = 0.0) -> KeyValueStoreLock:
        return self.make(key, timeout=timeout, blocking_timeout=blocking_timeout)

    def outlived(self, key: str) -> KeyValueStoreLock:
        """A lock that its holder still believes to hold, and that ended on the server."""
        lock = self(key, self.brief).acquire()
        elsewhere(self(key, blocking_timeout=self.patience).acquire).release()
        return lock


def token(lock: KeyValueStoreLock) -> int:
    """Its fencing token; fails unless it has one."""
    fence = lock.fence
    assert type(fence) is int and 0 < fence < 2**63, f"a fencing token is {fence!r}"
    return fence


def excludes_others(locks: Locks) -> None:
    held, other = locks("key").acquire(), locks("key")
    with pytest.raises(UnexpectedError):
        elsewhere(other.acquire)
    assert held.active and not other.active
    held.release()
    other.acquire().release()


def keeps_keys_apart(locks: Locks) -> None:
    with locks("one"), locks("other") as other:
        assert other.active


def waits_no_longer_than_it_was_told(locks: Locks) -> None:
    with locks("key"):
        began = time.monotonic()
        with pytest.raises(UnexpectedError, match="held by another"):
            elsewhere(locks("key", blocking_timeout=0.2).acquire)
        assert 0.2 <= time.monotonic() - began < locks.patience


def is_not_given_again_to_the_thread_that_holds_it(locks: Locks) -> None:
    with locks("key") as held:
        with pytest.raises(UnexpectedError):
            locks("key", blocking_timeout=locks.patience).acquire()
        with pytest.raises(UnexpectedError, match="already"):
            held.acquire()
        assert held.active
    locks("key").acquire().release()


def gets_what_is_let_go_while_it_waits(locks: Locks) -> None:
    """Soon: long before the holder's timeout."""
    held = locks("key").acquire()

    def work(number: int) -> None:
        if number:
            locks("key", blocking_timeout=locks.patience).acquire().release()
        else:
            held.release()

    in_threads(4, work)


def gets_what_a_dead_holder_left_after_its_timeout(locks: Locks) -> None:
    locks("key", locks.brief).acquire()
    elsewhere(locks("key", blocking_timeout=locks.patience).acquire).release()


def is_not_let_go_by_who_never_had_it(locks: Locks) -> None:
    with locks("key"):
        stranger = locks("key")
        with pytest.raises(LockNotHeldError):
            stranger.release()
        with pytest.raises(UnexpectedError):
            elsewhere(stranger.acquire)
        with pytest.raises(LockNotHeldError):
            stranger.release()
        with pytest.raises(UnexpectedError):
            elsewhere(locks("key").acquire)


def is_not_let_go_by_who_held_it_before(locks: Locks) -> None:
    late = locks("key", locks.brief).acquire()
    held = elsewhere(locks("key", blocking_timeout=locks.patience).acquire)
    with pytest.raises(LockTimeout):
        late.release()
    with pytest.raises(UnexpectedError):
        locks("key").acquire()
    assert held.active
    assert held.mutex.locked()
    held.release()


def tells_who_lets_go_too_late(locks: Locks) -> None:
    late = locks.outlived("key")
    with pytest.raises(LockTimeout) as told:
        late.release()
    assert told.value.target == "key"
    with pytest.raises(LockNotHeldError):
        late.release()


def authorises_nothing_before_and_after_it_is_held(locks: Locks) -> None:
    lock = locks("key")
    with pytest.raises(LockNotHeldError):
        lock.check("key")
    with lock:
        lock.check("key")
        with pytest.raises(ValueError, match="other"):
            lock.check("other")
    with pytest.raises(LockNotHeldError):
        lock.check("key")


def authorises_nothing_after_its_timeout(locks: Locks) -> None:
    late = locks.outlived("key")
    assert late.expired
    with pytest.raises(LockTimeout):
        late.check("key")


def gives_each_holder_a_greater_fence(locks: Locks) -> None:
    fences = []
    for _ in range(20):
        with locks("key") as lock:
            fences.append(token(lock))
    assert fences == sorted(set(fences))
    late = locks("key", locks.brief).acquire()
    held = elsewhere(locks("key", blocking_timeout=locks.patience).acquire)
    assert token(held) > token(late)
    held.release()


def is_held_longer_when_it_is_renewed(locks: Locks) -> None:
    held, witness = locks("key", 3 * locks.brief).acquire(), locks("witness", 3 * locks.brief).acquire()
    until = time.monotonic() + locks.patience
    while not _can_be_had(locks("witness", blocking_timeout=locks.brief / 4)):
        assert time.monotonic() < until
        held.renew()
    assert witness.expired
    assert not _can_be_had(locks("key"))
    held.check("key")
    held.release()
    with pytest.raises(LockTimeout):
        witness.renew()


def _can_be_had(lock: KeyValueStoreLock) -> bool:
    try:
        elsewhere(lock.acquire).release()
    except UnexpectedError:
        return False
    return True


def keeps_threads_apart(locks: Locks) -> None:
    inside: list[int] = []

    def work(number: int) -> int:
        for _ in range(5):
            with locks("key", blocking_timeout=locks.patience):
                inside.append(number)
                time.sleep(0.001)  # for others to come in
                assert inside == [number], "two were inside at once"
                inside.remove(number)
        return number

    assert in_threads(6, work) == list(range(6))


CHECKS: list[Callable[[Locks], None]] = [
    excludes_others,
    keeps_keys_apart,
    waits_no_longer_than_it_was_told,
    is_not_given_again_to_the_thread_that_holds_it,
    gets_what_is_let_go_while_it_waits,
    gets_what_a_dead_holder_left_after_its_timeout,
    is_not_let_go_by_who_never_had_it,
    is_not_let_go_by_who_held_it_before,
    tells_who_lets_go_too_late,
    authorises_nothing_before_and_after_it_is_held,
    authorises_nothing_after_its_timeout,
    gives_each_holder_a_greater_fence,
    is_held_longer_when_it_is_renewed,
    keeps_threads_apart,
]

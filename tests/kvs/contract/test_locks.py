"""Locks on every backend: who holds them, for how long, and what they authorise."""

from __future__ import annotations

import threading
import time
from itertools import chain

import pytest

from fieldstone.errors import InvalidKeyError, LockNotHeldError, LockTimeout, UnexpectedError, WrongLockError
from fieldstone.kvs.locks import Fence
from tests.kvs.backends import WITH_LOCKS, params
from tests.kvs.contract.lock_checks import CHECKS, LONG, PATIENCE, Locks, gives_each_holder_a_greater_fence
from tests.kvs.workers import Barrier, Event, Value, elsewhere, eventually, in_threads


@pytest.fixture(params=params(WITH_LOCKS))
def kind(request):
    return request.param


@pytest.fixture
def locks(region, brief):
    return Locks(region.lock, brief)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_lock(locks, region, check):
    if check is gives_each_holder_a_greater_fence and not region.abilities.fencing:
        pytest.skip("it has no fencing")
    check(locks)


@pytest.mark.parametrize("write", ["set", "delete"])
def test_a_write_wants_the_lock_of_its_key_held_and_not_expired(region, locks, write):
    def written(lock, key="key"):
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


def test_writing_without_a_lock_takes_none_and_asks_for_none(region, locks):
    with locks("key"):
        region.set("key", 1)
        region.delete("key")


def test_a_lock_is_released_when_its_block_raises(region, locks):
    with pytest.raises(KeyError), locks("key"):
        raise KeyError
    locks("key").acquire().release()


def test_a_lock_that_was_outlived_is_told_at_the_end_of_its_block_unless_that_raises(region, locks, brief):
    with pytest.raises(LockTimeout), locks("key", brief):
        elsewhere(locks("key", blocking_timeout=PATIENCE).acquire).release()
    with pytest.raises(KeyError), locks("key", brief):
        elsewhere(locks("key", blocking_timeout=PATIENCE).acquire).release()
        raise KeyError


def test_without_locking_locks_exclude_nobody_and_authorise_all_the_same(make):
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


def test_the_times_of_the_region_are_those_of_its_locks(make):
    region = make(lock_timeout=7.5, blocking_timeout=0.25)
    lock = region.get_lock("key")
    assert (lock.lock_timeout, lock.mutex.blocking_timeout) == (7.5, 0.25)
    lock = region.lock("key", timeout=2, blocking_timeout=0)
    assert (lock.lock_timeout, lock.mutex.blocking_timeout) == (2.0, 0.0)
    assert make(max_lock_attempts=3).get_lock("key").mutex.blocking_timeout == 3.0
    assert make().get_lock("key").lock_timeout == 5.0


@pytest.mark.parametrize("times", [{"timeout": 0}, {"timeout": float("inf")}, {"blocking_timeout": -1}], ids=repr)
def test_times_that_are_none_are_refused(region, times):
    with pytest.raises(ValueError):
        region.lock("key", **times)


def test_a_lock_of_a_bad_key_is_refused(region):
    with pytest.raises(InvalidKeyError):
        region.lock("")


def test_a_fence_carries_the_name_of_its_lock(region, locks):
    if not region.abilities.fencing:
        pytest.skip("it has no fencing")
    with locks("key") as lock, locks("other") as other:
        assert lock.as_fence() == Fence(lock.mutex.name, lock.fence)
        assert lock.as_fence().name != other.as_fence().name
    with pytest.raises(LockNotHeldError):
        lock.as_fence()


def test_the_backend_tells_an_owner_from_others(region, brief):
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


def test_who_waits_longest_is_next_where_locks_are_fair(region, locks):
    if not region.abilities.fair_locks:
        pytest.skip("its locks are not fair")
    order, held = [], locks("key").acquire()

    def wait(number):
        with locks("key", blocking_timeout=PATIENCE):
            order.append(number)

    started = []
    for number in range(4):
        started.append(threading.Thread(target=_closing(wait), args=[number]))
        started[-1].start()
        time.sleep(0.06)  # until it is in the queue: nothing tells of that
    held.release()
    for thread in started:
        thread.join(PATIENCE)
    assert order == list(range(4))


def _closing(work):
    return lambda number: in_threads(1, lambda _: work(number))


def test_who_gave_up_waiting_is_in_nobodys_way(region, locks):
    with locks("key"):
        with pytest.raises(UnexpectedError):
            elsewhere(locks("key", blocking_timeout=0.1).acquire)
        assert in_threads(3, lambda _: gives_up(locks("key", blocking_timeout=0.1))) == [True] * 3
    locks("key").acquire().release()


def gives_up(lock) -> bool:
    try:
        lock.acquire()
    except UnexpectedError:
        return True
    return False


def test_processes_are_kept_apart_and_their_fences_grow(shared, workers):
    inside, start = Value("i", 0), Barrier(4)

    def work(number):
        start.wait(20)
        for _ in range(10):
            with shared.lock("key", timeout=LONG, blocking_timeout=PATIENCE) as lock:
                inside.value += 1
                assert inside.value == 1, "two were inside at once"
                fence = lock.fence
                inside.value -= 1
            yield fence

    fences = workers.all(4, work)
    together = list(chain.from_iterable(fences))
    assert len(set(together)) == 40
    assert all(told == sorted(told) for told in fences)


def test_a_lock_that_a_killed_process_held_is_free_after_its_timeout(shared, workers, brief):
    def hold(held):
        lock = shared.lock("key", timeout=brief).acquire()
        held.set()
        yield lock.fence
        threading.Event().wait()

    held = Event()
    worker = workers.start(hold, held)
    fence = worker.next()
    worker.kill()
    with shared.lock("key", blocking_timeout=PATIENCE) as lock:
        assert lock.fence > fence


def test_fences_grow_also_when_the_server_has_forgotten_everything(region, locks, forget_all):
    with locks("key") as before:
        fence = before.fence
    forget_all()
    with locks("key") as after:
        assert after.fence > fence


def test_a_holder_whose_lock_the_server_forgot_is_told(region, locks, forget_all):
    lock = locks("key").acquire()
    forget_all()
    with pytest.raises(LockTimeout):
        lock.renew()
    assert lock.expired
    with pytest.raises(LockTimeout):
        region.set("key", 1, lock)
    with pytest.raises(LockTimeout):
        lock.release()


def test_renewal_keeps_a_lock_beyond_its_timeout(region, locks, brief):
    timeout = max(brief * 2, 0.3)  # a third of it is what a renewal may be late
    with region.lock("key", timeout=timeout, renew=True) as lock:
        witness = locks("witness", timeout).acquire()
        elsewhere(locks("witness", blocking_timeout=PATIENCE).acquire).release()
        assert witness.expired
        lock.check("key")
        with pytest.raises(UnexpectedError):
            locks("key").acquire()
    locks("key").acquire().release()
    assert "renewing" not in "".join(thread.name for thread in threading.enumerate())


def test_the_holder_is_told_once_when_a_renewed_lock_is_taken_away(region, brief, forget_all):
    lost = []
    lock = region.lock("key", timeout=brief * 2, renew=True, on_lost=lost.append).acquire()
    forget_all()
    eventually(lambda: lost)
    assert lost == [lock]
    assert lock.expired
    with pytest.raises(LockTimeout):
        region.set("key", 1, lock)
    with pytest.raises(LockTimeout):
        lock.renew()
    with pytest.raises(LockTimeout):
        lock.release()
    assert lost == [lock]


def test_a_process_that_slept_past_its_timeout_finds_its_lock_expired(shared, workers, brief):
    def hold():
        lock = shared.lock("key", timeout=brief).acquire()
        yield lock.fence
        eventually(lambda: lock.expired)
        try:
            shared.set("key", "late", lock)
        except LockTimeout:
            yield "refused"

    worker = workers.start(hold)
    fence = worker.next()
    worker.pause()
    with shared.lock("key", blocking_timeout=PATIENCE) as lock:
        assert lock.fence > fence
        shared.set("key", "mine", lock)
    worker.resume()
    assert worker.rest() == ["refused"]
    assert shared.get("key") == "mine"

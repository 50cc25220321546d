"""Locks of Keystone's stores: whom they let write, and how long one waits for them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from dogpile.cache.util import sha1_mangle_key

from fieldstone.errors import LockNotAcquiredError, LockNotHeldError, NotFound, WrongLockError
from fieldstone.kvs.keystone import core
from fieldstone.kvs.keystone.locking import NEVER

from . import others


@pytest.fixture
def plain(new_store, fieldstone):
    """Without mangling, on a backend of others, whose mutex is an entry ``_lock`` + key."""
    fieldstone(KEY_MANGLING=False)
    made = new_store()
    made.configure("openstack.kvs.Mangling", blocking_timeout=0.05)
    return made


KINDS = {
    "of ours": {"backing_store": "openstack.kvs.Memory"},
    "of a subclass": {"backing_store": "openstack.kvs.Bare"},
    "of others": {"backing_store": "openstack.kvs.Mangling"},
    "none of its own": {"backing_store": "openstack.kvs.Unlockable"},
    "of a client": {"backing_store": "openstack.kvs.Memcached", "memcached_backend": "Driver"},
    "of a client that reads": {"backing_store": "openstack.kvs.Memcached", "memcached_backend": "ReadingDriver"},
}


@pytest.fixture(params=KINDS)
def configured(request, new_store):
    """Makes stores with each kind of lock."""

    def configure(**arguments):
        made = new_store()
        made.configure(**KINDS[request.param], **arguments)
        return made

    return configure


@pytest.fixture
def any_store(configured):
    """With each kind of lock; waits are short."""
    return configured(blocking_timeout=0.05)


def elsewhere(call, *args):
    """Its result in another thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call, *args).result()


def taken(store, key):
    """Whether one gets the lock; it is let go again."""
    lock = store.get_lock(key)
    try:
        with lock:
            return True
    except core.UnexpectedError:
        return False


# As they always were


def test_a_lock_is_an_entry_of_the_backend_while_it_is_held(plain):
    entries = plain._region.backend._db
    for lock in (plain.get_lock("a"), core.KeyValueStoreLock(plain._mutex("a"), "a")):
        with lock:
            assert lock.active
            assert entries == {"_locka": 1}
            with plain._action_with_lock("a", lock):
                assert entries == {"_locka": 1}
        assert entries == {}


def test_without_locking_no_lock_is_taken_and_writing_with_it_is_allowed(new_store, fieldstone):
    fieldstone(KEY_MANGLING=False)
    store = new_store()
    store.configure("openstack.kvs.Mangling", locking=False)
    with store.get_lock("a") as lock, core.KeyValueStoreLock(store._mutex("a"), "a", False):
        assert store._region.backend._db == {}
        store.set("a", 1, lock)
    assert store.get("a") == 1


def test_no_lock_given_none_is_taken(plain):
    with plain._action_with_lock("a", None):
        assert plain._region.backend._db == {}
    with plain._action_with_lock("a"):
        assert plain._region.backend._db == {}


def test_the_holder_writes_and_deletes_with_its_lock(any_store):
    with any_store.get_lock("a") as lock, any_store._action_with_lock("a", lock):
        any_store.set("a", 1, lock)


def test_a_lock_of_another_key_is_refused(store):
    store.set("b", 1)
    with store.get_lock("a") as lock:
        for call in (lambda: store.set("b", 2, lock), lambda: store.delete("b", lock)):
            with pytest.raises(WrongLockError) as caught:
                call()
            assert isinstance(caught.value, ValueError)
    assert store.get("b") == 1


def test_a_lock_is_expired_a_second_before_its_timeout(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memory", lock_timeout=5)
    for passed, is_valid in ((2, True), (5, False), (100, False)):
        with store.get_lock("a") as lock:
            lock.acquire_time -= passed
            assert lock.expired is not is_valid
            if is_valid:
                store.set("a", passed, lock)
            else:
                with pytest.raises(core.LockTimeout), store._action_with_lock("a", lock):
                    pass
                with pytest.raises(core.LockTimeout):
                    store.set("a", passed, lock)
    assert store.get("a") == 2


def test_a_lock_without_timeout_does_not_expire(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memory", lock_timeout=0)
    with store.get_lock("a") as lock:
        lock.acquire_time -= 1e6
        store.set("a", 1, lock)


def test_the_default_timeout_is_a_setting(new_store, fieldstone):
    fieldstone(LOCK_TIMEOUT=7)
    store = new_store()
    store.configure("openstack.kvs.Memory")
    assert store.get_lock("a").lock_timeout == 7


# What was mended


@pytest.mark.parametrize("was_held", [True, False])
def test_a_lock_that_is_not_held_authorises_nothing(store, was_held):
    store.set("a", 1)
    lock = store.get_lock("a")
    if was_held:
        with lock:
            pass
    for call in (lambda: store.set("a", 2, lock), lambda: store.delete("a", lock)):
        with pytest.raises(LockNotHeldError) as caught:
            call()
        assert isinstance(caught.value, AssertionError)
    assert store.get("a") == 1


def test_what_is_no_lock_is_refused_as_one(store):
    with pytest.raises(TypeError, match="get_lock"):
        store.set("a", 1, lock=threading.Lock())
    with pytest.raises(NotFound):
        store.get("a")


def test_who_does_not_hold_a_lock_cannot_release_it(any_store):
    with any_store.get_lock("a"):
        stranger = any_store._mutex("a")
        assert stranger.release() is False
        assert elsewhere(any_store._mutex("a").release) is False
        assert not elsewhere(taken, any_store, "a")
    assert elsewhere(taken, any_store, "a")


def test_who_comes_too_late_does_not_release_the_next_holder_s_lock(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memory", blocking_timeout=0.05)
    now = time.monotonic()
    store._region.backend._locks._clock = lambda: now
    late, next_one = store._mutex("a"), store._mutex("a")
    assert late.acquire()
    now += 6.1  # the timeout, and the second for which the server keeps it longer
    assert elsewhere(next_one.acquire)
    assert late.release() is False
    assert not elsewhere(taken, store, "a")


def test_a_memcached_client_s_lock_that_another_took_over_is_left_to_it(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memcached", memcached_backend="ReadingDriver", blocking_timeout=0.05)
    locks = store._region.backend.driver.client.locks
    mutex = store._mutex("a")
    assert mutex.acquire()
    (name,) = locks
    locks[name] = "another's token", time.monotonic() + 60
    assert mutex.release() is False
    assert locks[name][0] == "another's token"


def test_a_memcached_client_s_lock_that_is_over_is_left_to_the_next_holder(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memcached", memcached_backend="Driver")  # its client cannot tell the owner
    locks, mutex = store._region.backend.driver.client.locks, store._mutex("a")
    assert mutex.acquire()
    until = store._region.backend._locks._until
    until.update(dict.fromkeys(until, time.monotonic()))
    assert mutex.release() is False
    assert len(locks) == 1


def test_a_mutex_of_others_that_excludes_by_being_one_object_excludes(new_store):
    class Plain:
        def __init__(self):
            self._lock = threading.Lock()
            self.acquire, self.release = self._lock.acquire, self._lock.release

    store = new_store()
    store.configure("openstack.kvs.Mangling", blocking_timeout=0.05)
    store._region.backend.get_mutex = lambda key: Plain()
    with store.get_lock("a"):
        assert not elsewhere(taken, store, "a")
        assert elsewhere(taken, store, "b")
    assert elsewhere(taken, store, "a")


@pytest.mark.parametrize(("timeout", "held"), [(5, 6.0), (0, NEVER)])
def test_the_server_keeps_a_lock_a_second_longer_than_its_holder_takes_it_to_be_valid(new_store, timeout, held):
    store = new_store()
    store.configure("openstack.kvs.Memory", lock_timeout=timeout)
    assert store.get_lock("a").lock_timeout == timeout
    assert store._region.backend.lock_times.held == held
    assert held <= store._mutex("a").mutex.timeout <= held + 1


def test_the_keys_of_locks_are_mangled_as_keys_are(new_store):
    store = new_store()
    store.configure("openstack.kvs.Mangling", key_mangler=sha1_mangle_key)
    with store.get_lock("a"):
        assert list(store._region.backend._db) == [f"_lock{sha1_mangle_key('a')}"]
    memcached = new_store()
    memcached.configure("openstack.kvs.Memcached", memcached_backend="Driver")
    with memcached.get_lock("a key that memcached would not take"):
        (name,) = memcached._region.backend.driver.client.locks
    assert name == f"_lock{sha1_mangle_key('a key that memcached would not take')}"


def test_waiting_for_a_lock_ends(any_store):
    with any_store.get_lock("a"):
        assert not elsewhere(taken, any_store, "a")
    assert taken(any_store, "a")


def test_waiting_for_a_mutex_of_others_ends_too_and_says_for_which_key(plain):
    with plain.get_lock("a"), pytest.raises(LockNotAcquiredError, match="key 'a'"):
        elsewhere(plain.get_lock("a").acquire)


def test_a_lock_that_is_let_go_meanwhile_is_had(plain):
    holder = plain._mutex("a")
    assert holder.acquire()
    tried = threading.Event()

    class Told(others.EntryMutex):
        def acquire(self, wait=True):
            is_taken = super().acquire(wait)
            tried.set()
            return is_taken

    waiting = plain._mutex("a")
    waiting.mutex = Told(plain._region.backend._db, "a")
    waiting._times = core.LockTimes(held=5, waited=30)
    with ThreadPoolExecutor(1) as thread:
        got = thread.submit(waiting.acquire)
        assert tried.wait(30)
        holder.release()
        assert got.result(30) is True


@pytest.mark.parametrize("backend", ["openstack.kvs.Memory", "openstack.kvs.Mangling", "openstack.kvs.Unlockable"])
def test_a_thread_that_asks_again_for_what_it_holds_is_told_at_once(new_store, backend):
    store = new_store()
    store.configure(backend, lock_timeout=600, blocking_timeout=600)
    with store.get_lock("a") as lock:
        with pytest.raises(core.UnexpectedError, match="would wait for itself"):
            store.get_lock("a").acquire()
        assert store._mutex("a").acquire(wait=False) is False
        assert lock.active
        with store.get_lock("b"):  # another key is another lock
            pass


def test_coroutines_wait_for_each_other_though_they_share_threads(store):
    async def use():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        first, second = store.get_lock("a"), store.get_lock("a")
        await first.aacquire()
        waiting = asyncio.create_task(second.aacquire())
        await asyncio.sleep(0)  # it begins, in the thread that has just acquired the first
        assert not waiting.done()
        await first.arelease()
        await waiting
        assert second.active
        await second.arelease()

    asyncio.run(use())


def test_a_fence_names_its_lock_with_the_region(store):
    with store.get_lock("a") as lock:
        fence = lock.as_fence()
    assert fence.name == f"{store._region.name}!{sha1_mangle_key('a')}"
    assert fence.token == lock.fence


def test_locks_that_are_disabled_let_a_thread_in_again(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memory", locking=False)
    with store.get_lock("a"), store.get_lock("a") as second:
        store.set("a", 1, second)


def test_many_threads_lose_no_increment(configured):
    store, counted = configured(lock_timeout=60, blocking_timeout=60), {"n": 0}

    def count(_):
        for _ in range(20):
            with store.get_lock("n"):
                n = counted["n"]
                time.sleep(0)  # lets another thread run, if it may
                counted["n"] = n + 1

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(count, range(6)))
    assert counted["n"] == 120


def test_each_acquisition_has_a_greater_fencing_token(store):
    fences = []
    for _ in range(3):
        with store.get_lock("a") as lock:
            fences.append(lock.fence)
    assert fences == sorted(set(fences))

"""Locks, on one server and on a Cluster: who gets them, in which order, and what is left of those who do not."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from fieldstone.kvs.backends.redis import RedisBackend, scripts
from fieldstone.kvs.backends.redis.locks import lock_key
from tests.kvs.workers import Background, Workers, eventually, in_loop, in_threads

LONG = 30.0  # seconds; a test that waits so long for a lock fails


class Lock:
    """What a server keeps of one lock."""

    def __init__(self, backend: RedisBackend, name: str) -> None:
        self.backend, self.name, self.key = backend, name, lock_key(name)

    def ask(self, *command):
        return self.backend.run(self.backend.router.send(self.key, [command]))[0]

    def script(self, script, *arguments):
        return self.backend.run(self.backend.script(script, self.key, *arguments))

    @property
    def waiting(self) -> list[str]:
        return [token.decode() for token in self.ask("LRANGE", f"{self.key}:queue", 0, -1)]

    def is_awaited_by(self, *tokens: str) -> None:
        eventually(lambda: self.waiting == list(tokens))

    def has_no_traces(self, *tokens: str) -> bool:
        besides = [f"{self.key}:queue", f"{self.key}:waiting", *(f"{self.key}:wake:{token}" for token in tokens)]
        return self.ask("EXISTS", *besides) == 0


@pytest.fixture
def lock(backend, name) -> Lock:
    return Lock(backend, name)


def waiter(backend, name, token, timeout=LONG):
    return Background(lambda: backend.acquire(name, token, timeout, LONG))


def taking(backend, name, token, timeout, wait):
    yield backend.acquire(name, token, timeout, wait)
    threading.Event().wait()


def test_one_owner_holds_it_until_it_lets_go(call, name):
    assert call("locked", name) is False
    assert call("acquire", name, "first", LONG, 0) > 0
    assert call("locked", name) is True
    assert call("acquire", name, "second", LONG, 0) is None
    assert call("release", name, "first") is True
    assert call("locked", name) is False
    assert call("acquire", name, "second", LONG, 0) > 0


def test_only_the_owner_releases_and_renews(call, name):
    call("acquire", name, "owner", LONG, 0)
    assert call("release", name, "other") is False
    assert call("renew", name, "other", LONG) is False
    assert call("locked", name) is True
    assert call("renew", name, "owner", LONG) is True
    assert call("release", name, "owner") is True
    assert call("release", name, "owner") is False
    assert call("renew", name, "owner", LONG) is False


def test_who_was_too_slow_neither_releases_nor_renews_nor_disturbs_the_next(call, name):
    call("acquire", name, "slow", 0.05, 0)
    assert call("acquire", name, "next", LONG, LONG) > 0
    assert call("release", name, "slow") is False
    assert call("renew", name, "slow", LONG) is False
    assert call("acquire", name, "third", LONG, 0) is None


def test_the_timeout_ends_it_also_when_nobody_asks(call, name):
    call("acquire", name, "owner", 0.05, 0)
    eventually(lambda: not call("locked", name))
    assert call("renew", name, "owner", LONG) is False


def test_a_renewed_lock_outlasts_its_first_timeout(call, name):
    call("acquire", name, "owner", 0.5, 0)
    assert call("renew", name, "owner", LONG) is True
    assert call("acquire", name, "other", LONG, 0.7) is None
    assert call("release", name, "owner") is True


def test_an_owner_does_not_get_it_again(call, name, lock):
    call("acquire", name, "owner", LONG, 0)
    assert call("acquire", name, "owner", LONG, 0) is None
    assert call("acquire", name, "owner", LONG, 0.2) is None
    assert lock.has_no_traces("owner")


def test_a_lock_for_longer_than_anything_lasts_is_one(call, name):
    assert call("acquire", name, "owner", 1e12, 0) > 0
    assert call("acquire", name, "other", LONG, 0) is None
    assert call("release", name, "owner") is True


def test_fencing_tokens_grow_with_each_acquisition_and_fit_64_bits(call, name):
    tokens = []
    for number in range(20):
        tokens.append(call("acquire", name, f"owner {number}", LONG, 0))
        call("release", name, f"owner {number}")
    assert tokens == sorted(set(tokens))
    assert tokens[-1] < 2**63


def test_fencing_tokens_grow_though_the_server_forgets_them(call, name, lock):
    before = call("acquire", name, "owner", LONG, 0)
    lock.ask("DEL", lock.key)
    assert call("acquire", name, "owner", LONG, 0) > before


def test_fencing_tokens_grow_though_the_clock_of_the_server_goes_back(call, name, lock):
    ahead = 2**53 - 10
    lock.ask("SET", lock.key, f"{ahead} 0 ")
    assert call("acquire", name, "owner", LONG, 0) == ahead + 1


def test_a_server_that_forgets_everything_goes_on_with_greater_tokens(url):
    backend = RedisBackend("tested", url=url.rpartition("/")[0] + "/15")
    before = backend.acquire("a lock", "owner", LONG, 0)
    backend.run(backend.router.send("", [("FLUSHDB",)]))
    assert backend.acquire("a lock", "owner", LONG, 0) > before
    backend.run(backend.router.send("", [("FLUSHDB",)]))
    backend.close()


def test_who_comes_first_gets_it_first(backend, name, lock):
    backend.acquire(name, "holder", LONG, 0)
    order = [f"waiter {number}" for number in range(5)]
    waiters = []
    for number, token in enumerate(order):
        waiters.append(waiter(backend, name, token))
        lock.is_awaited_by(*order[: number + 1])
    tokens, holder = [], "holder"
    for number, token in enumerate(order):
        assert backend.release(name, holder)
        tokens.append(waiters[number].result())
        assert lock.waiting == order[number + 1 :]
        holder = token
    assert backend.release(name, holder)
    assert tokens == sorted(set(tokens))
    assert lock.has_no_traces(*order)


def test_nobody_gets_in_between_who_lets_go_and_who_waits(backend, name, lock):
    backend.acquire(name, "holder", LONG, 0)
    waiting = waiter(backend, name, "waiter")
    lock.is_awaited_by("waiter")
    assert backend.release(name, "holder")
    assert backend.acquire(name, "another", LONG, 0) is None
    assert waiting.result() > 0


def test_waiters_of_a_holder_that_was_killed_get_it_in_their_order(backend, name, lock):
    with Workers() as workers:
        holder = workers.start(taking, backend, name, "holder", 2.0, 0)
        assert holder.next() > 0
        holder.kill()
        first = waiter(backend, name, "first")
        lock.is_awaited_by("first")
        second = waiter(backend, name, "second")
        assert first.result() > 0
        lock.is_awaited_by("second")
        backend.release(name, "first")
        assert second.result() > 0


def test_a_newcomer_after_the_holders_end_does_not_overtake_a_waiter(backend, name, lock):
    """The waiter is one that does not ask by itself: it only said that it is there."""
    backend.acquire(name, "holder", 0.5, 0)
    assert lock.script(scripts.ACQUIRE, "waiter", 10**7, 10**8) < 0
    eventually(lambda: not backend.locked(name))
    assert backend.acquire(name, "newcomer", LONG, 0) is None
    assert lock.script(scripts.ACQUIRE, "waiter", 10**7, 0) > 0


def test_a_waiter_that_was_killed_does_not_keep_the_next_one_from_it(backend, name, lock):
    backend.acquire(name, "holder", LONG, 0)
    with Workers() as workers:
        killed = workers.start(taking, backend, name, "killed", 2 * LONG, LONG)
        lock.is_awaited_by("killed")
        killed.kill()
    other = waiter(backend, name, "other")
    lock.is_awaited_by("killed", "other")
    backend.release(name, "holder")
    assert other.result() > 0
    assert lock.has_no_traces("killed", "other") or lock.ask("PTTL", f"{lock.key}:wake:killed") > 0


def test_waiters_that_nobody_has_heard_of_for_long_are_passed_over(backend, name, lock):
    backend.acquire(name, "holder", LONG, 0)
    for number in range(3):
        lock.script(scripts.ACQUIRE, f"dead {number}", 10**8, 1)
    lock.script(scripts.ACQUIRE, "alive", 10**8, 10**8)
    assert backend.release(name, "holder")
    assert lock.waiting == []
    assert lock.script(scripts.ACQUIRE, "alive", 10**8, 0) > 0


def test_all_that_give_up_at_once_leave_nothing_behind(backend, name, lock):
    backend.acquire(name, "holder", LONG, 0)
    waits = in_threads(8, lambda number: backend.acquire(name, f"waiter {number}", LONG, 0.3))
    assert waits == [None] * 8
    assert lock.has_no_traces(*(f"waiter {number}" for number in range(8)))
    assert backend.release(name, "holder")
    assert backend.locked(name) is False


def test_what_is_handed_to_one_that_gives_up_goes_to_the_next(backend, name, lock):
    backend.acquire(name, "holder", LONG, 0)
    lock.script(scripts.ACQUIRE, "gives up", 10**8, 10**8)
    lock.script(scripts.ACQUIRE, "next", 10**8, 10**8)
    backend.release(name, "holder")
    assert lock.script(scripts.ACQUIRE, "next", 10**8, 0) < 0, "it is the other's turn"
    lock.script(scripts.LEAVE, "gives up")
    assert lock.script(scripts.ACQUIRE, "next", 10**8, 0) > 0


def test_a_lock_released_while_all_give_up_is_not_lost(backend, name):
    """The moment differs from one time to the next; after each the lock is somebody's who knows, or free."""

    def brief(number):
        return number, backend.acquire(name, f"waiter {number}", LONG, 0.05)

    for moment in range(20):
        backend.acquire(name, "holder", LONG, 0)
        waiting = Background(lambda: in_threads(4, brief))
        threading.Event().wait(0.04 + moment / 1000)
        backend.release(name, "holder")
        owners = [number for number, token in waiting.result() if token is not None]
        assert len(owners) <= 1
        assert backend.locked(name) is bool(owners)
        for number in owners:
            assert backend.release(name, f"waiter {number}")


def test_coroutines_wait_in_one_queue_with_threads(backend, name, lock):
    async def main():
        await backend.acall("acquire", name, "holder", LONG, 0)
        order = []

        async def take(token):
            assert await backend.acall("acquire", name, token, LONG, LONG)
            order.append(token)
            await backend.acall("release", name, token)

        async with asyncio.TaskGroup() as group:
            for number in range(2):
                group.create_task(take(f"task {number}"))
                await asyncio.to_thread(eventually, lambda number=number: len(lock.waiting) == 2 * number + 1)
                thread = waiter(backend, name, f"thread {number}")
                await asyncio.to_thread(eventually, lambda number=number: len(lock.waiting) == 2 * number + 2)
                group.create_task(asyncio.to_thread(let_go, thread, f"thread {number}", order))
            await backend.acall("release", name, "holder")
        await backend.aclose()
        return order

    def let_go(thread, token, order):
        thread.result()
        order.append(token)
        backend.release(name, token)

    assert in_loop(main()) == ["task 0", "thread 0", "task 1", "thread 1"]


def test_a_cancelled_coroutine_leaves_neither_a_lock_nor_a_place_in_the_queue(backend, name, lock):
    async def main():
        backend.acquire(name, "holder", LONG, 0)
        task = asyncio.create_task(backend.acall("acquire", name, "waiter", LONG, LONG))
        await asyncio.to_thread(lock.is_awaited_by, "waiter")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await backend.aclose()

    in_loop(main())
    assert lock.has_no_traces("waiter")
    backend.release(name, "holder")
    assert backend.locked(name) is False


def test_a_coroutine_hears_that_it_is_cancelled_whatever_it_does_just_then(backend, name, lock):
    async def main():
        backend.acquire(name, "holder", LONG, 0)
        for steps in range(30):
            task = asyncio.create_task(backend.acall("acquire", name, "waiter", LONG, LONG))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert lock.has_no_traces("waiter")
        await backend.aclose()

    in_loop(main())


def test_a_coroutine_cancelled_while_it_is_given_the_lock_does_not_keep_it(backend, name, lock):
    async def main():
        outcomes = set()
        for moment in range(40):
            backend.acquire(name, "holder", LONG, 0)
            task = asyncio.create_task(backend.acall("acquire", name, "waiter", LONG, LONG))
            while not lock.waiting:
                await asyncio.sleep(0)
            backend.release(name, "holder")
            for _ in range(moment // 4):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            outcomes.add(task.cancelled())
            if not task.cancelled():
                assert backend.release(name, "waiter")
            assert backend.locked(name) is False
            assert lock.has_no_traces("waiter")
        await backend.aclose()
        return outcomes

    assert True in in_loop(main()), "none was cancelled in time"


def test_an_interrupted_thread_leaves_nothing_behind(backend, name, lock, monkeypatch):
    backend.acquire(name, "holder", LONG, 0)
    exchange = backend._links.exchange

    def interrupted(where, commands):
        if commands[0][0] == "BLPOP":
            raise KeyboardInterrupt
        return exchange(where, commands)

    monkeypatch.setattr(backend._links, "exchange", interrupted)
    with pytest.raises(KeyboardInterrupt):
        backend.acquire(name, "waiter", LONG, LONG)
    assert lock.has_no_traces("waiter")


def test_an_acquisition_whose_reply_was_lost_does_not_stay(backend, name, monkeypatch):
    exchange = backend._links.exchange
    backend.release(name, "nobody")  # so that the server knows the scripts' beginning

    def losing(where, commands):
        replies = exchange(where, commands)
        if scripts.ACQUIRE.digest in commands[0]:
            raise backend.unavailable[1]("the reply was lost")
        return replies

    monkeypatch.setattr(backend._links, "exchange", losing)
    with pytest.raises(backend.unavailable):
        backend.acquire(name, "owner", LONG, 0)
    assert backend.locked(name) is False


def test_keys_of_locks_go_in_time(backend, name, lock):
    backend.acquire(name, "owner", 5, 0)
    assert 0 < lock.ask("PTTL", lock.key) <= scripts.REMEMBERED_MS + 5000
    backend.release(name, "owner")
    assert 0 < lock.ask("PTTL", lock.key) <= scripts.REMEMBERED_MS

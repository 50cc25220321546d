"""Locks in the database outside of transactions: leases, with a queue."""

from __future__ import annotations

import asyncio
import time
from itertools import chain

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from fieldstone.kvs.backends.database.locks import ALIVE_MS
from fieldstone.kvs.tables import LOCK, NAME_LENGTH, WAITER
from tests.conftest import each_server
from tests.kvs.workers import Workers, eventually

LONG = 60.0


def waiting(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {WAITER}")
        return cursor.fetchone()[0]


@each_server
def test_a_lock_that_nobody_has_takes_one_statement_and_one_to_let_it_go(backend, alias):
    backend.acquire("name", "first", LONG, 0)
    backend.release("name", "first")
    with CaptureQueriesContext(connections[alias]) as queries:
        assert backend.acquire("name", "owner", LONG, 10)
        assert backend.release("name", "owner")
    told = [
        query["sql"] for query in queries if "busy_timeout" not in query["sql"]
    ]  # SQLite's, within the process
    assert len(told) == 2


@each_server
def test_only_its_owner_prolongs_it_and_lets_it_go(backend):
    fence = backend.acquire("name", "owner", LONG, 0)
    assert backend.acquire("name", "owner", LONG, 0) is None
    assert backend.acquire("name", "other", LONG, 0) is None
    assert not backend.release("name", "other")
    assert not backend.renew("name", "other", LONG)
    assert backend.locked("name")
    assert backend.renew("name", "owner", LONG)
    assert backend.release("name", "owner")
    assert not backend.release("name", "owner")
    assert not backend.locked("name")
    assert backend.acquire("name", "other", LONG, 0) > fence


@each_server
def test_who_outlived_its_timeout_has_nothing_to_prolong_or_let_go(backend):
    first = backend.acquire("name", "late", 0.05, 0)
    eventually(lambda: not backend.locked("name"))
    assert not backend.renew("name", "late", LONG)
    assert not backend.release("name", "late")
    assert backend.acquire("name", "next", LONG, 0) > first
    assert not backend.release("name", "late")
    assert backend.locked("name")


@each_server
def test_a_fence_is_greater_than_all_before_also_when_the_clock_was_ahead(backend, alias):
    with connections[alias].cursor() as cursor:
        cursor.execute(f"INSERT INTO {LOCK} (name, owner, expires, fence) VALUES ('name', '', 1, %s)", [2**62])
    assert backend.acquire("name", "owner", LONG, 0) == 2**62 + 1
    microseconds = backend.acquire("other", "owner", LONG, 0)
    assert abs(microseconds / 1e6 - time.time()) < 60


@each_server
def test_who_waits_gets_it_when_its_time_is_over(backend, alias):
    """Nobody tells of that."""
    first = backend.acquire("name", "killed", 0.2, 0)
    assert backend.acquire("name", "next", LONG, 30) > first
    assert waiting(alias) == 0


@each_server
def test_waiting_ends_in_time_and_leaves_nothing_in_the_queue(backend, alias):
    backend.acquire("name", "holder", LONG, 0)
    began = time.monotonic()
    assert backend.acquire("name", "waiter", LONG, 0.2) is None
    assert time.monotonic() - began >= 0.2
    assert waiting(alias) == 0


def hold(backend, token):
    """Wait in the queue, tell that it has it, and let it go when asked to."""
    yield backend.acquire("name", token, LONG, 30)
    backend.release("name", token)


@each_server
def test_first_come_first_served(backend, alias):
    backend.acquire("name", "holder", LONG, 0)
    with Workers() as workers:
        came = []
        for number in range(4):
            came.append(workers.start(hold, backend, f"waiter{number}"))
            eventually(lambda number=number: waiting(alias) == number + 1)
        assert backend.acquire("name", "barging", LONG, 0) is None
        backend.release("name", "holder")
        fences = [worker.rest()[0] for worker in came]
    assert fences == sorted(fences)
    assert None not in fences


@each_server
def test_nobody_gets_in_before_those_who_wait(backend, alias):
    """Not even in the moment in which nobody has it."""
    with connections[alias].cursor() as cursor:
        backend._engine.enqueue(cursor, "name", 1000 * 60)
    assert backend.acquire("name", "barging", LONG, 0) is None
    assert backend.acquire("other", "owner", LONG, 0)


@each_server
def test_a_waiter_that_was_killed_is_passed_over(backend, alias):
    backend.acquire("name", "holder", LONG, 0)
    with Workers() as workers:
        killed = workers.start(hold, backend, "killed")
        eventually(lambda: waiting(alias) == 1)
        killed.kill()
        patient = workers.start(hold, backend, "patient")
        eventually(lambda: waiting(alias) == 2)
        backend.release("name", "holder")
        assert patient.next()
    assert ALIVE_MS <= 5000


@each_server
def test_a_waiter_that_was_stopped_for_long_stands_at_the_end_of_the_queue(backend, alias):
    backend.acquire("name", "holder", LONG, 0)
    with Workers() as workers:
        stopped = workers.start(hold, backend, "stopped")
        eventually(lambda: waiting(alias) == 1)
        stopped.pause()
        with connections[alias].cursor() as cursor:
            cursor.execute(f"UPDATE {WAITER} SET alive = 1")
        patient = workers.start(hold, backend, "patient")
        eventually(lambda: waiting(alias) == 2)
        backend.release("name", "holder")
        first = patient.rest()[0]
        stopped.resume()
        assert stopped.next() > first


def hold_for_ever(backend, timeout):
    yield backend.acquire("name", "killed", timeout, 0)
    time.sleep(LONG)


@each_server
def test_a_holder_that_was_killed_has_it_until_its_timeout(backend):
    with Workers() as workers:
        holder = workers.start(hold_for_ever, backend, 0.5)
        first = holder.next()
        holder.kill()
        assert backend.acquire("name", "next", LONG, 30) > first


def add_one(number, backend, path, times):
    """Read and write without any care but the lock's."""
    for turn in range(times):
        token = f"{number}-{turn}"
        fence = backend.acquire("counter", token, LONG, 60)
        counted = int(path.read_text())
        path.write_text(str(counted + 1))
        assert backend.release("counter", token)
        yield fence


@each_server
def test_eight_processes_are_kept_apart(backend, tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")
    with Workers() as workers:
        fences = [*chain(*workers.all(8, add_one, backend, path, 25))]
    assert path.read_text() == "200"
    assert len(set(fences)) == 200


@each_server
def test_long_names_and_names_with_any_character_are_told_apart(backend):
    long = ["x" * (NAME_LENGTH + more) for more in range(3)]
    names = [*long, "Case", "case", "a", "a ", "é", "n\0", "n "]
    for name in names:
        assert backend.acquire(name, "owner", LONG, 0), name
        assert backend.locked(name)
    assert all(backend.release(name, "owner") for name in names)


@each_server
def test_coroutines_that_wait_leave_their_thread_to_the_holder(backend):
    """There may be one for all of them: a waiter that kept it would keep the holder from letting go."""

    async def take(token):
        fence = await backend.acall("acquire", "name", token, LONG, 30)
        await asyncio.sleep(0.01)
        assert await backend.acall("release", "name", token)
        return fence

    async def main():
        try:
            return await asyncio.gather(*(take(f"task{n}") for n in range(5)))
        finally:
            await sync_to_async(connections.close_all)()

    fences = asyncio.run(main())
    assert len(set(fences)) == 5


@each_server
def test_a_coroutine_that_is_cancelled_while_it_waits_leaves_nothing_behind(backend, alias):
    backend.acquire("name", "holder", LONG, 0)

    async def main():
        task = asyncio.ensure_future(backend.acall("acquire", "name", "cancelled", LONG, 30))
        while not await sync_to_async(waiting)(alias):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sync_to_async(connections.close_all)()

    asyncio.run(main())
    assert waiting(alias) == 0
    backend.release("name", "holder")
    assert backend.acquire("name", "next", LONG, 0)


@each_server
def test_rows_of_old_locks_and_waiters_are_deleted_bit_by_bit(backend, alias):
    with connections[alias].cursor() as cursor:
        for n in range(5):
            cursor.execute(f"INSERT INTO {LOCK} (name, owner, expires, fence) VALUES ('old{n}', '', 1, 1)")
            cursor.execute(f"INSERT INTO {WAITER} (name, alive) VALUES ('old{n}', 1)")
    for n in range(500):
        backend.acquire("name", f"{n}", LONG, 0)
        backend.release("name", f"{n}")
    assert waiting(alias) == 0
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT name FROM {LOCK}")
        assert cursor.fetchall() in ([("name",)], (("name",),))


@each_server
def test_with_autocommit_switched_off_there_is_no_lock_but_an_error(backend, alias):
    if connections[alias].vendor == "sqlite":
        pytest.skip("Django begins no transactions by itself there")
    connections[alias].set_autocommit(False)
    try:
        with pytest.raises(TransactionManagementError, match="atomic"):
            backend.acquire("name", "owner", LONG, 0)
    finally:
        connections[alias].rollback()
        connections[alias].set_autocommit(True)

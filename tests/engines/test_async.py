"""The calls of ``Store`` for coroutines: the same as the others, and the loop goes on while the database hangs."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction

from fieldstone.errors import ConflictError, InvalidPlaceError
from fieldstone.store import Preferences, Store, Summary, UserInfo
from fieldstone.testing.faults import at_statement
from tests.conftest import COURSE, each_engine, usage

A, B = usage("a"), usage("b")
EVERYWHERE = {A: {"x": 1}, B: {"x": 1}, Preferences("problem"): {"x": 1}}
CALLS = ["read", "save", "history", "states", "at", "restore", "scan", "scan_fields", "scan_summaries"]


def run(coroutine):
    """As under an ASGI server: nothing synchronous around it. The thread's connections are closed at the end."""

    async def closing():
        try:
            return await coroutine
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(closing())


async def gathered(rows):
    return [row async for row in rows]


def fields_of(states):
    return {place: dict(state.fields) for place, state in states.items()}


@pytest.mark.parametrize("name", CALLS)
def test_the_arguments_are_those_of_the_call_without_the_a(name):
    call, asynchronous = getattr(Store, name), getattr(Store, f"a{name}")
    of_call, of_asynchronous = (
        [argument for argument in inspect.signature(function).parameters.values() if argument.name != "self"]
        for function in (call, asynchronous)
    )
    assert of_asynchronous == of_call


@each_engine
def test_they_give_what_the_calls_without_the_a_give(store, learner):
    async def life():
        await store.asave(learner, {A: {"x": 1}, Summary(A): {"s": 1}, UserInfo(): {"u": 1}}, origin="first")
        receipt = await store.asave(learner, {A: {"y": [None]}}, expected={A: 1}, actor=7)
        assert dict(receipt.states[A].fields) == {"x": 1, "y": [None]}
        await store.arestore(learner, A, revision=1)
        states = await store.aread(learner, [A, Summary(A), UserInfo()])
        history, earlier = await store.ahistory(learner, A), await store.aat(learner, A, revision=2)
        return states, history, earlier, await gathered(store.ascan(context=COURSE))

    states, history, earlier, scanned = run(life())
    assert fields_of(states) == fields_of(store.read(learner, [A, Summary(A), UserInfo()]))
    assert states[A].revision == 3
    assert history == store.history(learner, A)
    assert [revision.origin for revision in history] == ["restore", "", "first"]
    assert dict(earlier.fields) == dict(store.at(learner, A, revision=2).fields) == {"x": 1, "y": [None]}
    assert [(row.learner_id, row.key) for row in scanned] == [(learner, str(A))]


@each_engine
def test_the_scopes_beside_user_state_are_scanned_as_the_calls_without_the_a_do(store, learner):
    store.save(learner, {A: {"x": 1}, Summary(A): {"s": 1}, UserInfo(): {"u": 1}})

    async def life():
        return (
            await store.astates(learner, A),
            await gathered(store.ascan_fields(UserInfo())),
            await gathered(store.ascan_summaries(COURSE)),
        )

    states, infos, summaries = run(life())
    assert [dict(state.fields) for state in states] == [{"x": 1}]
    assert [(row.learner_id, dict(row.state.fields)) for row in infos] == [(learner, {"u": 1})]
    assert [(row.key, dict(row.state.fields)) for row in summaries] == [(str(A), {"s": 1})]


@each_engine
def test_errors_come_through(store, learner):
    store.save(learner, {A: {"x": 1}})
    with pytest.raises(ConflictError) as raised:
        run(store.asave(learner, {A: {"x": 2}}, expected={A: 0}))
    assert (raised.value.expected, raised.value.current) == (0, 1)
    with pytest.raises(InvalidPlaceError):
        run(store.aread(learner, ["a"]))
    assert store.read(learner, [A])[A].revision == 1


@each_engine
def test_saves_that_are_gathered_are_all_written(store, learner):
    async def many():
        await asyncio.gather(*(store.asave(learner, {A: {f"f{n}": n}}) for n in range(20)))

    run(many())
    assert dict(store.read(learner, [A])[A].fields) == {f"f{n}": n for n in range(20)}


@each_engine
def test_under_async_to_sync_calls_are_part_of_the_callers_transaction(store, learner, alias):
    with transaction.atomic(alias):
        async_to_sync(store.asave)(learner, {A: {"x": 1}})
        assert A in async_to_sync(store.aread)(learner, [A])
        assert len(async_to_sync(gathered)(store.ascan(usage_key=A))) == 1
        transaction.set_rollback(True, alias)
    assert A not in store.read(learner, [A])


# While the database hangs


PATIENCE = {
    "sqlite": {"timeout": 5},
    "postgresql": {"options": "-c lock_timeout=5s"},
    "mysql": {"init_command": "SET innodb_lock_wait_timeout = 5"},
}


@pytest.fixture
def patience(alias, monkeypatch):
    """A lock that is never released ends in an error, and not in a test without end."""
    settings = connections.settings[alias]
    options = {**settings["OPTIONS"], **PATIENCE[connections[alias].vendor]}
    monkeypatch.setitem(settings, "OPTIONS", options)


@contextmanager
def locked(alias, learner):
    """The learner's row at A, or on SQLite the file, locked by a transaction of another thread's connection."""
    with transaction.atomic(alias):
        Store(alias).save(learner, {A: {"held": 1}})
        yield
        transaction.set_rollback(True, alias)


@asynccontextmanager
async def hanging(alias, learner):
    """A lock is held, and the calls' thread is made to say when it sends a statement. Released at the end."""
    sent = threading.Event()
    loop, holder = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    lock = locked(alias, learner)
    try:
        async with at_statement("", sent.set, nth=None, using=alias):
            await loop.run_in_executor(holder, lock.__enter__)
            try:
                yield sent
            finally:
                await loop.run_in_executor(holder, partial(lock.__exit__, None, None, None))
    finally:
        await loop.run_in_executor(holder, connections.close_all)
        holder.shutdown()


async def ticking_until(sent, saving):
    while not sent.is_set():
        assert not saving.done()
        await asyncio.sleep(0)


@each_engine
@pytest.mark.usefixtures("patience")
def test_the_loop_goes_on_while_a_save_waits_for_a_lock(store, learner, alias):
    """The lock is released only after the loop has gone round: were it blocked, the save would fail instead."""
    store.save(learner, EVERYWHERE)

    async def main():
        async with hanging(alias, learner) as sent:
            saving = asyncio.create_task(store.asave(learner, {A: {"y": 2}}))
            await ticking_until(sent, saving)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not saving.done()
        return await saving

    assert dict(run(main()).states[A].fields) == {"x": 1, "y": 2}


@each_engine
@pytest.mark.usefixtures("patience")
def test_a_save_that_is_cancelled_amid_is_written_whole(store, learner, alias):
    """Nobody is told, but its thread goes on."""
    store.save(learner, {A: {"old": 1}, B: {"old": 1}})

    async def main():
        async with hanging(alias, learner) as sent:
            saving = asyncio.create_task(store.asave(learner, EVERYWHERE))
            await ticking_until(sent, saving)
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving

    run(main())
    expected = {A: {"old": 1, "x": 1}, B: {"old": 1, "x": 1}, Preferences("problem"): {"x": 1}}
    assert fields_of(store.read(learner, EVERYWHERE)) == expected
    assert [len(store.history(learner, block)) for block in (A, B)] == [2, 2]


@each_engine
@pytest.mark.usefixtures("patience")
def test_a_save_that_is_cancelled_before_its_turn_writes_nothing(store, learner, alias):
    """Calls that share a thread wait for each other: the second has not begun when it is cancelled."""
    store.save(learner, {A: {"old": 1}})

    async def main():
        async with hanging(alias, learner) as sent:
            first = asyncio.create_task(store.asave(learner, {A: {"first": 1}}))
            await ticking_until(sent, first)
            second = asyncio.create_task(store.asave(learner, EVERYWHERE))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
        await first

    run(main())
    assert fields_of(store.read(learner, EVERYWHERE)) == {A: {"old": 1, "first": 1}}


# Scans


@pytest.fixture
def filled(store):
    for learner in range(1, 11):
        store.save(learner, {A: {"x": learner}, B: {"x": learner}})
    return store


@each_engine
@pytest.mark.parametrize("batch", [1, 3, 10, 1000])
def test_a_scan_gives_the_rows_of_the_call_without_the_a(filled, batch):
    async def both():
        return await gathered(filled.ascan(context=COURSE, batch=batch)), await gathered(
            filled.ascan(usage_key=B, batch=batch)
        )

    rows, of_block = run(both())
    for scanned, expected in ((rows, filled.scan(context=COURSE)), (of_block, filled.scan(usage_key=B))):
        assert [(row[:3], dict(row.state.fields)) for row in scanned] == [
            (row[:3], dict(row.state.fields)) for row in expected
        ]


@each_engine
def test_wrong_arguments_of_a_scan_raise_at_the_first_row(store):
    with pytest.raises(TypeError, match="either"):
        run(gathered(store.ascan()))


@each_engine
def test_a_scan_fetches_batch_by_batch_in_its_thread(filled, alias):
    """Constant memory: no more than two batches are ahead of what is used."""
    threads = []

    def note():
        threads.append(threading.get_ident())

    async def main():
        async with at_statement("", note, nth=None, using=alias):
            rows = filled.ascan(context=COURSE, batch=2)
            assert threads == []
            return [len(threads) async for _ in rows]

    counts = run(main())
    assert len(counts) == 20
    assert counts[0] <= 3, "the first row comes after the context's id and one batch: MariaDB asks twice for it"
    assert counts == sorted(counts) and len(set(counts)) >= 10, "rows were fetched all at once"
    assert threading.get_ident() not in threads
    assert len(set(threads)) == 1


@each_engine
def test_a_scan_left_half_way_leaves_nothing_open(filled, alias):
    """No transaction, and so no cursor on the server."""

    async def main():
        async for row in filled.ascan(context=COURSE, batch=3):
            if row.learner_id == 2:
                break
        return await sync_to_async(lambda: is_idle(connections[alias]))()

    assert run(main())


def is_idle(connection):
    if connection.in_atomic_block:
        return False
    if connection.vendor == "sqlite":
        return not connection.connection.in_transaction
    if connection.vendor == "postgresql":
        return connection.connection.info.transaction_status.name == "IDLE"
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@in_transaction")
        return not cursor.fetchone()[0]

"""Locks inside ``transaction.atomic``: the transaction's, until its end."""

from __future__ import annotations

import threading
import time
from itertools import chain

import pytest
from django.db import connections, transaction

from tests.conftest import each_server
from tests.engines.pgbouncer import PROGRAM, pgbouncer
from tests.kvs.workers import Background, Workers

LONG = 60.0


def elsewhere(work):
    """What a function gives on a connection of its own."""
    return Background(work).result()


def try_elsewhere(backend, token="other", wait=0.0):
    """A lease, if it can be had; let go at once."""

    def take():
        fence = backend.acquire("name", token, LONG, wait)
        if fence is not None:
            backend.release("name", token)
        return fence

    return elsewhere(take)


def try_in_transaction(backend, wait=0.0):
    def take():
        with transaction.atomic(backend._database.using):
            return backend.acquire("name", "other", LONG, wait)

    return elsewhere(take)


BOTH = {"lease": try_elsewhere, "transaction": try_in_transaction}
tries = pytest.mark.parametrize("try_", BOTH, indirect=True)


@pytest.fixture
def try_(request, alias):
    """Tries to get it, on another connection."""
    if request.param == "transaction" and connections[alias].vendor == "sqlite":
        pytest.skip("a second transaction waits before it begins, as Django's `timeout` says")
    return BOTH[request.param]


@each_server
@tries
def test_a_transaction_has_it_until_its_commit(backend, alias, try_):
    with transaction.atomic(alias):
        fence = backend.acquire("name", "owner", LONG, 0)
        assert try_(backend) is None
        assert backend.release("name", "owner")
        assert try_(backend) is None, "it was released before the commit"
    assert try_(backend) > fence


@each_server
@tries
def test_a_rollback_frees_it_at_once(backend, alias, try_):
    with pytest.raises(KeyError), transaction.atomic(alias):
        fence = backend.acquire("name", "owner", LONG, 0)
        raise KeyError
    assert try_(backend) > fence


@each_server
@tries
def test_without_a_release_the_commit_frees_it(backend, alias, try_):
    with transaction.atomic(alias):
        fence = backend.acquire("name", "owner", LONG, 0)
    assert try_(backend) > fence


@each_server
@tries
def test_no_timeout_takes_it_from_a_transaction(backend, alias, try_):
    with transaction.atomic(alias):
        assert backend.acquire("name", "owner", 0.001, 0)
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            assert try_(backend) is None
        assert backend.renew("name", "owner", LONG)


@each_server
@tries
def test_waiting_for_a_transaction_is_bounded(backend, alias, try_):
    with transaction.atomic(alias):
        backend.acquire("name", "owner", LONG, 0)
        began = time.monotonic()
        assert try_(backend, wait=0.3) is None
        assert 0.3 <= time.monotonic() - began < 4, "the engine waited for longer than it was told"


@each_server
@tries
def test_who_waits_gets_it_after_the_commit(backend, alias, try_):
    with transaction.atomic(alias):
        fence = backend.acquire("name", "owner", LONG, 0)
        waiting = Background(lambda: try_(backend, wait=30))
    assert waiting.result() > fence


@each_server
def test_a_transaction_respects_the_lease_of_another(backend, alias):
    """And leaves the row to it, which it wants to prolong and let go."""
    first = backend.acquire("name", "owner", LONG, 0)
    with transaction.atomic(alias):
        assert backend.acquire("name", "other", LONG, 0.1) is None
        if connections[alias].vendor == "sqlite":
            return  # the transaction has the whole database
        assert elsewhere(lambda: backend.renew("name", "owner", LONG))
        assert elsewhere(lambda: backend.release("name", "owner"))
        assert backend.acquire("name", "other", LONG, 10) > first


@each_server
def test_a_transaction_gets_a_lease_whose_time_is_over(backend, alias):
    first = backend.acquire("name", "owner", 0.1, 0)
    with transaction.atomic(alias):
        assert backend.acquire("name", "other", LONG, 10) > first


@each_server
def test_a_transaction_waits_for_those_who_stand_in_the_queue(backend, alias):
    with connections[alias].cursor() as cursor:
        waiter = backend._engine.enqueue(cursor, "name", 60_000)
    with transaction.atomic(alias):
        assert backend.acquire("name", "other", LONG, 0.1) is None
    with connections[alias].cursor() as cursor:
        backend._engine.dequeue(cursor, waiter)
    with transaction.atomic(alias):
        assert backend.acquire("name", "other", LONG, 0)


@each_server
def test_the_same_transaction_does_not_get_it_twice_unless_it_let_it_go(backend, alias):
    with transaction.atomic(alias):
        first = backend.acquire("name", "owner", LONG, 0)
        assert backend.acquire("name", "again", LONG, 1e6) is None
        assert not backend.release("name", "again")
        assert backend.locked("name")
        assert backend.release("name", "owner")
        assert not backend.release("name", "owner")
        assert not backend.locked("name")
        assert backend.acquire("name", "again", LONG, 0) > first


@each_server
def test_a_rolled_back_savepoint_takes_its_locks_along(backend, alias):
    with transaction.atomic(alias):
        with pytest.raises(KeyError), transaction.atomic(alias):
            backend.acquire("name", "owner", LONG, 0)
            raise KeyError
        assert not backend.release("name", "owner")
        assert backend.acquire("name", "again", LONG, 0)


@each_server
def test_a_lease_let_go_in_a_transaction_is_free_at_its_commit(backend, alias):
    backend.acquire("name", "owner", LONG, 0)
    with transaction.atomic(alias):
        assert backend.release("name", "owner")
        assert try_elsewhere(backend) is None
    assert try_elsewhere(backend)


@each_server
def test_a_lease_whose_release_was_rolled_back_is_held(backend, alias):
    backend.acquire("name", "owner", LONG, 0)
    with pytest.raises(KeyError), transaction.atomic(alias):
        assert backend.release("name", "owner")
        raise KeyError
    assert try_elsewhere(backend) is None
    assert backend.release("name", "owner")


@each_server
def test_who_let_the_commit_release_it_may_release_it_until_another_has_it(backend, alias):
    with transaction.atomic(alias):
        backend.acquire("name", "owner", LONG, 0)
    assert backend.release("name", "owner")
    assert not backend.release("name", "owner")
    with transaction.atomic(alias):
        backend.acquire("name", "owner", LONG, 0)
    assert try_elsewhere(backend)
    assert not backend.release("name", "owner")


@each_server
def test_others_see_that_it_is_held(backend, alias):
    if connections[alias].vendor == "sqlite":
        pytest.skip("what a transaction holds the database for it does not show")
    assert not elsewhere(lambda: backend.locked("name"))
    with transaction.atomic(alias):
        backend.acquire("name", "owner", LONG, 0)
        assert elsewhere(lambda: backend.locked("name"))
        assert backend.locked("name")
    assert not elsewhere(lambda: backend.locked("name"))


@each_server
def test_locks_of_other_names_are_free(backend, alias):
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has one lock, for all rows")
    with transaction.atomic(alias):
        backend.acquire("another", "owner", LONG, 0)
        assert try_elsewhere(backend)
        assert try_in_transaction(backend)


def hold_in_transaction(backend):
    with transaction.atomic(backend._database.using):
        yield backend.acquire("name", "killed", LONG, 0)
        time.sleep(LONG)


@each_server
def test_a_process_that_was_killed_in_its_transaction_leaves_it_free(backend):
    with Workers() as workers:
        holder = workers.start(hold_in_transaction, backend)
        first = holder.next()
        assert backend.acquire("name", "next", LONG, 0) is None
        holder.kill()
        assert backend.acquire("name", "next", LONG, 30) > first


def add_one(number, backend, path, times):
    """Every other process by leases, the others in transactions."""
    for turn in range(times):
        token = f"{number}-{turn}"
        if number % 2:
            fence = backend.acquire("counter", token, LONG, 60)
            path.write_text(str(int(path.read_text()) + 1))
            assert backend.release("counter", token)
        else:
            fence = add_one_in_transaction(backend, token, path)
        yield fence


def add_one_in_transaction(backend, token, path):
    alias, fence = backend._database.using, None
    # On SQLite a transaction that waits keeps the holder from letting go: it tries, and begins again.
    wait = 0 if connections[alias].vendor == "sqlite" else 60
    while fence is None:
        with transaction.atomic(alias):
            fence = backend.acquire("counter", token, LONG, wait)
            if fence is not None:
                path.write_text(str(int(path.read_text()) + 1))
        if fence is None:
            time.sleep(0.01)  # those who lease are to get to write, too
    return fence


@each_server
def test_leases_and_transactions_exclude_each_other(backend, tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")
    with Workers() as workers:
        fences = [*chain(*workers.all(6, add_one, backend, path, 20))]
    assert path.read_text() == "120"
    assert len(set(fences)) == 120


@each_server
def test_of_names_that_nobody_had_before_one_gets_each(backend, alias):
    """The row of each is made by those who want it, at once."""
    threads, barrier, winners = 4, threading.Barrier(4, timeout=60), []

    def take(number):
        try:
            for turn in range(20):
                barrier.wait()
                if number % 2 or connections[alias].vendor == "sqlite":
                    fence = backend.acquire(f"new{turn}", f"{number}", LONG, 0)
                    barrier.wait()
                else:
                    with transaction.atomic(alias):
                        fence = backend.acquire(f"new{turn}", f"{number}", LONG, 0)
                        barrier.wait()
                if fence is not None:
                    winners.append(turn)
        finally:
            connections[alias].close()

    running = [threading.Thread(target=take, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(120)
    assert len(winners) == len(set(winners)), "two had it at once"


@pytest.fixture
def pooled(alias, backend):
    """The backend, its connections from a pooler that gives them to transactions."""
    if PROGRAM is None:
        pytest.skip("FIELDSTONE_PGBOUNCER is not set: `make test` finds or installs pgbouncer")
    if connections[alias].vendor != "postgresql":
        pytest.skip("pgbouncer is PostgreSQL's")
    direct = connections.settings[alias]
    with pgbouncer(connections[alias].settings_dict, "transaction") as address:
        pooled = {**connections[alias].settings_dict, **address, "DISABLE_SERVER_SIDE_CURSORS": True}
        connections[alias].close()
        own, connections.settings[alias] = connections[alias], pooled
        connections[alias] = connections.create_connection(alias)
        yield backend
        connections[alias].close()
        connections[alias], connections.settings[alias] = own, direct


@each_server
def test_behind_a_pooler_of_transactions_locks_are_as_honest(pooled, alias, tmp_path):
    first = pooled.acquire("name", "lease", LONG, 0)
    assert try_elsewhere(pooled) is None
    assert try_in_transaction(pooled) is None
    assert pooled.release("name", "lease")
    with transaction.atomic(alias):
        assert pooled.acquire("name", "owner", LONG, 0) > first
        assert try_elsewhere(pooled) is None
        assert try_in_transaction(pooled) is None
    assert try_elsewhere(pooled)
    path = tmp_path / "counter"
    path.write_text("0")
    with Workers() as workers:
        workers.all(4, add_one, pooled, path, 20)
    assert path.read_text() == "80"


@each_server
def test_behind_a_pooler_entries_are_counted_right(pooled):
    with Workers() as workers:
        workers.all(4, count, pooled, 50)
    assert pooled.incr("counter", 0, 0, None) == 200


def count(number, backend, times):
    for _ in range(times):
        backend.incr("counter", 1, 0, None)
    yield number

"""``cut_at``: the connection is really lost; what becomes of the data, the locks and the next statement."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from asgiref.sync import sync_to_async
from django.db import Error, OperationalError, close_old_connections, connections, transaction
from django.test.utils import CaptureQueriesContext

from fieldstone.testing.faults import FaultNotPossible, cut_at
from tests.testing.blog.models import Counter
from tests.testing.conftest import on_engines
from tests.testing.counters import add, names, save


@on_engines(transaction=True)
@pytest.mark.parametrize(("when", "expected"), [("before", []), ("after", ["clicks"])])
def test_a_commit_that_is_cut_is_made_or_not_and_the_code_cannot_tell(alias, when, expected):
    with cut_at("COMMIT", when=when, using=alias) as point, pytest.raises(OperationalError) as caught:
        save(alias, "clicks")
    assert point.reached
    assert [statement.sql for statement in point.matched] == ["COMMIT"]
    assert isinstance(caught.value.__cause__, connections[alias].Database.Error)
    assert names(alias) == expected


@on_engines(transaction=True)
@pytest.mark.parametrize(("when", "expected"), [("before", []), ("after", ["clicks"])])
def test_a_statement_by_itself_is_done_only_once_the_server_has_heard_of_it(alias, when, expected):
    with cut_at("INSERT INTO blog_counter", when=when, using=alias), pytest.raises(OperationalError):
        add(alias, "clicks")
    assert names(alias) == expected


@on_engines(transaction=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_amid_a_transaction_all_of_it_is_undone(alias, when):
    with cut_at("INSERT", nth=2, when=when, using=alias), pytest.raises(OperationalError):
        save(alias, "first", "second")
    assert names(alias) == []


@on_engines(transaction=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_locks_are_free_at_once(alias, when):
    """The retry takes no lock that it would have to wait for."""
    add(alias, "clicks")
    nowait = connections[alias].features.has_select_for_update_nowait
    fault = cut_at("UPDATE blog_counter SET", when=when, using=alias)
    with fault, pytest.raises(OperationalError), transaction.atomic(alias):
        Counter.objects.using(alias).select_for_update().get()
        Counter.objects.using(alias).update(count=1)
    with transaction.atomic(alias):
        assert Counter.objects.using(alias).select_for_update(nowait=nowait).get().count == 0


@on_engines(transaction=True)
def test_until_django_closes_the_connection_every_statement_fails(alias):
    with cut_at("INSERT", using=alias):
        with pytest.raises(OperationalError):
            add(alias, "clicks")
        lost = connections[alias].connection
        with pytest.raises(Error):
            names(alias)
        assert connections[alias].connection is lost
        close_old_connections()  # as at the beginning and end of a request
        assert names(alias) == []
        assert connections[alias].connection is not lost


@on_engines(transaction=True)
def test_code_that_swallows_the_error_does_not_commit(alias):
    with cut_at("INSERT", nth=2, using=alias), pytest.raises(Error), transaction.atomic(alias):
        cursor = connections[alias].cursor()
        add(alias, "first")
        with contextlib.suppress(OperationalError):
            cursor.execute("INSERT INTO blog_counter (name, count) VALUES ('second', 0)")
        cursor.execute("SELECT name FROM blog_counter")
    assert names(alias) == []


@on_engines(transaction=True)
def test_a_transaction_around_it_ends_by_itself(alias):
    with pytest.raises(OperationalError), transaction.atomic(alias):
        add(alias, "first")
        with cut_at("INSERT", using=alias):
            add(alias, "second")
    assert names(alias) == []


@on_engines(transaction=True)
def test_a_rollback_that_is_cut_hides_no_error(alias):
    with cut_at("^ROLLBACK$", using=alias), pytest.raises(ZeroDivisionError), transaction.atomic(alias):
        add(alias, "clicks")
        raise ZeroDivisionError
    assert names(alias) == []


@on_engines(transaction=True)
def test_what_is_lost_already_is_not_cut_again(alias):
    commit, rollback = cut_at("COMMIT", using=alias), cut_at("^ROLLBACK$", using=alias)
    with commit as first, rollback as second, pytest.raises(OperationalError):
        save(alias, "clicks")
    assert first.reached
    assert second.reached
    assert names(alias) == []


@on_engines(transaction=True)
def test_each_statement_can_be_cut_again_and_again(alias):
    with cut_at("INSERT", nth=None, using=alias) as point:
        for _ in range(3):
            with pytest.raises(OperationalError):
                add(alias, "clicks")
            connections[alias].close()
    assert len(point.matched) == 3
    assert names(alias) == []


@on_engines(transaction=True)
def test_code_that_tries_again_on_a_new_connection_gets_through(alias):
    def add_surely():
        try:
            add(alias, "clicks")
        except OperationalError:
            connections[alias].close()
            add(alias, "clicks")

    with cut_at("INSERT", using=alias) as point:
        add_surely()
    assert len(point.matched) == 2
    assert names(alias) == ["clicks"]


@on_engines(transaction=True)
def test_from_a_coroutine(alias):
    async def main():
        async with cut_at("COMMIT", when="after", using=alias):
            with pytest.raises(OperationalError):
                await sync_to_async(save)(alias, "clicks")
        try:
            return await sync_to_async(names)(alias)
        finally:
            await sync_to_async(connections.close_all)()

    assert asyncio.run(main()) == ["clicks"]


@on_engines(transaction=True)
def test_what_the_kit_asks_for_itself_is_not_among_the_queries(alias):
    captured = CaptureQueriesContext(connections[alias])
    with captured as queries, cut_at("COMMIT", when="after", using=alias), pytest.raises(OperationalError):
        save(alias, "clicks")
    assert not [query["sql"] for query in queries if "pg_stat" in query["sql"] or "processlist" in query["sql"]]


@on_engines(transaction=False)
def test_in_a_test_case_it_is_refused_with_what_to_use(alias):
    with pytest.raises(FaultNotPossible) as caught, cut_at("INSERT", nth=2, using=alias):
        pass
    assert str(caught.value) == (
        "cut_at('INSERT', nth=2) would lose the transaction that TestCase keeps around each test on"
        f" {alias!r}, and all that setUpTestData made.\n"
        "Use a TransactionTestCase, or with pytest @pytest.mark.django_db(transaction=True), for this test."
    )


@pytest.fixture
def pooled(alias, monkeypatch):
    """The alias takes its connections from a pool."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        pytest.skip("Django pools connections to PostgreSQL only")
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"pool": {"min_size": 1, "max_size": 1}})
    yield
    connection.close()
    connection.close_pool()


@on_engines(transaction=True)
@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize(("when", "expected"), [("before", ["next"]), ("after", ["clicks", "next"])])
def test_a_pool_replaces_what_was_cut(alias, when, expected):
    """The only connection of the pool: neither is it lost to it, nor does the kit need another one of it."""
    with cut_at("COMMIT", when=when, using=alias), pytest.raises(OperationalError):
        save(alias, "clicks")
    save(alias, "next")
    assert names(alias) == expected


@pytest.mark.django_db(transaction=True)
def test_a_database_in_the_memory_of_one_connection_would_be_lost_and_is_not_cut(monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", ":memory:")
    with pytest.raises(FaultNotPossible) as caught, cut_at("INSERT"):
        pass
    assert str(caught.value) == (
        "cut_at would lose the whole database of 'default': ':memory:' is in the memory of one connection.\n"
        "Test it on a file, or in a shared memory as Django's test runner makes it."
    )

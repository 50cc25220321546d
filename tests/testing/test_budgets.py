"""What a query budget counts, what it refuses, and how it holds for a body."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.db import IntegrityError, connection, connections, transaction
from django.db.utils import DatabaseError
from django.test import TestCase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldstone.testing.budgets import QueryBudgetExceeded, query_budget
from tests.testing.blog.models import Author, Tag
from tests.testing.conftest import on_engines

PROGRAMS = st.recursive(st.just("query"), lambda inner: st.lists(inner, max_size=3), max_leaves=8)
"""A query, or a transaction with a list of such in it."""


def run(program, alias):
    if program == "query":
        Author.objects.using(alias).first()
        return
    with transaction.atomic(using=alias):
        for each in program:
            run(each, alias)


def queries_of(program, *, is_outermost=True):
    if program == "query":
        return 1
    savepoint = 0 if is_outermost else 2
    return savepoint + sum(queries_of(each, is_outermost=False) for each in program)


def savepoints_of(program, *, is_outermost=True):
    if program == "query":
        return 0
    return (0 if is_outermost else 2) + sum(savepoints_of(each, is_outermost=False) for each in program)


def check_programs(alias):
    Author.objects.using(alias).create(name="Ada")

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(PROGRAMS)
    def check(program):
        with query_budget(**{alias: 1000}) as counted:
            run(program, alias)
        assert counted.count(alias) == counted.count() == queries_of(program)
        with query_budget(**{alias: 1000}, ignore="savepoint") as counted:
            run(program, alias)
        assert counted.count() == queries_of(program) - savepoints_of(program)
        assert counted.ignored["savepoint"] == savepoints_of(program)

    check()


@on_engines(transaction=False)
def test_in_a_test_case_counts_what_real_transactions_would(alias):
    """The savepoint that stands for BEGIN and COMMIT there is none of the queries."""
    check_programs(alias)


@on_engines(transaction=True)
def test_with_real_transactions_begin_and_commit_do_not_count(alias):
    check_programs(alias)


@on_engines(transaction=True)
def test_a_rollback_does_not_count_and_one_to_a_savepoint_does(alias):
    with query_budget(**{alias: 1000}) as counted, transaction.atomic(using=alias):
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            raise ZeroDivisionError
        transaction.set_rollback(True, using=alias)
    assert [query.sql.split()[0] for query in counted.queries] == ["SAVEPOINT", "ROLLBACK", "RELEASE"]


@on_engines(transaction=True)
def test_what_django_says_as_it_connects_does_not_count(alias):
    connections[alias].close()
    with query_budget(**{alias: 1}, exact=True):
        Author.objects.using(alias).count()
    connections[alias].close()
    with query_budget(**{alias: 1}, exact=True) as counted:
        Author.objects.using(alias).count()
    assert len(counted.queries) == 1


@on_engines(transaction=False)
def test_a_query_that_fails_counts(alias):
    with query_budget(**{alias: 1}, exact=True), transaction.atomic(using=alias):
        with pytest.raises(DatabaseError), transaction.atomic(using=alias, savepoint=False):
            connections[alias].cursor().execute("SELECT * FROM no_such_table")
        transaction.set_rollback(True, using=alias)


@on_engines(transaction=False)
def test_many_at_once_count_as_one(alias):
    with query_budget(**{alias: 2}, exact=True) as counted:
        Tag.objects.using(alias).bulk_create([Tag(name=str(n)) for n in range(20)])
        with connections[alias].cursor() as cursor:
            cursor.executemany("INSERT INTO blog_tag (name) VALUES (%s)", [["a"], ["b"]])
    assert [query.many for query in counted.queries] == [False, True]


@pytest.mark.django_db
class TestJudgement:
    def test_at_most(self):
        with query_budget(default=2) as counted:
            Author.objects.count()
        assert counted.count("default") == 1

    def test_too_many(self):
        with pytest.raises(QueryBudgetExceeded, match="2 queries on default") as failure, query_budget(default=1):
            Author.objects.count()
            Tag.objects.count()
        assert (failure.value.used, failure.value.allowed) == ({"default": 2}, {"default": 1})

    def test_exactly(self):
        with query_budget(default=1, exact=True):
            Author.objects.count()

    def test_fewer_than_exactly(self):
        text = "not used up: 1 query on default, exactly 2 allowed, 1 too few"
        with pytest.raises(QueryBudgetExceeded, match=text), query_budget(default=2, exact=True):
            Author.objects.count()

    def test_a_database_that_is_not_named_may_have_none(self):
        text = "1 query on default, which may have none"
        with pytest.raises(QueryBudgetExceeded, match=text), query_budget(default_history=1):
            Author.objects.count()

    def test_all_together(self):
        text = "2 queries on all databases together, at most 1 allowed"
        with pytest.raises(QueryBudgetExceeded, match=text), query_budget(1):
            Author.objects.count()
            Author.objects.count()

    def test_ignored(self):
        ignore = ("blog_tag", re.compile(r"^UPDATE .*likes", re.DOTALL))
        with query_budget(0, ignore=ignore) as counted:
            Tag.objects.count()
            Tag.objects.create(name="a")
        assert counted.ignored == {"blog_tag": 2}

    def test_an_error_of_the_body_goes_through_and_the_budget_is_not_judged(self):
        with pytest.raises(IntegrityError), query_budget(0), transaction.atomic():
            Author.objects.create(name="Ada")
            Author.objects.create(name="Ada")

    def test_nothing_watches_after_the_end(self):
        before = list(connection.execute_wrappers)
        with pytest.raises(ZeroDivisionError), query_budget(0):
            raise ZeroDivisionError
        assert connection.execute_wrappers == before


@pytest.mark.django_db
class TestHolding:
    def test_nested(self):
        with query_budget(default=3, exact=True):
            Author.objects.count()
            with query_budget(default=1, exact=True):
                Author.objects.count()
            Author.objects.count()

    def test_the_inner_one_breaks_alone(self):
        outer = query_budget(default=2, exact=True)
        with outer, pytest.raises(QueryBudgetExceeded), query_budget(default=1):
            Author.objects.count()
            Author.objects.count()

    def test_beside_djangos_own_count(self, django_assert_num_queries):
        with django_assert_num_queries(2), query_budget(default=2, exact=True):
            Author.objects.count()
            with django_assert_num_queries(1):
                Author.objects.count()

    def test_one_budget_for_one_body_after_the_other(self):
        budget = query_budget(default=1)
        for _again in range(2):
            with budget:
                Author.objects.count()

    def test_one_budget_cannot_hold_twice_at_once(self):
        budget = query_budget(default=1)
        with budget, pytest.raises(RuntimeError, match="make another one"), budget:
            pass

    def test_a_decorated_function_counts_anew_with_each_call_also_within_itself(self):
        @query_budget(default=3)
        def countdown(left):
            Author.objects.count()
            return countdown(left - 1) if left else "done"

        assert countdown(2) == "done"
        assert countdown(2) == "done"
        with pytest.raises(QueryBudgetExceeded, match="4 queries"):
            countdown(3)

    def test_another_thread_is_not_this_threads(self):
        def count():
            with connections["default"].cursor():
                pass

        with query_budget(0):
            other = threading.Thread(target=count)
            other.start()
            other.join()

    def test_in_a_coroutine_with_is_refused(self):
        async def body():
            with query_budget(default=1):
                pass

        with pytest.raises(SynchronousOnlyOperation, match="async with"):
            asyncio.run(body())


@on_engines(transaction=True)
def test_in_a_coroutine_the_queries_of_its_database_thread_count(alias):
    authors = Author.objects.using(alias)

    @query_budget(**{alias: 2}, exact=True)
    async def decorated():
        await authors.acreate(name="Ada")
        async for author in authors.all():
            assert author.name == "Ada"

    async def body():
        async with query_budget(**{alias: 3}, exact=True) as counted:
            await decorated()
            await authors.aget(name="Ada")
        with pytest.raises(QueryBudgetExceeded):
            async with query_budget(0):
                await asyncio.gather(authors.acount(), authors.acount())
        return [str(query.place).rpartition(" in ")[2] for query in counted.queries]

    names = async_to_sync(body)()
    outer = "test_in_a_coroutine_the_queries_of_its_database_thread_count"
    assert [name.removeprefix(f"{outer}.<locals>.") for name in names] == ["decorated", "decorated", "body"]


@query_budget(default=1)
class DecoratedTests(TestCase):
    def setUp(self):
        Author.objects.create(name="Ada")
        Author.objects.create(name="Grace")

    def test_counts_the_test_and_not_its_setting_up(self):
        assert Author.objects.count() == 2

    async def test_is_async(self):
        assert await Author.objects.acount() == 2


REFUSED = [
    ((), {}, TypeError, "How many queries?"),
    ((True,), {}, TypeError, r"query_budget\(True\): a number of queries is a whole number"),
    ((), {"default": "4"}, TypeError, r"query_budget\(default='4'\)"),
    ((), {"default": 1.5}, TypeError, "whole number"),
    ((-1,), {}, ValueError, "For none, write 0"),
    ((4,), {"default": 4}, TypeError, "says it twice"),
    (("name",), {"default": 4}, TypeError, "says it twice"),
    (("  ",), {}, ValueError, "name of a query budget is empty"),
    (
        (),
        {"defautl": 4},
        ValueError,
        "No database has the alias 'defautl'. DATABASES has: default, default_history",
    ),
    ((), {"exat": True, "default": 3}, TypeError, r"query_budget\(exat=True\): is exact=True meant\?"),
    ((4,), {"exat": True}, TypeError, r"is exact=True meant\?"),
    ((4,), {"exat": 1}, TypeError, r"is exact=1 meant\?"),
    (("name",), {"Ignored": "savepoint"}, TypeError, r"is ignore='savepoint' meant\?"),
    (("a", 3), {}, TypeError, r"^query_budget\('a', 3\): only one number, or one name, goes without a keyword\."),
    ((len,), {}, TypeError, r"write @query_budget\(\.\.\.\) with the number of queries"),
    ((TestCase,), {}, TypeError, r"write @query_budget\(\.\.\.\) with the number of queries"),
    ((4,), {"ignore": "savepoints"}, ValueError, r'ignore=\("savepoint",\) meant'),
    ((4,), {"ignore": ("Savepoint",)}, ValueError, r'ignore=\("savepoint",\) meant'),
    ((4,), {"ignore": ("begin",)}, ValueError, "never counted"),
    ((4,), {"ignore": ("",)}, ValueError, "every query contains"),
    ((4,), {"ignore": (4,)}, TypeError, "neither text nor"),
    ((4,), {"ignore": re.compile(b"x")}, TypeError, "neither text nor"),
]


@pytest.mark.parametrize(("args", "kwargs", "kind", "text"), REFUSED)
def test_what_cannot_be_meant_is_refused_at_once(args, kwargs, kind, text):
    with pytest.raises(kind, match=text):
        query_budget(*args, **kwargs)


def test_a_database_may_have_an_alias_like_a_keyword(monkeypatch):
    monkeypatch.setitem(connections.settings, "ignored", connections.settings["default"])
    query_budget(ignored=0, default=0)

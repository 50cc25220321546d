"""``at_statement``, ``fail_at`` and ``delay_at``: at the right statement, and as the engine would leave things."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, IntegrityError, OperationalError, connections, transaction
from django.test import TestCase, TransactionTestCase
from hypothesis import given
from hypothesis import strategies as st

from fieldstone.testing.faults import PointNotReached, at_statement, delay_at, fail_at
from tests.testing.blog.models import Counter
from tests.testing.conftest import on_engines


def names(alias):
    return sorted(Counter.objects.using(alias).values_list("name", flat=True))


def add(alias, name):
    Counter.objects.using(alias).create(name=name)


def run(alias, *statements):
    with connections[alias].cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


# Which statement


@on_engines(transaction=True)
@pytest.mark.parametrize(
    "pattern",
    [
        "INSERT INTO blog_counter",
        "insert into blog_counter",
        r"^INSERT\s+INTO\s.blog_counter",
        re.compile("insert into .blog_counter. "),
        "blog_counter.*values",
        "%s",
    ],
)
def test_a_pattern_is_searched_in_any_case_and_without_the_quotes_of_the_engine(alias, pattern):
    with at_statement(pattern, lambda: None, using=alias) as point:
        add(alias, "clicks")
    (statement,) = point.matched
    assert statement.sql.startswith("INSERT INTO")
    assert statement.params == ("clicks", 0)


@on_engines(transaction=True)
def test_white_space_is_folded(alias):
    with at_statement("select 1 as x$", lambda: None, using=alias) as point:
        run(alias, "  SELECT\n\t 1\n  AS   x\n")
    assert point.reached


@on_engines(transaction=True)
def test_the_ends_of_transactions_are_statements(alias):
    ends = []
    with at_statement("^(COMMIT|ROLLBACK)$", lambda: ends.append(1), nth=None, using=alias) as point:
        with transaction.atomic(alias):
            add(alias, "kept")
        with transaction.atomic(alias):
            add(alias, "undone")
            transaction.set_rollback(True, using=alias)
    assert [statement.sql for statement in point.matched] == ["COMMIT", "ROLLBACK"]
    assert len(ends) == 2


@on_engines(transaction=True)
def test_what_django_asks_while_it_connects_is_not_looked_at(alias):
    """It tells MariaDB READ COMMITTED, which is no COMMIT."""
    connections[alias].close()
    with at_statement("COMMIT|SET", lambda: None, using=alias) as point, transaction.atomic(alias):
        add(alias, "clicks")
    assert [statement.sql for statement in point.matched] == ["COMMIT"]


@given(
    letters=st.lists(st.sampled_from("abc"), max_size=12),
    nth=st.none() | st.integers(1, 4),
    when=st.sampled_from(["before", "after"]),
)
@pytest.mark.django_db(transaction=True)
def test_the_call_is_made_where_a_plain_count_says(letters, nth, when):
    happened, expected, count = [], [], 0
    for letter in letters:
        count += letter == "a"
        told = ["call"] if letter == "a" and nth in (None, count) else []
        expected += [*told, letter] if when == "before" else [letter, *told]

    def note(execute, sql, *arguments):
        """Of the statement itself, as it is run: what came first in the connection is asked last."""
        happened.append(sql[-2])
        return execute(sql, *arguments)

    tool = at_statement("'a'", lambda: happened.append("call"), nth=nth, when=when)
    try:
        with tool as point, connections["default"].execute_wrapper(note):
            run("default", *(f"SELECT '{letter}'" for letter in letters))
        was_reached = True
    except PointNotReached:
        was_reached = False
    assert happened == expected
    assert was_reached == ("call" in expected)
    if was_reached:
        assert [statement.sql for statement in point.matched] == ["SELECT 'a'"] * letters.count("a")


@on_engines(transaction=True)
def test_what_the_call_asks_is_not_looked_at(alias):
    """Another writer comes between the look and the write; it uses the same connection here."""
    add(alias, "clicks")
    counters = Counter.objects.using(alias)
    with at_statement("UPDATE blog_counter", lambda: counters.update(count=7), nth=None, using=alias) as point:
        counter = counters.get()
        counter.count += 1
        counter.save()
    assert len(point.matched) == 1
    assert counters.get().count == 1


@on_engines(transaction=False)
def test_a_statement_that_fails_by_itself_is_no_point_to_come_after(alias):
    add(alias, "clicks")
    failed = "has failed by itself, so nothing came after it: IntegrityError: "
    tool = at_statement("INSERT", lambda: None, when="after", using=alias)
    with (
        pytest.raises(PointNotReached, match=failed),
        tool,
        contextlib.suppress(IntegrityError),
        transaction.atomic(alias),
    ):
        add(alias, "clicks")


# Failing


@on_engines(transaction=True)
@pytest.mark.parametrize(("when", "expected"), [("before", []), ("after", ["clicks"])])
def test_a_statement_by_itself_fails_without_having_been_run_or_after_it(alias, when, expected):
    with fail_at("INSERT INTO blog_counter", when=when, using=alias), pytest.raises(OperationalError) as caught:
        add(alias, "clicks")
    assert names(alias) == expected
    suffix = "" if when == "before" else ", when='after'"
    text = str(caught.value).replace("`", '"')
    assert text.startswith(f"""fail_at('INSERT INTO blog_counter'{suffix}) made this fail: INSERT INTO "blog_c""")


@on_engines(transaction=False)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failure_breaks_the_transaction_where_the_engine_would(alias, when):
    with fail_at("INSERT", when=when, using=alias), pytest.raises(OperationalError):
        run(alias, "INSERT INTO blog_counter (name, count) VALUES ('clicks', 0)")
    if connections[alias].vendor == "postgresql":
        with pytest.raises(DatabaseError, match="An earlier error broke the transaction"):
            names(alias)
    else:
        assert names(alias) == (["clicks"] if when == "after" else [])


@on_engines(transaction=False)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_savepoint_mends_what_a_failure_broke(alias, when):
    with fail_at("INSERT", when=when, using=alias), pytest.raises(OperationalError), transaction.atomic(alias):
        add(alias, "clicks")
    assert names(alias) == []


@on_engines(transaction=True)
@pytest.mark.parametrize(("when", "expected"), [("before", []), ("after", ["clicks"])])
def test_a_commit_that_fails(alias, when, expected):
    with fail_at("COMMIT", when=when, using=alias), pytest.raises(OperationalError), transaction.atomic(alias):
        add(alias, "clicks")
    assert names(alias) == expected


@on_engines(transaction=False)
@pytest.mark.parametrize(
    "error", [ValueError("mine"), ValueError, KeyboardInterrupt], ids=["instance", "class", "no Exception"]
)
def test_an_error_that_is_not_the_databases_leaves_the_transaction_whole(alias, error):
    kind = error if isinstance(error, type) else type(error)
    with fail_at("INSERT", error=error, using=alias), pytest.raises(kind) as caught:
        run(alias, "INSERT INTO blog_counter (name, count) VALUES ('clicks', 0)")
    assert caught.value is error or isinstance(error, type)
    assert names(alias) == []


@on_engines(transaction=False)
def test_an_error_of_ones_own_is_raised_each_time(alias):
    deadlock = OperationalError(1213, "Deadlock found")
    with fail_at("INSERT", nth=None, error=deadlock, using=alias) as point:
        for _ in range(3):
            with pytest.raises(OperationalError) as caught, transaction.atomic(alias):
                add(alias, "clicks")
            assert caught.value is deadlock
    assert len(point.matched) == 3


@on_engines(transaction=True)
def test_django_looks_at_the_connection_after_it_as_after_any_failure(alias):
    for error, is_suspect in [(IntegrityError, False), (OperationalError, True)]:
        connections[alias].errors_occurred = False
        with fail_at("SELECT", error=error, using=alias), pytest.raises(error):
            names(alias)
        assert connections[alias].errors_occurred == is_suspect


# Waiting


@on_engines(transaction=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_it_waits_as_long_as_it_is_told_in_the_statements_place(alias, when, monkeypatch):
    log = []
    add(alias, "clicks")
    monkeypatch.setattr(time, "sleep", lambda seconds: log.append((seconds, count_elsewhere(alias))))
    with delay_at("UPDATE", seconds=2.5, when=when, using=alias):
        Counter.objects.using(alias).update(count=1)
    assert log == [(2.5, 0 if when == "before" else 1)]


def count_elsewhere(alias):
    """What another connection sees."""
    other = connections[alias].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT count FROM blog_counter")
            return cursor.fetchone()[0]
    finally:
        other.close()


# However it is used


@on_engines(transaction=True)
def test_from_a_coroutine(alias):
    @fail_at("INSERT", using=alias)
    async def save():
        with pytest.raises(OperationalError):
            await sync_to_async(add)(alias, "clicks")
        await sync_to_async(connections.close_all)()

    asyncio.run(save())
    assert names(alias) == []


class TestsOfAProject(TestCase):
    @fail_at("INSERT INTO blog_counter")
    def test_a_decorator_begins_anew_with_each_call(self):
        with self.assertRaises(OperationalError), transaction.atomic():
            add("default", "clicks")
        add("default", "clicks")

    test_so_here_too = test_a_decorator_begins_anew_with_each_call


class TransactionTestsOfAProject(TransactionTestCase):
    available_apps = ("tests.testing.blog",)

    def test_a_second_fault_within_a_first(self):
        error = self.assertRaises(OperationalError)
        with fail_at("INSERT") as insert, fail_at("ROLLBACK") as rollback, error, transaction.atomic():
            add("default", "clicks")
        assert insert.reached
        assert rollback.reached
        assert names("default") == []


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: fail_at(7), TypeError, "pattern is a regular expression for SQL, as text or compiled, not 7"),
        (lambda: fail_at(re.compile(b"x")), TypeError, "pattern is a regular expression for SQL"),
        (lambda: fail_at("COUNT(*"), ValueError, r"re.escape() makes one of plain text: 'COUNT\\(\\*'"),
        (lambda: fail_at("x", nth=0), ValueError, "nth counts the statements that match, from 1; None is each"),
        (lambda: fail_at("x", nth=True), ValueError, "not True"),
        (lambda: fail_at("x", nth="2"), ValueError, "not '2'"),
        (lambda: fail_at("x", when="during"), ValueError, "when is 'before' the statement or 'after' it"),
        (lambda: fail_at("x", using=None), TypeError, "using is the alias of a database, not None"),
        (
            lambda: fail_at("x", error="disk full"),
            TypeError,
            "error is an exception to raise, or the class of one",
        ),
        (lambda: fail_at("x", error=int), TypeError, "error is an exception to raise, or the class of one"),
        (
            lambda: fail_at("x", error=UnicodeDecodeError),
            TypeError,
            "UnicodeDecodeError cannot be made so: function takes exactly 5 arguments (0 given)."
            " Make it yourself: error=UnicodeDecodeError(...)",
        ),
        (lambda: delay_at("x", seconds=-1), ValueError, "seconds is how long to wait, at least 0, not -1"),
        (lambda: delay_at("x", seconds="1"), TypeError, "seconds is a number, not '1'"),
        (lambda: delay_at("x", seconds=float("nan")), ValueError, "seconds is how long to wait"),
        (lambda: at_statement("x", None), TypeError, "call is a plain function without arguments"),
        (lambda: at_statement("x", asyncio.sleep), TypeError, "(async_to_sync makes one)"),
    ],
)
def test_bad_arguments_are_refused_at_once(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)

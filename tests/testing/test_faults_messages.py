"""A point that is never reached: what is said of it, in a test and in a whole run of pytest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.db import connections

from fieldstone.testing.faults import PointNotReached, at_statement, delay_at, fail_at
from tests.testing.blog.models import Counter, Post
from tests.testing.conftest import on_engines

pytestmark = pytest.mark.django_db(databases=["default", "default_history"])


def ask(sql, alias="default"):
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)


PLACE = f"tests/testing/{Path(__file__).name}:{ask.__code__.co_firstlineno + 2} in ask"


def message(tool, *statements):
    with pytest.raises(PointNotReached) as caught, tool:
        for sql in statements:
            ask(sql)
    return str(caught.value)


def test_it_lists_what_came_by_with_its_places():
    said = message(fail_at("FROM blog_conter", when="after"), "SELECT 1", 'SELECT 2\n  FROM "blog_counter"')
    assert said == (
        "fail_at('FROM blog_conter', when='after') was not reached on 'default': none of 2 statements matches.\n"
        "\n"
        "       statement (> matches)         place\n"
        f"    1  SELECT 1                      {PLACE}\n"
        f'    2  SELECT 2 FROM "blog_counter"  {PLACE}\n'
        "\n"
        "Mend the pattern, or the code that was to come by. The pattern is a regular expression, searched in the"
        " SQL above\n(in its whole length), in any case, with or without the quotes around names."
    )


def test_it_marks_those_that_match_where_there_were_too_few():
    said = message(
        delay_at("FROM blog", seconds=9, nth=3), "SELECT 1 FROM blog_tag", "SELECT 2", "select 3 from blog_tag"
    )
    assert said == (
        "delay_at('FROM blog', nth=3) was not reached on 'default': 2 of 3 statements match, and nth=3.\n"
        "\n"
        "       statement (> matches)   place\n"
        f"  > 1  SELECT 1 FROM blog_tag  {PLACE}\n"
        f"    2  SELECT 2                {PLACE}\n"
        f"  > 3  select 3 from blog_tag  {PLACE}\n"
        "\n"
        "Mend nth, or the code that was to ask this more often; nth=None is each statement that matches."
    )


def test_of_text_that_was_not_meant_as_an_expression_it_says_how_to_write_it():
    said = message(fail_at("lower(name)"), "SELECT LOWER(name) FROM blog_tag")
    assert said.startswith(
        "fail_at('lower(name)') was not reached on 'default': the only statement does not match."
    )
    assert said.endswith(
        "\n\nThe text of the pattern is in statement 1, but it is read as a regular expression: write it as"
        r" 'lower\\(name\\)'."
    )


def test_without_any_statement_it_asks_for_the_database_and_the_thread():
    with pytest.raises(PointNotReached) as caught, fail_at("INSERT"):
        ask("SELECT 1", "default_history")
    said = re.sub(r"\(there are .* as well\)", "(there are ... as well)", str(caught.value))
    assert said == (
        "fail_at('INSERT') was not reached: nothing was asked of 'default' by this thread.\n"
        "\n"
        "If the code uses another database, name it with using=... (there are ... as well). If it asks in a"
        " thread of its own,\nwhich has a connection of its own, put the tool inside what that thread runs."
    )
    assert "'default_history'" in str(caught.value)


def test_in_a_coroutine_it_asks_for_async_with():
    async def save():
        with fail_at("INSERT"):
            await Counter.objects.acreate(name="clicks")

    with pytest.raises(PointNotReached) as caught:
        async_to_sync(save)()
    assert str(caught.value) == (
        "fail_at('INSERT') was not reached: nothing was asked of 'default' by this thread.\n"
        "\n"
        "Around a coroutine's code write `async with`, not `with`: Django makes the calls of a coroutine in a"
        " thread of\ntheir own, and this looked at the connection of the event loop's thread."
    )


def test_of_a_thread_of_a_coroutine_it_does_not():
    async def save():
        async with fail_at("INSERT"):
            pass

    with pytest.raises(PointNotReached, match="If the code uses another database") as caught:
        async_to_sync(save)()
    assert "async with" not in str(caught.value)


@on_engines(transaction=True)
@pytest.mark.parametrize("statements", [[], ["SELECT 1"]])
@pytest.mark.parametrize("pattern", ["BEGIN", "^start transaction"])
def test_of_a_beginning_it_says_where_none_is_seen(alias, statements, pattern):
    """Of SQLite Django asks a BEGIN, and so it may be waited for."""
    with pytest.raises(PointNotReached) as caught, fail_at(pattern, using=alias):
        for sql in statements:
            ask(sql, alias)
    name = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}.get(alias)
    word = "BEGIN" if pattern == "BEGIN" else "START TRANSACTION"
    said = (
        f"\n\n{word} is never seen on {name}: Django turns autocommit off instead, and the transaction begins\n"
        "with its first statement. Take the pattern of that one."
    )
    assert str(caught.value).endswith(said) is (name is not None)
    assert ("is never seen" in str(caught.value)) is (name is not None)


def test_a_long_list_of_columns_and_a_long_list_of_statements_are_cut():
    with pytest.raises(PointNotReached) as caught, fail_at("INSERT"):
        list(Post.objects.all())
        for _ in range(60):
            Counter.objects.exists()
    lines = str(caught.value).splitlines()
    assert lines[3].startswith('     1  SELECT … FROM "blog_post"  ')
    assert sum('"blog_counter"' in line for line in lines) == 39
    assert [line.strip() for line in lines if "more)" in line] == ["(21 more)"]
    assert lines[-4].startswith("    61  ")


def test_an_error_of_the_body_goes_on_and_says_that_the_point_was_not_reached():
    with pytest.raises(ZeroDivisionError) as caught, fail_at("INSERT", nth=2):
        raise ZeroDivisionError
    assert caught.value.__notes__ == ["fail_at('INSERT', nth=2) was not reached on 'default' before this."]


def test_an_error_after_the_point_says_nothing_of_it():
    with pytest.raises(ZeroDivisionError) as caught, at_statement("SELECT", lambda: None):
        ask("SELECT 1")
        raise ZeroDivisionError
    assert not hasattr(caught.value, "__notes__")


PROJECT = """
    import pytest
    from django.db import OperationalError, connection, transaction
    from django.test import TestCase, TransactionTestCase

    from fieldstone.testing.faults import cut_at, fail_at, kill_server_at, server_pid
    from tests.testing.blog.models import Counter, Post


    def save():
        with transaction.atomic():
            Counter.objects.create(name="clicks")


    class TestSaving(TransactionTestCase):
        def test_cut(self):
            with cut_at("COMMIT"):
                with self.assertRaises(OperationalError):
                    save()
            self.assertEqual(Counter.objects.count(), 0)

        def test_cut_after(self):
            with cut_at("COMMIT", when="after"):
                with self.assertRaises(OperationalError):
                    save()
            self.assertEqual(Counter.objects.count(), 1)

        @fail_at("INSERT INTO blog_post")
        def test_never_reached(self):
            save()

        def test_no_server(self):
            server_pid()

        def test_no_server_to_kill(self):
            with kill_server_at("COMMIT", pid=1):
                save()


    class TestInATestCase(TestCase):
        def test_fails(self):
            with fail_at("INSERT"), self.assertRaises(OperationalError):
                save()
            self.assertEqual(Counter.objects.count(), 0)

        def test_cut(self):
            with cut_at("COMMIT"):
                save()


    @pytest.mark.django_db
    def test_seen_as_it_is():
        with fail_at("INSERT INTO blog_counter"):
            save()
"""


def test_a_run_in_a_project_whose_database_is_in_memory(project):
    result = project(PROJECT, "-W", "error", "--tb=short")
    result.assert_outcomes(passed=3, failed=5)
    result.stdout.fnmatch_lines(
        [
            "E   *FaultNotPossible: cut_at('COMMIT') would lose the transaction that TestCase keeps around *",
            "E   Use a TransactionTestCase, or with pytest @pytest.mark.django_db(transaction=True), *",
        ]
    )
    result.stdout.fnmatch_lines(
        [
            "E   *PointNotReached: fail_at('INSERT INTO blog_post') was not reached on 'default': none of 3 *",
            "E   *",
            "E          statement (> matches)  * place",
            "E       1  BEGIN                  * test_blog.py:10 in save",
            'E       2  INSERT INTO "blog_counter" ("name", "count") VALUES (%s, %s) *  test_blog.py:11 in save',
            "E       3  COMMIT                 * test_blog.py:10 in save",
            "E   *",
            "E   Mend the pattern, or the code that was to come by. The pattern is a regular expression, *",
        ],
    )
    for line in (
        "*FaultNotPossible: 'default' is SQLite. SQLite runs in your own process, so there is no server to kill.",
        "*FaultNotPossible: kill_server_at('COMMIT'): 'default' is SQLite. SQLite runs in your own process*",
        "*OperationalError: fail_at('INSERT INTO blog_counter') made this fail: INSERT INTO \"blog_counter\"*",
    ):
        result.stdout.fnmatch_lines([f"E   {line}"])

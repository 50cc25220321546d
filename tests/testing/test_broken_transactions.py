"""A statement that a broken transaction refuses names the error that broke it."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from pathlib import Path

import pytest
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    IntegrityError,
    InternalError,
    connection,
    connections,
    transaction,
)
from django.db.transaction import TransactionManagementError
from django.test import TestCase

from fieldstone.testing.transactions import BrokenTransaction, explain_broken_transactions
from tests.testing.blog.models import Author, Counter
from tests.testing.conftest import on_engines


def said(failed):
    """Without the numbers of lines, which change with this file."""
    return re.sub(r"\.py:\d+", ".py:LINE", str(failed.value))


def write(alias):
    Author.objects.using(alias).create(name="ada")


def write_once(alias):
    """The code under test, which means well."""
    try:
        write(alias)
    except IntegrityError:
        return False
    return True


@on_engines(transaction=False)
def test_the_first_error_its_line_and_who_caught_it(alias):
    write_once(alias)
    with pytest.raises(BrokenTransaction) as failed, explain_broken_transactions():
        write_once(alias)
        Counter.objects.using(alias).count()
    words = said(failed)
    assert words.startswith(
        f"An earlier error broke the transaction of '{alias}'; the code caught it and went on.\n\n"
        "  error      IntegrityError: "
    )
    assert re.search(r"\n  statement  INSERT INTO [`\"]blog_author[`\"] ", words)
    assert "\n  at         tests/testing/test_broken_transactions.py:LINE in write\n" in words
    assert "\n  caught at  tests/testing/test_broken_transactions.py:LINE in write_once\n" in words
    using = f'using="{alias}"' if alias != DEFAULT_DB_ALIAS else ""
    assert f"\n    with transaction.atomic({using}):\n" in words
    assert "\n    with expect_db_error(IntegrityError" in words
    assert re.search(r"\n\n  refused  SELECT COUNT\(\*\) .*\n  at       tests/.* in test_the_first_error_", words)
    assert isinstance(failed.value.__cause__, IntegrityError)
    connections[alias].needs_rollback = False


@on_engines(transaction=False)
def test_code_under_test_sees_the_errors_it_knows(alias):
    write_once(alias)
    with explain_broken_transactions(), transaction.atomic(using=alias):
        write_once(alias)
        for known in (TransactionManagementError, InternalError, DatabaseError):
            with pytest.raises(known):
                Counter.objects.using(alias).count()
        transaction.set_rollback(True, using=alias)
    assert Author.objects.using(alias).count() == 1


@on_engines(transaction=False)
def test_of_a_raw_cursor(alias):
    """Django knows nothing of it; PostgreSQL refuses what follows, the others go on."""
    with explain_broken_transactions(), transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        with contextlib.suppress(DatabaseError):
            cursor.execute("SELECT nonsense FROM blog_author")
        if alias == "postgresql":
            with pytest.raises(BrokenTransaction) as failed:
                cursor.execute("SELECT 1")
            assert "\n  statement  SELECT nonsense FROM blog_author\n" in said(failed)
            assert "\n  refused  SELECT 1\n" in said(failed)
            assert connections[alias].needs_rollback is False
        else:
            cursor.execute("SELECT 1")
        transaction.set_rollback(True, using=alias)
    assert not Author.objects.using(alias).exists()


@on_engines(transaction=False)
def test_an_error_in_a_savepoint_that_was_rolled_back_is_forgotten(alias):
    write_once(alias)
    with explain_broken_transactions(), transaction.atomic(using=alias):
        with pytest.raises(IntegrityError), transaction.atomic(using=alias):
            write(alias)
        assert Counter.objects.using(alias).count() == 0
        transaction.set_rollback(True, using=alias)
        with pytest.raises(BrokenTransaction) as failed:
            Counter.objects.using(alias).count()
    assert "IntegrityError" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_a_rollback_that_was_asked_for(db):
    with explain_broken_transactions(), transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(BrokenTransaction) as failed:
            Counter.objects.count()
    assert said(failed).startswith(
        "set_rollback(True) marked the transaction of 'default' for a rollback.\n\n"
        "  set at  tests/testing/test_broken_transactions.py:LINE in test_a_rollback_that_was_asked_for\n"
    )


def stumble():
    raise ValueError("no author of that name")


def test_an_error_that_was_no_database_error(db):
    with explain_broken_transactions(), transaction.atomic():
        with contextlib.suppress(ValueError), transaction.atomic(savepoint=False):
            stumble()
        with pytest.raises(BrokenTransaction) as failed:
            Counter.objects.count()
    words = said(failed)
    assert words.startswith(
        "An error marked the transaction of 'default' for a rollback: it went through a save()"
    )
    assert "\n  error      ValueError: no author of that name\n" in words
    assert "\n  raised at  tests/testing/test_broken_transactions.py:LINE in stumble\n" in words
    assert "\n  caught at  tests/testing/test_broken_transactions.py:LINE in test_an_error_that_was_no_" in words
    assert isinstance(failed.value.__cause__, ValueError)


def test_where_nothing_is_known_django_speaks(db):
    with explain_broken_transactions(), transaction.atomic():
        connection.needs_rollback = True
        with pytest.raises(TransactionManagementError, match="An error occurred in the current") as failed:
            Counter.objects.count()
        assert type(failed.value) is TransactionManagementError


@on_engines(transaction=True)
def test_a_connection_that_another_thread_opens(alias):
    def broken():
        with transaction.atomic(using=alias):
            write_once(alias)
            write_once(alias)
            Counter.objects.using(alias).count()

    def thread():
        try:
            broken()
        except BrokenTransaction as error:
            caught.append(error)
        finally:
            connections[alias].close()

    caught = []
    with explain_broken_transactions():
        one = threading.Thread(target=thread)
        one.start()
        one.join()
    assert "in write_once" in str(caught[0])


def test_nothing_is_left_behind(db):
    before = list(connection.execute_wrappers)
    with explain_broken_transactions(), explain_broken_transactions():
        assert len(connection.execute_wrappers) == len(before) + 2
    assert connection.execute_wrappers == before


class TestWithAssertRaises(TestCase):
    """unittest throws tracebacks away, and with them who caught the error."""

    @explain_broken_transactions()
    def test_the_line_of_the_test_that_caught_it(self):
        write("default")
        with self.assertRaises(IntegrityError):
            write("default")
        with self.assertRaises(BrokenTransaction) as failed:
            write("default")
        words = str(failed.exception)
        assert re.search(r"\n  at         tests/testing/test_broken_transactions.py:\d+ in write\n", words)
        assert re.search(r"\n  caught at  .*\.py:\d+ in TestWithAssertRaises.test_the_line_of_the_test_th", words)


FAILING = """
    import pytest
    from django.db import IntegrityError
    from django.test import TestCase
    from tests.testing.blog.models import Author

    def save(name):
        try:
            Author.objects.create(name=name)
        except IntegrityError:
            pass

    def test_function(db):
        save("ada")
        save("ada")
        assert Author.objects.count() == 1

    class TestAuthors(TestCase):
        def test_method(self):
            save("ada")
            save("ada")
            assert Author.objects.count() == 1

    def test_no_database():
        pass
"""


def test_pytest_explains_by_itself(project):
    result = project(FAILING)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *BrokenTransaction: An earlier error broke the transaction of 'default'; the code caught it *",
            "E *  error      IntegrityError: UNIQUE constraint failed: *",
            'E *  statement  INSERT INTO "blog_author" *',
            "E *  at         test_blog.py:8 in save",
            "E *  caught at  test_blog.py:8 in save",
            'E *with expect_db_error(IntegrityError, constraint="author_name_any_case"):',
            'E *  refused  SELECT COUNT(*) AS "__count" FROM "blog_author"',
            "E *  at       test_blog.py:15 in test_function",
            "E *  at       test_blog.py:21 in TestAuthors.test_method",
        ]
    )


def test_pytest_can_be_told_not_to(project):
    result = project(FAILING, "-o", "fieldstone_explain_broken_transactions=false")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.no_fnmatch_line("*BrokenTransaction*")
    result.stdout.fnmatch_lines(["E *TransactionManagementError: An error occurred in the current transaction.*"])


def test_a_project_without_django_is_left_alone(pytester):
    pytester.makeini("[pytest]")
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess("-p", "no:django", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_without_pytest(pytester, monkeypatch):
    """As `manage.py test` runs it: no plugin, no fixture."""
    pytester.makepyfile(
        test_blog="""
        from django.db import IntegrityError
        from django.db.transaction import atomic, on_commit
        from django.test import TestCase
        from fieldstone.testing.transactions import commit_callbacks, expect_db_error, explain_broken_transactions
        from tests.testing.blog.models import Author

        class TestAuthors(TestCase):
            def test_expected(self):
                mails = []
                callbacks = self.enterContext(commit_callbacks())
                Author.objects.create(name="ada")
                with expect_db_error(IntegrityError, columns=["name"]):
                    Author.objects.create(name="ada")
                with atomic():
                    on_commit(lambda: mails.append(Author.objects.count()))
                self.assertEqual((mails, len(callbacks.ran)), ([1], 1))

            @expect_db_error(IntegrityError, columns=["name"])
            def test_nothing_raised(self):
                Author.objects.create(name="ada")

            def test_broken(self):
                self.enterContext(explain_broken_transactions())
                for name in ("ada", "ada"):
                    try:
                        Author.objects.create(name=name)
                    except IntegrityError:
                        pass
                Author.objects.count()
        """
    )
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", root)
    result = pytester.run(sys.executable, "-m", "django", "test", "--settings", "tests.testing.project")
    result.stderr.fnmatch_lines(["Ran 3 tests in *", "FAILED (failures=1, errors=1)"])
    for words in (
        "*BrokenTransaction: An earlier error broke the transaction of 'default'; *",
        "  caught at  test_blog.py:* in TestAuthors.test_broken",
        "*NothingRaised: Expected IntegrityError of the columns name, but the block ended without an error.",
    ):
        result.stderr.fnmatch_lines([words])

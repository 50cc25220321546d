"""Errors of another database than the one that is asked for, budgets around a block, and wrong arguments."""

from __future__ import annotations

import contextlib

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction

from fieldstone.testing import query_budget
from fieldstone.testing.transactions import NothingRaised, expect_db_error
from tests.testing.blog.models import Author, Comment
from tests.testing.conftest import on_engines
from tests.testing.test_expected_errors import comment_of_nobody, post  # noqa: F401 (a fixture)

both = pytest.mark.django_db(databases=["default", "default_history"])


def fail(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT nonsense FROM nowhere")


@both
def test_an_error_of_another_database_is_not_the_expected_one():
    with pytest.raises(NothingRaised) as failed, expect_db_error():
        fail("default_history")
    words = str(failed.value)
    assert words.startswith(
        "Expected DatabaseError on 'default', but the statement that failed was one on 'default_history'.\n\n"
        "  error      OperationalError: no such "
    )
    assert "\n  statement  SELECT nonsense FROM nowhere\n  at         tests/testing/test_exp" in words
    assert words.endswith('name it: expect_db_error(..., using="default_history")\n')
    assert isinstance(failed.value.__cause__, DatabaseError)


@both
def test_of_two_databases_the_one_whose_error_came_last_counts():
    def first_here_then_there():
        try:
            fail("default")
        except DatabaseError:
            fail("default_history")

    with expect_db_error(using="default_history"):
        first_here_then_there()
    with pytest.raises(NothingRaised, match="was one on 'default_history'"), expect_db_error():
        first_here_then_there()


@both
def test_an_error_swallowed_elsewhere_does_not_matter():
    with expect_db_error() as caught:
        with contextlib.suppress(DatabaseError):
            fail("default_history")
        fail("default")
    assert "nowhere" in str(caught.error)


def test_an_error_without_a_statement_is_accepted(db):
    with expect_db_error(IntegrityError):
        raise IntegrityError("of a mock")


@on_engines(transaction=False)
def test_its_savepoint_is_not_in_the_budget(alias):
    Author.objects.using(alias).create(name="ada")
    with query_budget(**{alias: 1}), expect_db_error(IntegrityError, using=alias):
        Author.objects.using(alias).create(name="ada")


@on_engines(transaction=True)
def test_nor_in_a_real_transaction(alias):
    Author.objects.using(alias).create(name="ada")
    with query_budget(**{alias: 1}), transaction.atomic(using=alias, durable=True):  # noqa: SIM117
        with expect_db_error(IntegrityError, using=alias):
            Author.objects.using(alias).create(name="ada")


@on_engines(transaction=False)
def test_one_inside_another_leaves_the_outer_ones_transaction_whole(alias, post):  # noqa: F811
    if not connections[alias].features.can_defer_constraint_checks:
        pytest.skip("checks at once")
    with expect_db_error(IntegrityError, columns=["author_id"], using=alias):
        comment_of_nobody(post)
        with expect_db_error(IntegrityError, columns=["name"], using=alias):
            Author.objects.using(alias).create(name="ada")
    assert not Comment.objects.using(alias).exists()


@pytest.mark.parametrize("error", ["name", IntegrityError("x"), (IntegrityError, "name"), (), None, int])
def test_what_is_no_class_of_errors_is_refused(error):
    with pytest.raises(TypeError, match=r"expect_db_error\(\) takes error classes of django.db, and not "):
        expect_db_error(error)

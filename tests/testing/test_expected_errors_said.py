"""What expect_db_error says when it fails, and the state it leaves behind then."""

from __future__ import annotations

import contextlib
import re

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, connections, transaction

from fieldstone.testing.transactions import NothingRaised, OtherConstraint, expect_db_error
from tests.testing.blog.models import Author, Post
from tests.testing.conftest import on_engines
from tests.testing.test_expected_errors import TOGETHER, again


@pytest.fixture
def post(alias):
    author = Author.objects.using(alias).create(name="ada")
    return Post.objects.using(alias).create(author=author, slug="first")


def said(failed):
    """Without the numbers of lines, which change with this file."""
    return re.sub(r"\.py:\d+", ".py:LINE", str(failed.value))


@on_engines(transaction=False)
def test_nothing_raised(alias, post):
    with pytest.raises(NothingRaised) as failed, expect_db_error(IntegrityError, using=alias):
        list(Post.objects.using(alias).all())
        Post.objects.using(alias).filter(pk=0).update(likes=1)
    assert said(failed).startswith(
        "Expected IntegrityError, but the block ended without an error.\n\n"
        "  block  tests/testing/test_expected_errors_said.py:LINE in test_nothing_raised\n"
        f"  ran    2 statements on '{alias}'\n"
        "  last   UPDATE "
    )
    assert said(failed).endswith(
        "  at     tests/testing/test_expected_errors_said.py:LINE in test_nothing_raised\n"
    )
    assert Post.objects.using(alias).count() == 1


@on_engines(transaction=False)
def test_nothing_asked(alias):
    with pytest.raises(NothingRaised) as failed, expect_db_error(IntegrityError, columns=["name"], using=alias):
        pass
    assert said(failed) == (
        "Expected IntegrityError of the columns name, but the block ended without an error.\n\n"
        "  block  tests/testing/test_expected_errors_said.py:LINE in test_nothing_asked\n"
        f"  ran    0 statements on '{alias}'\n\n"
        "Does the code use another database? Name it: expect_db_error(..., using=...)\n"
    )


def caught_too_early(post):
    with contextlib.suppress(IntegrityError):
        again(post)


@on_engines(transaction=False)
def test_the_error_was_caught_inside(alias, post):
    with pytest.raises(NothingRaised) as failed, expect_db_error(IntegrityError, using=alias):
        caught_too_early(post)
    words = said(failed)
    assert (
        "An error was raised inside, and the code under test caught it:\n\n  error      IntegrityError: " in words
    )
    assert "\n  statement  INSERT INTO " in words
    assert "\n  at         tests/testing/test_expected_errors.py:LINE in again\n" in words
    assert "\n  caught at  tests/testing/test_expected_errors_said.py:LINE in caught_too_early\n" in words
    assert not connections[alias].needs_rollback
    assert Post.objects.using(alias).count() == 1


@on_engines(transaction=False)
def test_the_error_of_a_raw_cursor_was_caught_inside(alias, post):
    expected = expect_db_error(IntegrityError, using=alias)
    caught = contextlib.suppress(IntegrityError)
    with pytest.raises(NothingRaised) as failed, expected, caught, connections[alias].cursor() as cursor:
        cursor.execute("UPDATE blog_post SET likes = -1")
    assert "\n  statement  UPDATE blog_post SET likes = -1\n" in said(failed)
    assert Post.objects.using(alias).get().likes == 0


@on_engines(transaction=False)
def test_another_constraint(alias, post):
    expected = expect_db_error(IntegrityError, constraint="post_likes_not_negative", using=alias)
    with pytest.raises(OtherConstraint) as failed, expected:
        again(post)
    words = said(failed)
    assert words.startswith(
        "Expected IntegrityError of the constraint 'post_likes_not_negative', "
        "but another constraint was violated.\n\n"
        f"  violated   unique '{TOGETHER}' of blog_post (author_id, slug)\n"
        "  error      IntegrityError: "
    )
    assert "\n  statement  INSERT INTO " in words
    assert "\n  at         tests/testing/test_expected_errors.py:LINE in again\n\nblog_post has\n\n" in words
    assert re.search(r"\n  check +post_likes_not_negative +likes\n", words)
    assert re.search(rf"\n  unique +{TOGETHER} +author_id, slug\n", words)
    assert words.endswith(
        f'\n\nIf it is the one that is meant, ask for constraint="{TOGETHER}" or columns=("author_id", "slug").\n'
    )
    assert failed.value.violation.constraint == TOGETHER
    assert isinstance(failed.value.__cause__, IntegrityError)
    assert not connections[alias].needs_rollback
    assert Post.objects.using(alias).count() == 1


def test_a_constraint_that_sqlite_has_no_name_for(db):
    author = Author.objects.create(name="ada")
    with pytest.raises(OtherConstraint) as failed, expect_db_error(constraint="blog_author_pkey"):
        Author.objects.bulk_create([Author(pk=author.pk, name="grace")])
    assert str(failed.value).endswith(
        'SQLite has no name for the violated one. If it is the one that is meant, ask for columns=("id",).\n'
    )


@on_engines(transaction=False)
def test_another_error_goes_through_with_a_note(alias, post):
    with pytest.raises(IntegrityError) as failed, expect_db_error(DataError, using=alias):
        again(post)
    (note,) = failed.value.__notes__
    assert re.fullmatch(
        r"expect_db_error\(\) at tests/testing/test_expected_errors_said.py:\d+ in "
        r"test_another_error_goes_through_with_a_note expected DataError\.",
        note,
    )
    assert not connections[alias].needs_rollback
    assert Post.objects.using(alias).count() == 1


def test_an_error_that_no_database_raised_goes_through(db):
    with pytest.raises(KeyError) as failed, expect_db_error(IntegrityError, constraint="post_likes_not_negative"):
        raise KeyError("slug")
    assert failed.value.__notes__[0].endswith(
        "expected IntegrityError of the constraint 'post_likes_not_negative'."
    )


def test_an_error_about_no_constraint_goes_through_where_one_is_asked_for(db):
    expected = expect_db_error(constraint="post_likes_not_negative")
    with pytest.raises(OperationalError) as failed, expected, connection.cursor() as cursor:
        cursor.execute("SELECT nonsense FROM blog_post")
    assert "expected DatabaseError of the constraint" in failed.value.__notes__[0]
    assert not connection.needs_rollback


def test_a_refused_statement_is_not_the_expected_error(db):
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError), expect_db_error():
            pytest.fail("the block began")
    with pytest.raises(transaction.TransactionManagementError), expect_db_error():
        transaction.set_rollback(True)
        Post.objects.count()
    with expect_db_error(transaction.TransactionManagementError):
        transaction.set_rollback(True)
        Post.objects.count()
    assert Post.objects.count() == 0


def test_in_a_report_of_pytest_and_of_unittest(project):
    result = project(
        """
        import pytest
        from django.db import IntegrityError
        from django.test import TestCase
        from fieldstone.testing.transactions import expect_db_error
        from tests.testing.blog.models import Author, Post

        def test_nothing(db):
            with expect_db_error(IntegrityError, columns=["name"]):
                Author.objects.create(name="ada")

        def test_note(db):
            with expect_db_error(IntegrityError):
                raise ValueError("slug")

        class TestPosts(TestCase):
            def test_other(self):
                author = Author.objects.create(name="ada")
                with expect_db_error(IntegrityError, constraint="post_slug"):
                    Post.objects.create(author=author, slug="x", likes=-1)

            def test_passes(self):
                Author.objects.create(name="ada")
                with expect_db_error(IntegrityError):
                    Author.objects.create(name="ada")
                assert Author.objects.count() == 1
        """,
    )
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *NothingRaised: Expected IntegrityError of the columns name, but the block ended without an error.",
            "E *  block  test_blog.py:8 in test_nothing",
            "E *  ran    1 statement on 'default'",
            "E *  at     test_blog.py:9 in test_nothing",
            "E *ValueError: slug",
            "E *expect_db_error() at test_blog.py:12 in test_note expected IntegrityError.",
            "E *OtherConstraint: Expected IntegrityError of the constraint 'post_slug', but another *",
            "E *  violated   check 'post_likes_not_negative' of blog_post (likes)",
            "E *  at         test_blog.py:19 in TestPosts.test_other",
            "E *blog_post has",
            "E *  unique       post_title_of_a_day *  title, day",
        ]
    )

"""An expected database error leaves the transaction usable, and says which constraint it was about."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, DataError, IntegrityError, connections, transaction
from django.db.transaction import TransactionManagementError
from django.test import TestCase

from fieldstone.testing.transactions import (
    NothingRaised,
    ViolatedBefore,
    Violation,
    expect_db_error,
)
from tests.testing.blog.models import Author, Comment, Post
from tests.testing.conftest import on_engines

TOGETHER = "blog_post_author_id_slug_1f70e997_uniq"


@pytest.fixture
def post(alias):
    author = Author.objects.using(alias).create(name="ada")
    return Post.objects.using(alias).create(author=author, slug="first", title="First")


def again(post):
    return Post.objects.using(post._state.db).create(author=post.author, slug=post.slug)


class TestSlugs(TestCase):
    """The classic case."""

    def test_a_slug_is_taken_and_more_queries_follow(self):
        author = Author.objects.create(name="ada")
        Post.objects.create(author=author, slug="first")
        with expect_db_error(IntegrityError, constraint=TOGETHER) as caught:
            Post.objects.create(author=author, slug="first")
        assert caught.violation.columns == ("author_id", "slug")
        assert Post.objects.count() == 1

    def test_without_it_the_next_query_fails(self):
        author = Author.objects.create(name="ada")
        Post.objects.create(author=author, slug="first")
        with self.assertRaises(IntegrityError):
            Post.objects.create(author=author, slug="first")
        with self.assertRaises(TransactionManagementError):
            Post.objects.count()

    @expect_db_error(IntegrityError, columns="name")
    def test_as_a_decorator(self):
        Author.objects.create(name="ada")
        Author.objects.create(name="ada")


@on_engines(transaction=False)
def test_the_body_is_undone_and_what_was_before_it_stays(alias, post):
    with expect_db_error(IntegrityError, constraint=TOGETHER, using=alias) as caught:
        Author.objects.using(alias).create(name="grace")
        again(post)
    assert isinstance(caught.error, IntegrityError)
    assert caught.violation == Violation("unique", TOGETHER, "blog_post", ("author_id", "slug"))
    assert [author.name for author in Author.objects.using(alias).all()] == ["ada"]
    assert not connections[alias].needs_rollback


@on_engines(transaction=True)
def test_in_real_transactions_what_was_committed_stays(alias, post):
    with expect_db_error(IntegrityError, columns=["slug", "author_id"], using=alias) as caught:
        Author.objects.using(alias).create(name="grace")
        again(post)
    assert caught.violation.constraint == TOGETHER
    assert Author.objects.using(alias).count() == 2
    assert not connections[alias].in_atomic_block


@on_engines(transaction=False)
def test_a_check(alias, post):
    with expect_db_error(IntegrityError, constraint="post_likes_not_negative", using=alias) as caught:
        Post.objects.using(alias).update(likes=-1)
    assert caught.violation == Violation("check", "post_likes_not_negative", "blog_post", ("likes",))


@on_engines(transaction=False)
def test_not_null(alias, post):
    with expect_db_error(IntegrityError, columns=["title"], using=alias) as caught:
        Post.objects.using(alias).update(title=None)
    assert caught.violation == Violation("not null", "", "blog_post", ("title",))


@on_engines(transaction=False)
def test_a_column_without_a_value(alias, post):
    with (
        expect_db_error(IntegrityError, columns=["name"], using=alias) as caught,
        connections[alias].cursor() as cursor,
    ):
        cursor.execute("INSERT INTO blog_author (id) VALUES (7)")
    assert caught.violation == Violation("not null", "", "blog_author", ("name",))


@on_engines(transaction=False)
def test_a_primary_key(alias, post):
    names = {"default": "", "postgresql": "blog_author_pkey", "mariadb": "PRIMARY"}
    with expect_db_error(IntegrityError, columns=["id"], using=alias) as caught:
        Author.objects.using(alias).bulk_create([Author(pk=post.author_id, name="grace")])
    assert caught.violation == Violation("unique", names[alias], "blog_author", ("id",))


@on_engines(transaction=False)
def test_a_column_that_is_unique(alias, post):
    """On SQLite the index over ``lower(name)`` is violated as well, and is what it tells."""
    names = {"default": "author_name_any_case", "postgresql": "blog_author_name_key", "mariadb": "name"}
    with expect_db_error(IntegrityError, columns="name", using=alias) as caught:
        Author.objects.using(alias).create(name="ada")
    assert caught.violation == Violation("unique", names[alias], "blog_author", ("name",))


@on_engines(transaction=False)
def test_an_index_over_an_expression(alias, post):
    if not connections[alias].features.supports_expression_indexes:
        pytest.skip("no such indexes on this engine")
    with expect_db_error(IntegrityError, constraint="author_name_any_case", using=alias) as caught:
        Author.objects.using(alias).create(name="ADA")
    assert caught.violation == Violation("unique", "author_name_any_case", "blog_author", ("name",))


@on_engines(transaction=False)
def test_a_unique_constraint_with_a_condition(alias, post):
    if not connections[alias].features.supports_partial_indexes:
        with (
            pytest.raises(NothingRaised) as failed,
            expect_db_error(IntegrityError, constraint="post_title_of_a_day", using=alias),
        ):
            Post.objects.using(alias).create(author=post.author, slug="second", title="First")
        assert "MariaDB has no such constraint there.\n\nblog_post has\n\n  check " in str(failed.value)
        return
    with expect_db_error(IntegrityError, constraint="post_title_of_a_day", using=alias) as caught:
        Post.objects.using(alias).create(author=post.author, slug="second", title="First")
    assert caught.violation == Violation("unique", "post_title_of_a_day", "blog_post", ("title", "day"))


FOREIGN_KEY = "blog_comment_author_id_4f11e2e0_fk_blog_author_id"


def comment_of_nobody(post):
    Comment.objects.using(post._state.db).create(post=post, author_id=999)


@on_engines(transaction=False)
def test_a_foreign_key_that_is_deferred_is_checked_at_the_end_of_the_body(alias, post):
    with expect_db_error(IntegrityError, columns=["author_id"], using=alias) as caught:
        comment_of_nobody(post)
    name = "" if alias == "default" else FOREIGN_KEY
    assert caught.violation == Violation("foreign key", name, "blog_comment", ("author_id",))
    assert not Comment.objects.using(alias).exists()


@on_engines(transaction=True)
def test_a_foreign_key_in_a_real_transaction(alias, post):
    name = "" if alias == "default" else FOREIGN_KEY
    expected = Violation("foreign key", name, "blog_comment", ("author_id",))
    with expect_db_error(IntegrityError, using=alias) as caught:
        comment_of_nobody(post)
    assert caught.violation == expected
    with expect_db_error(IntegrityError, using=alias) as caught, transaction.atomic(using=alias):
        comment_of_nobody(post)
    assert caught.violation == expected
    with transaction.atomic(using=alias), expect_db_error(IntegrityError, using=alias) as caught:
        comment_of_nobody(post)
    assert caught.violation == expected
    assert not Comment.objects.using(alias).exists()


@on_engines(transaction=False)
def test_a_row_that_others_refer_to(alias, post):
    with (
        expect_db_error(IntegrityError, columns=["author_id"], using=alias) as caught,
        connections[alias].cursor() as cursor,
    ):
        cursor.execute("DELETE FROM blog_author")
    assert (caught.violation.kind, caught.violation.table) == ("foreign key", "blog_post")


@on_engines(transaction=False)
def test_a_foreign_key_violated_before_is_not_taken_for_the_expected_one(alias, post):
    if not connections[alias].features.can_defer_constraint_checks:
        pytest.skip("checks at once")
    with transaction.atomic(using=alias):
        comment_of_nobody(post)
        with pytest.raises(ViolatedBefore) as failed, expect_db_error(IntegrityError, using=alias):
            Author.objects.using(alias).create(name="grace")
        assert "a foreign key was violated before the block already, and without it still is" in str(failed.value)
        assert "\n  violated  foreign key" in str(failed.value)
        assert not connections[alias].needs_rollback
        transaction.set_rollback(True, using=alias)


@on_engines(transaction=False)
def test_durable_blocks_run_within_a_test_case(alias, post):
    with (
        expect_db_error(IntegrityError, constraint=TOGETHER, using=alias),
        transaction.atomic(using=alias, durable=True),
    ):
        again(post)
    durable = transaction.atomic(using=alias, durable=True)
    refused = pytest.raises(RuntimeError, match="durable")
    with transaction.atomic(using=alias), refused, expect_db_error(IntegrityError, using=alias), durable:
        again(post)
    assert Post.objects.using(alias).count() == 1


@on_engines(transaction=False)
def test_of_a_raw_cursor(alias, post):
    with (
        expect_db_error(IntegrityError, constraint="post_likes_not_negative", using=alias),
        connections[alias].cursor() as cursor,
    ):
        cursor.execute("UPDATE blog_post SET likes = %s", [-1])
    assert Post.objects.using(alias).get().likes == 0


@on_engines(transaction=False)
def test_an_error_of_a_statement_that_is_no_violation(alias, post):
    with expect_db_error(using=alias) as caught, connections[alias].cursor() as cursor:
        cursor.execute("SELECT nonsense FROM blog_post")
    with pytest.raises(LookupError, match="It is about no constraint"):
        _ = caught.violation
    assert Post.objects.using(alias).count() == 1


@on_engines(transaction=False)
def test_what_it_asks_itself_is_not_counted_as_the_tests(alias, post, django_assert_num_queries):
    expected = expect_db_error(IntegrityError, constraint="post_likes_not_negative", using=alias)
    with django_assert_num_queries(1, using=alias), expected:
        Post.objects.using(alias).update(likes=-1)


@on_engines(transaction=False)
def test_in_a_coroutine(alias):
    async def coroutine():
        await Author.objects.using(alias).acreate(name="ada")
        async with expect_db_error(IntegrityError, columns=["name"], using=alias) as caught:
            await Author.objects.using(alias).acreate(name="ada")
        assert await Author.objects.using(alias).acount() == 1
        return caught.violation

    assert async_to_sync(coroutine)().kind == "unique"


def test_only_errors_of_django_db_can_be_expected():
    with pytest.raises(TypeError, match="takes error classes"):
        expect_db_error(ValueError)


def test_the_error_is_known_at_the_end(db):
    with pytest.raises(DatabaseError), expect_db_error(DataError) as caught:
        with pytest.raises(LookupError, match="when the block of expect_db_error"):
            _ = caught.error
        raise IntegrityError

"""The clock and the databases: what Django saves and asks follows it on all, and their own SQL where it can."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.postgres.functions import TransactionNow
from django.db import IntegrityError, connections, models, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Case, DateField, DateTimeField, F, When
from django.db.models.expressions import DatabaseDefault
from django.db.models.functions import Cast, Coalesce, Now, TruncDate
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

from fieldstone.testing.clock import frozen, ticking
from tests.testing.blog.models import Author, Post
from tests.testing.conftest import on_engines

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
"""In whole thousandths of a second, as SQLite's own functions are."""
SELECT_NOW = {
    "default": "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "mariadb": "SELECT NOW(6)",
    "postgresql": "SELECT STATEMENT_TIMESTAMP()",
}


@pytest.fixture
def execute() -> Callable[..., Any]:
    """Django's own, even if other tests left connections in threads that have ended."""
    gc.collect()
    with frozen():
        pass
    return CursorWrapper.execute


def post_on(alias: str, slug: str = "first") -> Post:
    author = Author.objects.using(alias).get_or_create(name="Ada")[0]
    return Post.objects.using(alias).create(author=author, slug=slug)


def asked(alias: str, sql: str = "") -> datetime:
    """The time as SQL of nobody's but the test's has it."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql or SELECT_NOW[alias])
        moment = cursor.fetchone()[0]
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def only_on(*aliases: str, transaction: bool = False) -> pytest.MarkDecorator:
    marks = {
        alias: pytest.mark.django_db(
            transaction=transaction, databases=[alias], available_apps=["tests.testing.blog"]
        )
        for alias in aliases
    }
    cases = [pytest.param(alias, marks=mark) for alias, mark in marks.items()]
    return pytest.mark.parametrize("alias", cases, indirect=True)


def is_real(moment: datetime) -> bool:
    return abs(datetime.now(UTC) - moment) < timedelta(hours=1)


@on_engines(transaction=False)
def test_comments_close_a_month_after_the_last_edit(alias: str):
    with frozen("2026-03-01 12:00") as clock:
        post = post_on(alias)
        clock.move(days=29)
        post.save()  # an edit: auto_now
        clock.move(days=29, hours=23)
        assert Post.objects.using(alias).get().takes_comments
        clock.move(hours=2)
        assert not Post.objects.using(alias).get().takes_comments


@on_engines(transaction=False)
def test_every_date_that_django_saves_is_the_clocks(alias: str):
    with frozen(NOON) as clock:
        posts = [post_on(alias)]
        posts += Post.objects.using(alias).bulk_create(
            Post(author=posts[0].author, slug=slug) for slug in ("second", "third")
        )
        clock.move(days=400)
        for post in Post.objects.using(alias).all():
            assert {post.created, post.modified, post.published, post.stored} == {NOON}
            assert post.day == date(2026, 3, 1)
    assert len(posts) == 3


@on_engines(transaction=False)
def test_a_database_default_around_now_is_the_clocks(alias: str):
    """``DEFAULT`` would be the server's; a default without ``Now()`` in it stays one."""
    compiler = Post.objects.using(alias).all().query.get_compiler(alias)
    with frozen(NOON):
        sql, params = compiler.compile(DatabaseDefault(Coalesce(Now(), Now()), output_field=DateTimeField()))
        assert "COALESCE" in sql
        assert len(params) == 2
        plain = compiler.compile(DatabaseDefault(models.Value(5), output_field=models.IntegerField()))
    assert plain == compiler.compile(DatabaseDefault(models.Value(5), output_field=models.IntegerField()))


@on_engines(transaction=False)
def test_now_in_queries_is_the_clocks(alias: str):
    posts = Post.objects.using(alias)
    with frozen(NOON) as clock:
        post_on(alias)
        waiting = posts.filter(modified__lt=Now() - timedelta(days=1))
        assert posts.filter(modified=Now()).exists()
        assert not waiting.exists()
        clock.move(days=2)
        assert waiting.all().exists()  # a query takes the time when it runs
        row = posts.annotate(
            now=Now(), ago=Now() - F("modified"), today=TruncDate(Now()), cast=Cast(Now(), DateField()),
            chosen=Case(When(modified__lt=Now(), then=Now()), default=F("modified")),
        ).values_list("now", "ago", "today", "cast", "chosen").get()  # fmt: skip
        then = NOON + timedelta(days=2)
        assert row == (then, timedelta(days=2), then.date(), then.date(), then)
        posts.update(published=Now())
        assert posts.get().published == then
        assert posts.order_by(Now()).aggregate(latest=models.Max(Now()))["latest"] == then
    assert is_real(posts.annotate(now=Now()).get().now)


@on_engines(transaction=False)
def test_without_use_tz_now_is_as_far_from_pythons_time_as_ever(alias: str):
    """Some engines answer in UTC, or in their server's time zone: that is not the clock's to mend."""
    post_on(alias)
    posts = Post.objects.using(alias).annotate(now=Now())
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        off = round((posts.get().now - timezone.now()) / timedelta(minutes=15))
        with frozen("2026-03-01 12:00"):
            assert posts.all().get().now == datetime(2026, 3, 1, 12) + off * timedelta(minutes=15)


@on_engines(transaction=False)
def test_a_ticking_clock_ticks_in_the_database_too(alias: str):
    with ticking(NOON):
        post = post_on(alias)
        first = Post.objects.using(alias).annotate(now=Now()).get()
        assert NOON - timedelta(milliseconds=1) <= post.created <= first.now < NOON + timedelta(minutes=5)
        while Post.objects.using(alias).annotate(now=Now()).get().now == first.now:
            pass
        if alias != "postgresql":
            begun = asked(alias)
            assert NOON <= begun < NOON + timedelta(minutes=5)
            while asked(alias) == begun:
                pass


@on_engines(transaction=False)
def test_sql_that_django_did_not_write_follows_where_the_engine_lets_it(alias: str):
    post = post_on(alias)
    columns = "author_id, slug, title, text, likes, created, modified, day, published"
    values = "author_id, 'copy', '', text, 0, created, modified, day, published"
    copy = f"INSERT INTO blog_post ({columns}) SELECT {values} FROM blog_post WHERE id = %s"
    with frozen(NOON):
        moment = asked(alias)
        with connections[alias].cursor() as cursor:
            cursor.execute(copy, [post.pk])
        stored = Post.objects.using(alias).get(slug="copy").stored
    if alias == "postgresql":
        assert is_real(moment)
        assert is_real(stored)
    else:
        assert moment == stored == NOON
    assert is_real(asked(alias))


@on_engines(transaction=False)
def test_the_databases_time_goes_with_inner_and_outer_clocks(alias: str):
    def both() -> set[datetime]:
        return {post_on(alias, f"{datetime.now(UTC)}").stored} | (
            {asked(alias)} if alias != "postgresql" else set()
        )

    with frozen(NOON) as outer:
        assert both() == {NOON}
        with frozen("2001-09-09T00:00Z"):
            assert both() == {datetime(2001, 9, 9, tzinfo=UTC)}
        outer.move(days=1)
        assert both() == {NOON + timedelta(days=1)}
    assert is_real(asked(alias))


@on_engines(transaction=False)
def test_the_clock_costs_no_query_that_is_counted(alias: str):
    post_on(alias)
    with CaptureQueriesContext(connections[alias]) as captured, frozen(NOON) as clock:
        assert Post.objects.using(alias).count() == 1
        clock.move(days=1)
        assert Post.objects.using(alias).count() == 1
    assert len(captured) == 2


@on_engines(transaction=False)
def test_in_a_broken_transaction_django_still_says_what_broke_it(alias: str):
    with frozen(NOON) as clock, pytest.raises(IntegrityError), transaction.atomic(alias):
        post = post_on(alias)
        try:
            post_on(alias)
        finally:
            clock.move(days=1)
            with pytest.raises(transaction.TransactionManagementError) as caught:
                Post.objects.using(alias).get(pk=post.pk)
            assert isinstance(caught.value.__cause__, IntegrityError)


@on_engines(transaction=True)
def test_a_connection_that_is_opened_later_has_the_clocks_time(alias: str):
    with frozen(NOON) as clock:
        assert post_on(alias).stored == NOON
        connections[alias].close()
        if alias != "postgresql":
            assert asked(alias) == NOON
        connections[alias].close()
        clock.move(days=1)
        assert post_on(alias, "second").stored == NOON + timedelta(days=1)
    assert is_real(asked(alias))
    with frozen(NOON):
        asked(alias)
        connections[alias].close()
    assert is_real(asked(alias))


@only_on("default", "mariadb", transaction=True)
def test_other_threads_connections_follow_from_statement_to_statement(alias: str, execute: Callable[..., Any]):
    """Also one that was open before the clock; it gets its own time back, though nobody can tell it at the end."""
    with ThreadPoolExecutor(1) as thread:
        try:
            assert is_real(thread.submit(asked, alias).result())
            with frozen(NOON) as clock:
                assert thread.submit(asked, alias).result() == NOON
                clock.move(hours=1)
                assert thread.submit(asked, alias).result() == NOON + timedelta(hours=1)
                assert asked(alias) == NOON + timedelta(hours=1)
            assert CursorWrapper.execute is not execute
            assert is_real(thread.submit(asked, alias).result())
            assert CursorWrapper.execute is execute
            with frozen(NOON):
                assert thread.submit(asked, alias).result() == NOON
                thread.submit(connections.close_all).result()
            assert CursorWrapper.execute is execute
            assert is_real(thread.submit(asked, alias).result())
        finally:
            thread.submit(connections.close_all).result()


@on_engines(transaction=False)
def test_a_clock_at_real_time_leaves_the_database_alone_until_it_is_moved(alias: str, execute: Callable[..., Any]):
    with ticking() as clock:
        assert is_real(asked(alias))
        assert CursorWrapper.execute is execute
        clock.freeze(NOON)
        assert post_on(alias).stored == NOON
    assert CursorWrapper.execute is execute


@on_engines(transaction=False)
def test_nothing_of_django_stays_replaced(alias: str, execute: Callable[..., Any]):
    owners = (
        Now,
        TransactionNow,
        DatabaseDefault,
        CursorWrapper,
        type(connections[alias]).SchemaEditorClass.__mro__[1],
    )
    before = [dict(vars(owner)) for owner in owners]
    with frozen(NOON), frozen(NOON):
        post_on(alias)
        assert [dict(vars(owner)) for owner in owners[:4]] != before[:4]
    assert [dict(vars(owner)) for owner in owners] == before


@on_engines(transaction=True)
@isolate_apps("tests.testing.blog")
def test_a_table_that_is_made_under_a_clock_gets_its_default_as_ever(alias: str):
    class Draft(models.Model):  # noqa: DJ008
        begun = models.DateTimeField(db_default=Now())
        note = models.CharField(max_length=10)

        class Meta:
            app_label = "blog"

    with frozen(NOON), connections[alias].schema_editor() as editor:
        editor.create_model(Draft)
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("INSERT INTO blog_draft (note) VALUES ('x')")
        assert is_real(Draft.objects.using(alias).get().begun)
        with frozen(NOON):
            assert Draft.objects.using(alias).create(note="y").begun == NOON
    finally:
        with connections[alias].schema_editor() as editor:
            editor.delete_model(Draft)


class WithTestCase(TestCase):
    """As in a project with ``manage.py test``."""

    @classmethod
    def setUpTestData(cls) -> None:
        with frozen(NOON):
            cls.post = post_on("default")

    def test_rows_keep_the_time_that_they_were_made_at(self) -> None:
        self.assertEqual(Post.objects.get().stored, NOON)
        self.assertFalse(self.post.takes_comments)

    @frozen(NOON)
    def test_a_decorated_test_has_it_in_the_database(self) -> None:
        with self.assertNumQueries(1):
            self.assertTrue(Post.objects.filter(created=Now()).exists())

    @frozen(NOON)
    async def test_an_async_test_has_it_in_the_database(self) -> None:
        self.assertEqual((await Post.objects.aget(created=Now())).slug, "first")
        self.assertTrue((await Post.objects.aget()).takes_comments)

    async def test_an_async_body_has_it_in_the_database(self) -> None:
        async with frozen(NOON) as clock:
            clock.move(days=1)
            await Post.objects.aupdate(published=Now())
        self.assertEqual((await Post.objects.aget()).published, NOON + timedelta(days=1))
        self.assertFalse((await Post.objects.aget()).takes_comments)

"""``backdate``: other dates for rows that exist."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from django.db import connections, models
from django.db.models.signals import post_save, pre_save
from django.test import TestCase, override_settings
from django.test.utils import isolate_apps
from django.utils import timezone as django_timezone

from fieldstone.testing.clock import backdate, frozen
from tests.testing.blog.models import Author, Post
from tests.testing.conftest import on_engines

THEN = datetime(2001, 9, 9, 1, 46, 40, 123_456, UTC)
DATES = "Post has these dates: created, modified, day, published, stored."


def post_on(alias: str, slug: str = "first") -> Post:
    author = Author.objects.using(alias).get_or_create(name="Ada")[0]
    return Post.objects.using(alias).create(author=author, slug=slug)


@on_engines(transaction=False)
def test_dates_that_django_sets_itself_are_set_in_the_row_and_on_the_instance(alias: str):
    post, other = post_on(alias), post_on(alias, "other")
    before = Post.objects.using(alias).filter(pk=other.pk).values().get()
    post.title = "not saved"
    assert backdate(post, created=THEN, modified=THEN, stored=THEN, day=date(2001, 9, 8)) is post
    for each in (post, Post.objects.using(alias).get(pk=post.pk)):
        assert each.created == each.modified == each.stored == THEN
        assert each.day == date(2001, 9, 8)
        assert django_timezone.now() - each.published < timedelta(hours=1)
    assert post.title == "not saved"
    assert Post.objects.using(alias).get(pk=post.pk).title == ""
    assert Post.objects.using(alias).filter(pk=other.pk).values().get() == before


@on_engines(transaction=False)
def test_a_timedelta_is_so_long_ago(alias: str):
    with frozen("2026-03-01T12:00Z"):
        post = backdate(post_on(alias), modified=timedelta(days=30, seconds=1), day=timedelta(days=1))
        assert post.modified == datetime(2026, 1, 30, 11, 59, 59, tzinfo=UTC)
        assert post.day == date(2026, 2, 28)
        assert not post.takes_comments
        assert backdate(post, modified=timedelta(days=30, seconds=-1)).takes_comments
        assert Post.objects.using(alias).get().takes_comments


@on_engines(transaction=True)
@isolate_apps("tests.testing.blog")
def test_fields_of_an_inherited_model_are_set_in_the_table_that_has_them(alias: str):
    class Note(models.Model):  # noqa: DJ008
        changed = models.DateTimeField(auto_now=True)

        class Meta:
            app_label = "blog"

    class Reminder(Note):  # noqa: DJ008
        due = models.DateField()

        class Meta:
            app_label = "blog"

    with connections[alias].schema_editor() as editor:
        editor.create_model(Note)
        editor.create_model(Reminder)
    try:
        reminders = Reminder.objects.using(alias)
        reminder = reminders.create(due=date(2026, 3, 1))
        backdate(reminder, changed=THEN)
        assert reminders.get().changed == THEN
        backdate(reminder, changed=timedelta(0), due="2001-09-09")
        assert reminders.get().changed > THEN
        assert reminders.get().due == reminder.due == date(2001, 9, 9)
        reminders.all().delete()
        with pytest.raises(Reminder.DoesNotExist):
            backdate(reminder, changed=THEN)
    finally:
        with connections[alias].schema_editor() as editor:
            editor.delete_model(Reminder)
            editor.delete_model(Note)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("moment", "published", "day"),
    [
        ("2026-03-01", datetime(2026, 2, 28, 15, tzinfo=UTC), date(2026, 3, 1)),
        (date(2026, 3, 1), datetime(2026, 2, 28, 15, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 3, 1, 12), datetime(2026, 3, 1, 3, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 2, 28, 20, tzinfo=UTC), datetime(2026, 2, 28, 20, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 3, 1, tzinfo=timezone.max), datetime(2026, 2, 28, 0, 1, tzinfo=UTC), date(2026, 2, 28)),
    ],
)
def test_moments_and_days_are_of_djangos_current_time_zone(moment: object, published: datetime, day: date):
    with django_timezone.override("Asia/Tokyo"):
        backdate(post_on("default"), published=moment, day=moment)
    assert Post.objects.values_list("published", "day").get() == (published, day)


@pytest.mark.django_db
@override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo")
def test_without_use_tz_datetimes_are_naive():
    post = backdate(post_on("default"), published=datetime(2026, 3, 1, 3, tzinfo=UTC), created="2026-03-01 12:00")
    assert post.published == post.created == datetime(2026, 3, 1, 12)
    assert Post.objects.values_list("published", "created").get() == (datetime(2026, 3, 1, 12),) * 2


@pytest.mark.django_db
def test_no_signal_is_sent_and_one_update_is_made(django_assert_num_queries):
    post = post_on("default")

    def sent(**kwargs: object) -> None:
        raise AssertionError("save() was called")

    pre_save.connect(sent)
    post_save.connect(sent)
    try:
        with django_assert_num_queries(1):
            backdate(post, modified=THEN, day=THEN)
    finally:
        pre_save.disconnect(sent)
        post_save.disconnect(sent)


@pytest.mark.django_db
def test_what_cannot_be_set_is_said_before_anything_is_set():
    post = post_on("default")
    before = Post.objects.values().get()
    for fields, kind, message in (
        (
            {},
            TypeError,
            f"backdate() sets nothing: say what to, as in backdate(post, created=timedelta(days=30)). {DATES}",
        ),
        ({"modifed": THEN}, TypeError, f"Post has no field 'modifed' to backdate. {DATES}"),
        ({"title": THEN}, TypeError, f"backdate() sets dates, and Post.title is of type CharField. {DATES}"),
        ({"author": THEN}, TypeError, f"backdate() sets dates, and Post.author is of type ForeignKey. {DATES}"),
        (
            {"comments": THEN},
            TypeError,
            f"backdate() sets dates, and Post.comments is of type ManyToOneRel. {DATES}",
        ),
        (
            {"modified": None},
            TypeError,
            "None is not a moment, but of type NoneType. Give a datetime, a date, or ISO",
        ),
        (
            {"modified": "soon"},
            ValueError,
            "'soon' is not a moment: Invalid isoformat string: 'soon'. Give a datetime",
        ),
    ):
        with pytest.raises(kind) as caught:
            backdate(post, **{"created": THEN, **fields} if fields else {})
        assert str(caught.value).startswith(message)
    assert Post.objects.values().get() == before
    assert post.created != THEN
    with pytest.raises(TypeError, match=r"backdate\(\) takes an instance of a model, and got 'post'."):
        backdate("post", modified=THEN)
    with pytest.raises(
        TypeError, match=r"Author has no field 'made' to backdate\. Author has these dates: none\."
    ):
        backdate(post.author, made=THEN)


@pytest.mark.django_db
def test_a_row_is_needed():
    post = post_on("default")
    unsaved = "backdate() changes a row, and this Post has none: save it first."
    with pytest.raises(ValueError) as caught:
        backdate(Post(author=post.author, slug="new"), modified=THEN)
    assert str(caught.value) == unsaved
    Post.objects.filter(pk=post.pk).delete()
    with pytest.raises(Post.DoesNotExist) as caught:
        backdate(post, modified=THEN)
    assert str(caught.value) == (
        f"backdate() found no row of Post with the primary key {post.pk} in the database 'default': "
        "it was deleted, or is not written yet."
    )
    assert post.modified != THEN
    again = post_on("default")
    again.delete()
    with pytest.raises(ValueError) as caught:
        backdate(again, modified=THEN)
    assert str(caught.value) == unsaved


class WithTestCase(TestCase):
    def test_comments_are_closed_for_a_post_of_long_ago(self) -> None:
        post = backdate(post_on("default"), modified=timedelta(days=31))
        self.assertFalse(Post.objects.get().takes_comments)
        post.save()
        self.assertTrue(Post.objects.get().takes_comments)

"""The fixture and the mark ``clock`` in a project's own pytest run; and Django's own runner without pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FIXTURE_AND_MARK = """
    import asyncio
    from datetime import UTC, date, datetime, timedelta

    import pytest
    from django.db.models.functions import Now
    from django.test import TestCase
    from django.utils import timezone

    from fieldstone.testing.clock import backdate
    from tests.testing.blog.models import Author, Post

    NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
    BEGUN = datetime.now(UTC)

    def is_real():
        return BEGUN <= timezone.now() < BEGUN + timedelta(hours=1)

    @pytest.fixture(scope="session")
    def shared():
        return timezone.now()

    @pytest.fixture
    def post(db):
        return Post.objects.create(author=Author.objects.create(name="Ada"), slug="first")

    SET_UP = []

    @pytest.fixture(scope="session")
    def django_db_setup(django_db_setup):
        SET_UP.append(timezone.now())

    @pytest.mark.django_db
    @pytest.mark.clock("2026-03-01T12:00Z")
    def test_databases_are_set_up_in_real_time():
        assert timezone.now() == NOON and SET_UP[0] >= BEGUN

    @pytest.mark.clock("2026-03-01T12:00Z")
    def test_fixtures_of_the_test_have_the_marks_time_and_shared_ones_have_not(post, shared):
        assert timezone.now() == post.created == post.stored == Post.objects.get(modified=Now()).modified == NOON
        assert shared >= BEGUN

    def test_time_is_real_without_a_mark(post):
        assert is_real() and post.created >= BEGUN

    @pytest.mark.clock("2026-03-01T12:00Z")
    @pytest.mark.parametrize("days", [29, 31])
    def test_the_fixture_is_the_marks_clock(post, clock, days):
        clock.move(days=days)
        assert post.takes_comments is (days == 29)

    def test_the_fixture_is_real_until_it_is_moved(clock, post):
        assert is_real() and post.takes_comments
        clock.move(days=31)
        assert not post.takes_comments
        clock.freeze("2026-03-01T12:00Z")
        post.save()
        assert post.modified == clock.now == timezone.now() == NOON

    @pytest.mark.clock("2026-03-01T12:00Z", tick=True)
    def test_the_mark_can_tick():
        first = timezone.now()
        while timezone.now() == first:
            pass
        assert NOON <= first < NOON + timedelta(hours=1)

    @pytest.mark.clock
    def test_the_mark_alone_freezes_now():
        assert timezone.now() == timezone.now() and is_real()

    @pytest.mark.clock("2026-03-01T12:00Z")
    class TestOfAClass:
        def test_has_the_mark_of_its_class(self):
            assert timezone.now() == NOON

        @pytest.mark.clock("2026-04-01T12:00Z")
        def test_may_have_one_of_its_own(self, db):
            assert timezone.now() == NOON + timedelta(days=31)

    @pytest.mark.clock("2026-03-01T12:00Z")
    class TestOfUnittest(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.begun = timezone.now()

        def setUp(self):
            self.post = Post.objects.create(author=Author.objects.create(name="Ada"), slug="first")

        def test_has_the_mark_in_its_setup(self):
            assert self.post.created == timezone.now() == NOON and self.begun >= BEGUN

        async def test_has_it_when_async(self):
            assert (await Post.objects.aget()).created == timezone.now() == NOON

    @pytest.mark.asyncio
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.clock("2026-03-01T12:00Z")
    async def test_async_tests_have_the_marks_time_in_the_databases_thread(clock):
        author = await Author.objects.acreate(name="Ada")
        post = await Post.objects.acreate(author=author, slug="first")
        await asyncio.sleep(0.001)  # the loop's own clock still runs
        clock.move(days=31)
        assert post.stored == post.created == NOON and not post.takes_comments
        assert (await Post.objects.aget(modified__lt=Now())).pk == post.pk

    @pytest.mark.asyncio
    async def test_async_tests_have_real_time_after_it():
        assert is_real()

    @pytest.mark.django_db(databases=["default", "history"])
    def test_backdate_writes_to_the_instances_own_database():
        posts = {}
        for alias in ("default", "history"):
            author = Author.objects.using(alias).create(pk=1, name="Ada")
            posts[alias] = Post.objects.using(alias).create(pk=1, author=author)
        backdate(posts["history"], modified=NOON)
        assert Post.objects.using("history").get().modified == NOON
        assert Post.objects.get().modified == posts["default"].modified >= BEGUN

    def test_django_is_as_it_was_after_all_these(db):
        assert "STRFTIME" in str(Post.objects.annotate(now=Now()).query) and is_real()
"""


def test_the_fixture_and_the_mark_set_the_time_of_tests_and_their_fixtures(
    project: Callable[..., pytest.RunResult],
):
    strict = ("-W", "error", "--strict-markers", "-o", "asyncio_default_fixture_loop_scope=function")
    project(FIXTURE_AND_MARK, *strict).assert_outcomes(passed=16)


def test_a_mark_that_says_no_moment_is_explained(project: Callable[..., pytest.RunResult]):
    result = project(
        """
        import pytest

        @pytest.mark.clock("1st of March")
        def test_of_text():
            pass

        @pytest.mark.clock(20260301)
        def test_of_number():
            pass

        @pytest.mark.clock("2026-03-01", ticks=True)
        def test_of_spelling():
            pass
        """,
    )
    result.assert_outcomes(errors=3)
    give = "Give a datetime, a date, or ISO text such as *"
    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.clock of test_blog.py::test_of_text: '1st of March' is not a moment: "
            f"Invalid isoformat string: '1st of March'. {give}",
            "@pytest.mark.clock of test_blog.py::test_of_number: "
            f"20260301 is not a moment, but of type int. {give}",
            "@pytest.mark.clock of test_blog.py::test_of_spelling: give it a moment, and tick=True where time*",
        ]
    )
    assert "During handling" not in str(result.stdout)


def test_the_mark_is_listed_with_what_it_takes(project: Callable[..., pytest.RunResult]):
    project("", "--markers").stdout.fnmatch_lines(["@pytest.mark.clock(moment=None, tick=False): *"])


def test_it_works_without_django_settings(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    pytester.makepyfile(
        """
        from datetime import UTC, datetime

        import pytest
        from django.conf import settings

        @pytest.mark.clock("2026-03-01 12:00")
        def test_mark():
            assert datetime.now(UTC) == datetime(2026, 3, 1, 12, tzinfo=UTC)

        def test_fixture(clock):
            clock.freeze("2026-03-01 12:00")
            assert datetime.now(UTC) == datetime(2026, 3, 1, 12, tzinfo=UTC)
            assert not settings.configured
        """
    )
    for others in ((), ("-p", "no:django")):
        pytester.runpytest_subprocess(*others, "-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_a_projects_own_fixture_of_that_name_leaves_the_mark_alone(project: Callable[..., pytest.RunResult]):
    result = project(
        """
        from datetime import date

        import pytest

        @pytest.fixture
        def clock():
            return "on the wall"

        @pytest.mark.clock("2026-03-01")
        def test_both(clock):
            assert clock == "on the wall" and date.today() == date(2026, 3, 1)
        """,
    )
    result.assert_outcomes(passed=1)


def test_djangos_own_runner_needs_no_pytest(tmp_path: Path):
    (tmp_path / "test_plain.py").write_text(
        """
import sys
from datetime import timedelta

from django.db.models.functions import Now
from django.test import TestCase
from django.utils import timezone

from fieldstone.testing.clock import backdate, frozen
from tests.testing.blog.models import Author, Post

@frozen("2026-03-01 12:00")
class Comments(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.post = Post.objects.create(author=Author.objects.create(name="Ada"), slug="first")

    def test_are_open_today(self):
        self.assertTrue(self.post.takes_comments)
        self.assertEqual(Post.objects.get(created=Now()).stored, timezone.now())

    def test_close_after_a_month(self):
        with frozen("2026-04-01 12:00"):
            self.assertFalse(self.post.takes_comments)

    async def test_are_closed_for_an_old_post(self):
        with self.assertRaises(SyncIsRefused):
            backdate(self.post, modified=timedelta(days=31))
        await sync_to_async(backdate)(self.post, modified=timedelta(days=31))
        self.assertFalse((await Post.objects.aget()).takes_comments)

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation as SyncIsRefused
"""
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tests.testing.project"}
    command = [sys.executable, "-W", "error", "-m", "django", "test"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Ran 3 tests" in run.stderr

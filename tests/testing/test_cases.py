"""The kit for plain test cases, run without pytest, and what importing it brings along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.test import TestCase
from tests.testing.blog.models import Author
from fieldstone.testing import TestKit, expect_db_error, query_budget

MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Kit(TestKit, TestCase):
    frozen_at = MARCH

    def setUp(self):
        self.ada = Author.objects.create(name="ada")
        self.greeted = []

    def test_the_clock_stands_when_set_up_begins(self):
        post = self.ada.posts.create(slug="first")
        self.assertEqual(post.created, MARCH)
        self.clock.move(days=31)
        self.assertFalse(post.takes_comments)

    test_it_stands_there_again_in_the_next_test = test_the_clock_stands_when_set_up_begins

    def test_callbacks_run_at_the_commit(self):
        with transaction.atomic():
            transaction.on_commit(lambda: self.greeted.append("ada"))
            self.assertEqual(self.greeted, [])
        self.assertEqual(self.greeted, ["ada"])
        self.assertEqual(len(self.commit_callbacks.ran), 1)

    def test_more_queries_follow_an_expected_error(self):
        with expect_db_error(IntegrityError, columns="name"):
            Author.objects.create(name="ada")
        self.enterContext(query_budget(1))
        self.assertEqual(Author.objects.count(), 1)

    async def test_coroutines_too(self):
        post = await self.ada.posts.acreate(slug="first")
        self.clock.move(days=31)
        self.assertFalse(post.takes_comments)
        self.assertEqual(post.stored, MARCH)

    def test_what_broke_is_named(self):
        try:
            Author.objects.create(name="ada")
        except IntegrityError:
            pass
        Author.objects.count()


class RealTime(TestKit, TestCase):
    def test_without_a_moment_time_runs(self):
        began = self.clock.now
        self.assertGreater(began, datetime(2026, 3, 2, tzinfo=UTC))
        self.clock.freeze(MARCH)
        self.assertEqual(self.clock.now, MARCH)
"""


def test_test_cases_have_the_whole_kit(tmp_path):
    (tmp_path / "test_plain.py").write_text(TESTS)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.testing.project", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "django", "test", "--verbosity=2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert "Ran 7 tests" in done.stderr
    assert "FAILED (errors=1)" in done.stderr, done.stderr
    failure = done.stderr.partition("ERROR: test_what_broke_is_named")[2]
    assert "BrokenTransaction: An earlier error broke the transaction of 'default'" in failure
    assert "IntegrityError: UNIQUE constraint failed" in failure
    line = TESTS.partition("try:")[0].count("\n") + 2
    assert f"test_plain.py:{line} in Kit.test_what_broke_is_named" in failure


WRONG = """
from django.test import SimpleTestCase
from fieldstone.testing import TestKit


class Wrong(TestKit, SimpleTestCase):
    frozen_at = "2026-13-01"
"""
RIGHT = """
from django.test import SimpleTestCase


class Right(SimpleTestCase):
    def test_passes(self):
        pass
"""


def test_a_wrong_moment_is_the_error_of_its_module_alone(tmp_path):
    (tmp_path / "test_wrong.py").write_text(WRONG)
    (tmp_path / "test_right.py").write_text(RIGHT)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.testing.project", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "django", "test"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert "Ran 2 tests" in done.stderr and "FAILED (errors=1)" in done.stderr, done.stderr
    assert "ValueError: Wrong.frozen_at: '2026-13-01' is not a moment" in done.stderr


AROUND = """
import pytest
from datetime import datetime
from django.test import SimpleTestCase
from fieldstone.testing import TestKit, frozen, query_budget

NEW_YEAR = "2020-01-01 12:00"


def stands():
    first = datetime.now()
    while sum(range(1000)) < 0:
        pass
    return first.year == 2020 and first == datetime.now()


@frozen(NEW_YEAR)
class TestDecorated(TestKit, SimpleTestCase):
    def test_time_stands(self):
        assert stands()


class TestMarked(TestKit, SimpleTestCase):
    frozen_at = "2026-03-01"

    @pytest.mark.clock(NEW_YEAR)
    def test_the_mark_is_nearer(self):
        assert stands()


@pytest.fixture
@frozen(NEW_YEAR)
def new_year():
    yield datetime.now()


def test_the_clock_fixture_stands_where_time_does(new_year, clock):
    assert stands()
    clock.tick()
    assert clock.now.year == new_year.year == 2020


@frozen(NEW_YEAR)
class TestMethods:
    model = SimpleTestCase

    @staticmethod
    def test_static():
        assert stands()

    @classmethod
    def test_of_class(cls):
        assert stands()


def test_real_time_is_back():
    assert datetime.now().year > 2020


def test_debug_holds_too():
    class Case(TestKit, SimpleTestCase):
        frozen_at = NEW_YEAR

        def test(self):
            assert stands() and self.clock.now.year == 2020

    Case("test").debug()
"""


def test_what_is_set_around_a_test_stays_as_it_is(project):
    project(AROUND).assert_outcomes(passed=7)


PATCHES = """
from unittest import mock
import pytest
from django.db import OperationalError, connection, transaction
from django.test import TransactionTestCase
from fieldstone.testing import query_budget
from tests.testing.blog.models import Author


class TestMocks(TransactionTestCase):
    def test_a_commit_that_fails(self):
        with mock.patch.object(connection, "_commit", side_effect=OperationalError("gone")):
            with self.assertRaises(OperationalError), transaction.atomic():
                Author.objects.create(name="ada")

    def test_wrappers_that_are_thrown_away(self):
        connection.execute_wrappers.clear()

    def test_a_mock_around_a_tool(self):
        with mock.patch.object(connection, "_commit"), query_budget(1):
            Author.objects.create(name="ada")

    def test_a_tool_around_a_mock(self):
        with query_budget(1), mock.patch.object(connection, "_commit"):
            Author.objects.create(name="ada")

    def test_the_next_tests_go_on(self):
        with query_budget(1), transaction.atomic():
            Author.objects.create(name="ada")
"""


def test_mocks_of_a_connection_do_not_end_the_run(project):
    project(PATCHES, "-W", "error").assert_outcomes(passed=5)


@pytest.mark.parametrize("missing", ["", "time_machine", "pytest", "hypothesis"])
def test_importing_it_needs_nothing_and_touches_neither_settings_nor_models(missing):
    code = f"""
import sys
if {missing!r}:
    sys.modules[{missing!r}] = None
import fieldstone.testing
from django.conf import settings
brought = [name for name in ("pytest", "hypothesis", "time_machine") if sys.modules.get(name)]
parts = {{".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("fieldstone.")}}
print(settings.configured, "django.contrib.contenttypes.models" in sys.modules, brought, parts)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False False [] {'fieldstone.testing'}\n", done.stderr

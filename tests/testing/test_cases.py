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

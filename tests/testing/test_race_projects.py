"""Races in a project of its own: SQLite as Django sets it up, in memory and in a file, with pytest and without."""

from __future__ import annotations

import sys
import textwrap

COUNTERS = """
    import threading
    from functools import partial

    import pytest
    from django.db import OperationalError, connection, transaction
    from django.db.models import F
    from django.test import TransactionTestCase

    from fieldstone.testing.races import RaceError, RaceFound, race
    from tests.testing.blog.models import Counter

    db = pytest.mark.django_db(transaction=True)


    def increment():
        counter = Counter.objects.get(name="hits")
        counter.count += 1
        counter.save()


    def in_transaction():
        with transaction.atomic():
            increment()


    def reckoned():
        Counter.objects.update(count=F("count") + 1)
"""

IN_MEMORY = (
    COUNTERS
    + """
    @db
    def test_lost():
        Counter.objects.create(name="hits")
        race(increment, increment)


    @db
    def test_locked():
        Counter.objects.create(name="hits")
        race(in_transaction, in_transaction)


    @db
    def test_fine():
        Counter.objects.create(name="hits")
        threads = threading.active_count()
        assert race(reckoned, reckoned).engine == "SQLite"
        assert Counter.objects.get().count == 0
        assert threading.active_count() == threads


    @db
    def test_a_writer_waits_for_a_writer():
        def write(name):
            with transaction.atomic():
                Counter.objects.create(name=name)
                Counter.objects.filter(name=name).update(count=1)

        report = race(partial(write, "x"), partial(write, "y"))
        assert report.lock_waits and not report.findings


    @pytest.mark.django_db(transaction=True, databases=["default", "history"])
    def test_both_databases():
        def write(*aliases):
            for alias in aliases:
                counter = Counter.objects.using(alias).get()
                Counter.objects.using(alias).update(count=counter.count + 1)

        for alias in ("default", "history"):
            Counter.objects.using(alias).create(name="hits")
        with pytest.raises(RaceFound) as caught:
            race(partial(write, "history"), partial(write, "default", "history"), using=["default", "history"])
        assert "history: blog_counter" in str(caught.value)
        assert "default: UPDATE blog_counter" in str(caught.value)

    @pytest.mark.django_db
    def test_refused():
        race(increment, increment)


    class Plain(TransactionTestCase):
        def test_plain(self):
            Counter.objects.create(name="hits")
            with self.assertRaisesRegex(RaceFound, "lost update: 4"):
                race(increment, increment)
"""
)

IN_A_FILE = (
    COUNTERS
    + """
    @db
    def test_locked():
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=" + MODE)
        Counter.objects.create(name="hits")
        with pytest.raises(RaceFound) as caught:
            race(in_transaction, in_transaction)
        report = caught.value.report
        assert not report.lost_updates and not report.anomalies and not report.deadlocks
        assert {type(each.error) for each in report.errors} == {OperationalError}
        assert all("database is locked" in str(each.error) for each in report.errors)
        assert "SQLite lets no transaction that has read wait to write." in str(caught.value)
        assert not race(in_transaction, in_transaction, allow=[OperationalError]).failures
        assert not race(reckoned, reckoned).findings


    @db
    def test_a_commit_waits_for_readers():
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=" + MODE)
        Counter.objects.create(name="hits")

        def read():
            with transaction.atomic():
                return [Counter.objects.get().count, Counter.objects.get().count]

        report = race(reckoned, read)
        assert {tuple(each.outcomes["b"].value) for each in report.interleavings} == {(0, 0), (1, 1)}
        assert bool(report.lock_waits) is (MODE == "DELETE")
"""
)

FILE = """
    from tests.testing.project import *

    DATABASES = {"default": {
        "ENGINE": "django.db.backends.sqlite3", "NAME": "blog.sqlite3", "TEST": {"NAME": "test.sqlite3"},
    }}
"""


def test_a_database_in_memory_is_shared_by_the_actors(project):
    """As Django's own test database is. What is refused there is tried again."""
    result = project(IN_MEMORY, "-W", "error")
    result.assert_outcomes(passed=4, failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *race() was called inside the transaction of a TestCase on 'default'. *",
            "*RaceFound: On SQLite, 4 of all 6 interleavings of a (increment) and b (increment) went wrong:",
            "E *lost update: 4",
            "E *Lost update, in order abba: the end state is as if b had never run.",
            "E *1  a  SELECT * FROM blog_counter WHERE name = 'hits' LIMIT 21 *test_blog.py:* in increment",
            'E *Replay:  race(increment, increment, order="abba")',
            "E *Deadlock, in order *: b waited for a, a waited for b; the database chose b to fail.",
        ]
    )
    result.stdout.no_fnmatch_line("*src/fieldstone/testing/races/*")


def test_a_database_in_a_file_refuses_readers_that_want_to_write(project):
    """With each of the two journals, as the engine would by itself."""
    for mode in ("DELETE", "WAL"):
        result = project(f"MODE = {mode!r}\n" + textwrap.dedent(IN_A_FILE), "--ds=in_a_file", in_a_file=FILE)
        result.assert_outcomes(passed=2)


def test_importing_it_needs_no_settings_no_pytest_and_no_hypothesis(pytester):
    """It is part of a kit for plain TestCases too."""
    code = (
        "import sys, fieldstone.testing.races; from django.conf import settings;"
        "sys.exit(settings.configured or bool({'pytest', 'hypothesis', 'time_machine'} & set(sys.modules)))"
    )
    assert pytester.run(sys.executable, "-c", code).ret == 0

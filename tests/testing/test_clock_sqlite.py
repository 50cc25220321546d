"""SQLite's functions under a clock: another now, and all else as SQLite has it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldstone.testing.clock import frozen
from tests.testing.test_clock_databases import NOON, is_real

LAST = "2026-03-01 12:00:00.250"
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
times = st.one_of(
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(str),
    st.floats(0, 5_000_000),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(["12:30", "nonsense", "", None, b"2026-03-01", " now", "now "]),
)
modifiers = st.lists(
    st.sampled_from(
        ["+1 day", "-3 months", "start of month", "weekday 1", "unixepoch", "localtime", "utc", "what"]
    ),
    max_size=3,
)
FUNCTIONS = ["date", "time", "datetime", "julianday", "unixepoch"]
FORMAT = "%Y-%m-%d %H:%M:%f %s %J %w %j"

pytestmark = pytest.mark.django_db


@pytest.fixture
def plain() -> Iterator[sqlite3.Connection]:
    """One that no clock knows of."""
    with closing(sqlite3.connect(":memory:")) as plain:
        yield plain


@pytest.fixture
def fresh() -> Iterator[BaseDatabaseWrapper]:
    """A connection of Django's, as that of another thread."""
    fresh = connection.copy()
    yield fresh
    fresh.close()


def one(of: object, sql: str, params: list[object]) -> object:
    cursor = of.cursor() if of is connection else of
    return cursor.execute(sql.replace("?", "%s") if of is connection else sql, params).fetchone()[0]


def same_on_both(plain: sqlite3.Connection, call: str, params: list[object], plains: list[object]) -> None:
    assert one(connection, f"SELECT {call}", params) == one(plain, f"SELECT {call}", plains)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    moment=moments,
    modifiers=modifiers,
    name=st.sampled_from(FUNCTIONS),
    word=st.sampled_from(["now", "NOW", "Now"]),
)
def test_now_is_the_clocks(
    plain: sqlite3.Connection, moment: datetime, modifiers: list[str], name: str, word: str
):
    """As SQLite computes it from the moment's text, in thousandths of a second."""
    text = f"{moment.replace(tzinfo=None).isoformat(' ', 'milliseconds')}"
    more = ", ?" * len(modifiers)
    with frozen(moment):
        same_on_both(plain, f"{name}(?{more})", [word, *modifiers], [text, *modifiers])
        same_on_both(plain, f"strftime(?, ?{more})", [FORMAT, word, *modifiers], [FORMAT, text, *modifiers])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(time=times, modifiers=modifiers, name=st.sampled_from(FUNCTIONS))
def test_other_times_are_what_sqlite_makes_of_them(
    plain: sqlite3.Connection, time: object, modifiers: list[str], name: str
):
    params, more = [time, *modifiers], ", ?" * len(modifiers)
    with frozen(NOON):
        same_on_both(plain, f"{name}(?{more})", params, params)
        same_on_both(plain, f"strftime(?, ?{more})", [FORMAT, *params], [FORMAT, *params])


@pytest.mark.parametrize(
    ("sql", "result"),
    [
        ("CURRENT_TIMESTAMP", "2026-03-01 12:00:00"),
        ("CURRENT_DATE", "2026-03-01"),
        ("current_time", "12:00:00"),
        ("datetime()", "2026-03-01 12:00:00"),
        ("date()", "2026-03-01"),
        ("time()", "12:00:00"),
        ("unixepoch()", int(NOON.timestamp())),
        ("strftime('%%Y-%%m-%%d %%H:%%M:%%f')", LAST),
        ("strftime('%%Y', NULL)", None),
        ("strftime()", None),
        ("date('+1 day')", None),
        ("round((julianday() - julianday('2026-03-01')) * 24, 4)", 12.0001),
    ],
)
def test_what_leaves_the_time_out_means_now(sql: str, result: object):
    with frozen(NOON):
        assert one(connection, f"SELECT {sql}", []) == result


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 43), reason="not in this SQLite")
def test_newer_words_for_now_are_the_clocks():
    with frozen(NOON):
        assert one(connection, "SELECT datetime('subsec')", []) == LAST
        assert one(connection, "SELECT timediff('now', '2026-02-28')", []) == "+0000-00-01 12:00:00.250"


def test_columns_that_are_left_out_get_their_default_at_the_clocks_time():
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE kept (id INTEGER PRIMARY KEY, a TEXT DEFAULT CURRENT_TIMESTAMP, "
            "b TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'NOW')), c TEXT DEFAULT CURRENT_DATE)"
        )
        with frozen(NOON):
            cursor.execute("INSERT INTO kept DEFAULT VALUES")
        cursor.execute("INSERT INTO kept DEFAULT VALUES")
        first, second = cursor.execute("SELECT a, b, c FROM kept ORDER BY id").fetchall()
    assert first == ("2026-03-01 12:00:00", LAST, "2026-03-01")
    assert is_real(datetime.fromisoformat(second[1]).replace(tzinfo=UTC))


def test_an_index_and_a_check_of_dates_stay_in_use():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE dated (at TEXT CHECK (date(at) IS NOT NULL))")
        cursor.execute("CREATE INDEX temp.of_days ON dated (date(at))")
        with frozen(NOON):
            cursor.execute("INSERT INTO dated VALUES ('2026-03-01 01:00')")
            found = cursor.execute("SELECT at FROM dated WHERE date(at) = date('now')").fetchall()
            plan = cursor.execute(
                "EXPLAIN QUERY PLAN SELECT at FROM dated WHERE date(at) = date('now')"
            ).fetchone()
    assert found == [("2026-03-01 01:00",)]
    assert "of_days" in plan[-1]


def test_time_stands_still_for_the_length_of_a_statement():
    with frozen(NOON) as clock, connection.cursor() as cursor:
        clock.tick()
        cursor.execute(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT julianday('now') FROM n"
        )
        assert len(set(cursor.fetchall())) == 1


def test_a_query_that_is_being_read_when_the_clock_begins_is_read_on(fresh: BaseDatabaseWrapper):
    """SQLite takes no functions meanwhile: its own time changes with the first statement after that."""
    with closing(fresh.cursor()) as reading, closing(fresh.cursor()) as asking:
        reading.execute("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT i FROM n")
        assert reading.fetchone() == (1,)
        with frozen(NOON):
            assert one(asking, "SELECT date('now')", []) != "2026-03-01"
            assert len(reading.fetchall()) == 499
            assert one(asking, "SELECT date('now')", []) == "2026-03-01"
        assert one(asking, "SELECT date('now')", []) != "2026-03-01"


def test_a_schema_that_is_not_trusted_is_left_alone(fresh: BaseDatabaseWrapper):
    """SQLite would refuse its defaults, were they of functions that are not its own."""
    with fresh.cursor() as cursor:
        cursor.execute("PRAGMA trusted_schema = OFF")
        cursor.execute("CREATE TEMP TABLE kept (id INTEGER PRIMARY KEY, a TEXT DEFAULT CURRENT_TIMESTAMP)")
        with frozen(NOON):
            cursor.execute("INSERT INTO kept DEFAULT VALUES")
            assert not one(cursor, "SELECT a FROM kept", []).startswith("2026-03-01")

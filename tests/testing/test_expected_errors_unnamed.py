"""Constraints that have no name of Django's making, and texts of MySQL, of which no server runs here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connections, transaction

from fieldstone.testing.transactions import OtherConstraint, Violation, expect_db_error
from fieldstone.testing.transactions.violations import read
from tests.testing.conftest import on_engines

KEY = "integer PRIMARY KEY"
VOTES = f"CREATE TABLE votes (id {KEY}, up integer CHECK (up >= 0), down integer, UNIQUE (up, down))"
BALLOTS = f"CREATE TABLE ballots (id {KEY}, vote_id integer NOT NULL, FOREIGN KEY (vote_id) REFERENCES votes (id))"


@pytest.fixture
def cursor(alias):
    """With tables that no model of Django's made."""
    with connections[alias].cursor() as cursor:
        try:
            for sql in (VOTES, BALLOTS, "INSERT INTO votes VALUES (1, 1, 1)"):
                cursor.execute(sql)
            yield cursor
        finally:
            cursor.execute("DROP TABLE IF EXISTS ballots")
            cursor.execute("DROP TABLE IF EXISTS votes")


@on_engines(transaction=True)
def test_a_check_without_a_name(alias, cursor):
    with expect_db_error(IntegrityError, columns=["up"], using=alias) as caught:
        cursor.execute("UPDATE votes SET up = -1")
    name = "votes_up_check" if alias == "postgresql" else ""
    assert caught.violation == Violation("check", name, "votes", ("up",))


@on_engines(transaction=True)
def test_a_unique_constraint_without_a_name(alias, cursor):
    with expect_db_error(IntegrityError, columns=["down", "up"], using=alias) as caught:
        cursor.execute("INSERT INTO votes VALUES (2, 1, 1)")
    names = {"default": "", "postgresql": "votes_up_down_key", "mariadb": "up"}
    assert caught.violation == Violation("unique", names[alias], "votes", ("up", "down"))


@on_engines(transaction=True)
def test_a_foreign_key_that_is_checked_at_once(alias, cursor):
    """Where SQLite says nothing but that it was a foreign key, the kind is all there is."""
    with expect_db_error(IntegrityError, using=alias) as caught, transaction.atomic(using=alias):
        cursor.execute("INSERT INTO ballots VALUES (1, 999)")
    names = {"postgresql": "ballots_vote_id_fkey", "mariadb": "ballots_ibfk_1"}
    known = Violation("foreign key", names.get(alias, ""), "ballots", ("vote_id",))
    assert caught.violation == (known if alias in names else Violation("foreign key"))


@on_engines(transaction=True)
def test_the_failure_lists_what_has_no_name(alias, cursor):
    asked = expect_db_error(IntegrityError, columns=["down"], using=alias)
    with pytest.raises(OtherConstraint) as failed, asked:
        cursor.execute("UPDATE votes SET up = -1")
    words = str(failed.value)
    assert "\n\nvotes has\n\n  check " in words
    assert ("  (no name)  " in words) is (alias != "postgresql")


@on_engines(transaction=True)
def test_an_exclusion(alias):
    if alias != "postgresql":
        pytest.skip("PostgreSQL has them")
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bookings (during int4range, CONSTRAINT apart EXCLUDE USING gist (during WITH &&))"
        )
        try:
            cursor.execute("INSERT INTO bookings VALUES ('[1,5)')")
            with expect_db_error(IntegrityError, constraint="apart", using=alias) as caught:
                cursor.execute("INSERT INTO bookings VALUES ('[4,6)')")
        finally:
            cursor.execute("DROP TABLE bookings")
    assert caught.violation == Violation("exclusion", "apart", "bookings", ("during",))


@pytest.mark.parametrize(
    ("number", "words", "violation"),
    [
        (1062, "Duplicate entry 'it's' for key 'blog_author.name'", Violation("unique", "name", "blog_author")),
        (1062, "Duplicate entry '1' for key 'PRIMARY'", Violation("unique", "PRIMARY")),
        (3819, "Check constraint 'likes_positive' is violated.", Violation("check", "likes_positive")),
        (1048, "Column 'title' cannot be null", Violation("not null", columns=("title",))),
        (1364, "Field 'title' doesn't have a default value", Violation("not null", columns=("title",))),
        (1217, "Cannot delete or update a parent row: a foreign key constraint fails", Violation("foreign key")),
        (1690, "BIGINT UNSIGNED value is out of range in '(1 - 2)'", None),
    ],
)
def test_what_mysql_says(number, words, violation):
    mysql = SimpleNamespace(vendor="mysql", mysql_is_mariadb=False)
    assert read(IntegrityError(number, words), mysql) == violation


def test_nothing_is_read_of_an_engine_that_is_not_known():
    assert read(IntegrityError("ORA-00001: unique constraint violated"), SimpleNamespace(vendor="oracle")) is None

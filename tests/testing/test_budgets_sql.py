"""SQL and parameters as the messages of budgets show them, and remedies that the blog has no models for."""

from __future__ import annotations

import datetime
import uuid

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from fieldstone.testing.budgets import QueryBudgetExceeded, query_budget
from fieldstone.testing.budgets.counting import OF_SAVEPOINTS, OF_TRANSACTIONS
from fieldstone.testing.budgets.sql import shape_of, shown
from fieldstone.testing.texts import short_sql


@pytest.mark.parametrize(
    ("sql", "shape"),
    [
        ("SELECT 1\n   FROM a", "SELECT 1 FROM a"),
        ("SELECT a WHERE b IN (%s, %s, %s) AND c = %s", "SELECT a WHERE b IN (%s, ...) AND c = %s"),
        ("INSERT INTO a VALUES (%s, %s), (%s, %s)", "INSERT INTO a VALUES (%s, ...), ..."),
        ("INSERT INTO a VALUES (%s), (%s)", "INSERT INTO a VALUES (%s, ...), ..."),
        ("INSERT INTO a VALUES (%s, %s)", "INSERT INTO a VALUES (%s, ...)"),
        ('SAVEPOINT "s1_x2"', "SAVEPOINT"),
        ("ROLLBACK TO SAVEPOINT `s1_x2`", "ROLLBACK TO SAVEPOINT"),
    ],
)
def test_queries_that_differ_in_lengths_and_names_have_one_shape(sql, shape):
    assert shape_of(sql) == shape


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("SELECT a FROM b", "SELECT a FROM b"),
        (f"SELECT {'a, ' * 20}a FROM b", "SELECT … FROM b"),
        (f"SELECT DISTINCT {'a, ' * 20}a FROM b", "SELECT DISTINCT … FROM b"),
        (
            f"SELECT COUNT(*) FROM b WHERE c IN (SELECT {'a, ' * 20}a FROM d)",
            "SELECT COUNT(*) FROM b WHERE c IN (SELECT … FROM d)",
        ),
        (f"UPDATE a SET {'b = 1, ' * 40}", f"UPDATE a SET {'b = 1, ' * 13}b = 1…"),
    ],
)
def test_a_query_is_one_short_line(sql, line):
    assert short_sql(sql) == line
    assert len(line) <= 110


@pytest.mark.parametrize(
    ("sql", "params", "text"),
    [
        ("SELECT %s", (1,), "(1)"),
        ("SELECT %s, %s", {"a": 1, "b": None}, "(1, None)"),
        ("SELECT %s", (datetime.date(2024, 2, 29),), "(2024-02-29)"),
        ("SELECT %s", ("x" * 30,), f"('{'x' * 21}...')"),
        ("SELECT %s", (b"raw",), "(<bytes>)"),
        ("SELECT %s", range(9), "(0, 1, 2, 3, 4, 5, ...)"),
        ("SELECT 1", None, ""),
        ("SELECT password FROM auth_user WHERE username = %s", ("ada",), "('ada')"),
        ("UPDATE auth_user SET password = %s WHERE id = %s", ("pbkdf2", 7), "(<hidden>, 7)"),
        ("SELECT data FROM django_session WHERE key = %s", ("abc",), "(<hidden>)"),
        ("SELECT id FROM a WHERE access_token = %s", (uuid.UUID(int=1),), "(<hidden>)"),
        ("SELECT id FROM a WHERE token_id = %s", (5,), "(5)"),
    ],
)
def test_parameters_are_short_and_without_secrets(sql, params, text):
    assert shown(sql, params, False) == text


@pytest.mark.parametrize("sql", ["BEGIN", " begin immediate", "COMMIT", "END", "ROLLBACK", "START TRANSACTION"])
def test_words_of_transactions(sql):
    assert OF_TRANSACTIONS.match(sql)
    assert not OF_SAVEPOINTS.match(sql)


@pytest.mark.parametrize("sql", ['SAVEPOINT "a"', "RELEASE a", "ROLLBACK TO a", "ROLLBACK WORK TO SAVEPOINT a"])
def test_words_of_savepoints(sql):
    assert OF_SAVEPOINTS.match(sql)
    assert not OF_TRANSACTIONS.match(sql)


@pytest.mark.parametrize("sql", ["SELECT 'COMMIT'", "ENDING", "UPDATE savepoint SET a = 1"])
def test_words_of_neither(sql):
    assert not OF_TRANSACTIONS.match(sql)
    assert not OF_SAVEPOINTS.match(sql)


@pytest.mark.django_db(transaction=True, available_apps=["tests.testing.blog"])
@isolate_apps("tests.testing.blog")
def test_one_to_one_in_both_directions():
    class Owner(models.Model):
        class Meta:
            app_label = "blog"

        def __str__(self):
            return "owner"

    class Profile(models.Model):
        owner = models.OneToOneField(Owner, models.CASCADE, related_name="profile")

        class Meta:
            app_label = "blog"

        def __str__(self):
            return "profile"

    with connection.schema_editor() as editor:
        editor.create_model(Owner)
        editor.create_model(Profile)
    try:
        for _ in range(3):
            Profile.objects.create(owner=Owner.objects.create())
        with pytest.raises(QueryBudgetExceeded) as failure, query_budget(0):
            assert all(profile.owner for profile in Profile.objects.all())
            assert all(owner.profile for owner in Owner.objects.all())
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Profile)
            editor.delete_model(Owner)
    assert 'Add .select_related("owner") to the query for the Profile objects, at tests/' in str(failure.value)
    assert 'Add .select_related("profile") to the query for the Owner objects, at tests/' in str(failure.value)

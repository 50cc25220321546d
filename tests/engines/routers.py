"""Database routers for the tests, and what they need."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import connections

from fieldstone.store.routing import Home
from fieldstone.store.tables import HISTORY
from tests.conftest import ENGINES


class Divided:
    """States on one alias, history on another."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def db_for_write(self, model, **hints):
        if model._meta.app_label != "fieldstone_store":
            return None
        return self.home.history if model.__name__ == "StudentModuleHistory" else self.home.states

    db_for_read = db_for_write


def each_engine_with_two_databases(test):
    """Run a test on every engine, with the database of history beside that of the states."""
    available = [
        name for engine in ENGINES for name in (engine, f"{engine}_history") if engine in settings.DATABASES
    ]
    test = pytest.mark.parametrize("alias", ENGINES, indirect=True)(test)
    return pytest.mark.django_db(transaction=True, databases=available)(test)


@contextmanager
def refusing(alias, what):
    """The table of history refuses every INSERT or DELETE, for as long as the ``with`` lasts."""
    vendor = connections[alias].vendor
    make, drop = {
        "sqlite": (
            [f"CREATE TRIGGER refuse BEFORE {what} ON {HISTORY} BEGIN SELECT RAISE(ABORT, 'refused'); END"],
            ["DROP TRIGGER refuse"],
        ),
        "postgresql": (
            [
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
                f"CREATE TRIGGER refuse BEFORE {what} ON {HISTORY} FOR EACH ROW EXECUTE FUNCTION refuse()",
            ],
            [f"DROP TRIGGER refuse ON {HISTORY}", "DROP FUNCTION refuse"],
        ),
        "mysql": (
            [
                f"CREATE TRIGGER refuse BEFORE {what} ON {HISTORY} FOR EACH ROW"
                " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'"
            ],
            ["DROP TRIGGER refuse"],
        ),
    }[vendor]
    run_all(alias, make)
    try:
        yield
    finally:
        run_all(alias, drop)


@contextmanager
def without_history_table(alias):
    """The table of history is gone, for as long as the ``with`` lasts."""
    run_all(alias, [f"ALTER TABLE {HISTORY} RENAME TO hidden"])
    try:
        yield
    finally:
        run_all(alias, [f"ALTER TABLE hidden RENAME TO {HISTORY}"])


def run_all(alias, statements):
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)

"""Databases that refuse to save: each fault is the database's own, and is over when its context ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from django.db import connections

from fieldstone.store.tables import STATE
from tests.engines.locks import IMPATIENT, locked

Fault = Callable[[str, str], contextlib.AbstractContextManager[None]]


def _run(alias: str, *statements: str) -> None:
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextlib.contextmanager
def locked_rows(alias: str, table: str) -> Iterator[None]:
    """Another connection holds the rows of the table, which must have some, and this one gives up soon."""
    _run(alias, IMPATIENT[connections[alias].vendor])
    try:
        with locked(alias, table):
            yield
    finally:
        connections[alias].close()


@contextlib.contextmanager
def missing_table(alias: str, table: str) -> Iterator[None]:
    _run(alias, f"ALTER TABLE {table} RENAME TO hidden")
    try:
        yield
    finally:
        _run(alias, f"ALTER TABLE hidden RENAME TO {table}")


@contextlib.contextmanager
def refused_values(alias: str, table: str, text: str = "") -> Iterator[None]:
    """The table refuses to be written what has this text in it; without one, anything."""
    column, name = "fields" if table == STATE else "value", f"refused_{table}"
    vendor = connections[alias].vendor
    events = ("INSERT", "UPDATE")
    undo = [f"ALTER TABLE {table} DROP CONSTRAINT {name}"]
    constrain = f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} NOT LIKE '%{text}%')"
    if vendor == "postgresql":
        _run(alias, f"{constrain} NOT VALID")  # the rows that are there stay
    elif vendor == "mysql":
        _run(alias, "SET check_constraint_checks = 0", constrain, "SET check_constraint_checks = 1")
    else:
        undo = [f"DROP TRIGGER {name}_{event}" for event in events]
        refuse = f"WHEN NEW.{column} LIKE '%{text}%' BEGIN SELECT RAISE(ABORT, 'refused'); END"
        _run(alias, *(f"CREATE TRIGGER {name}_{event} BEFORE {event} ON {table} {refuse}" for event in events))
    try:
        yield
    finally:
        _run(alias, *undo)


FAULTS: dict[str, Fault] = {"locked": locked_rows, "refused": refused_values, "missing": missing_table}

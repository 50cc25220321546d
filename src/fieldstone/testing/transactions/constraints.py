"""The constraints that a table has: they complete what an error leaves unsaid."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.transactions.insides import set_of_test
from fieldstone.testing.transactions.violations import CHECK, EXCLUSION, FOREIGN_KEY, NOT_NULL, UNIQUE, Violation

INVENTED = re.compile(r"__primary__$|__unnamed_constraint_\d+__$|fk_\d+$")
"""Names that Django gives to what SQLite or MariaDB leave unnamed: no error ever says them."""
CHANGES = re.compile(
    r"\b(?:INSERT\s+(?:(?:OR\s+)?\w+\s+)?INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+"
    r"""(?:(?:`[^`]+`|"[^"]+"|\w+)\s*\.\s*)?(?P<table>`[^`]+`|"[^"]+"|\w+)""",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Constraint:
    """One that a table has."""

    kind: str
    """As in ``Violation``; ``NOT NULL`` is not among them."""
    name: str
    """Empty where the engine gives it none."""
    columns: tuple[str, ...]
    """Of an index over expressions those that it mentions."""


def table_of(sql: str) -> str:
    """The table that a statement changes; empty where it changes none."""
    found = CHANGES.search(sql)
    return found["table"].strip('`"') if found else ""


def constraints_of(connection: BaseDatabaseWrapper, table: str) -> list[Constraint]:
    """Those of one table, in the order of their kinds and names; none of a table that does not exist."""
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return []
        found: dict[str, Any] = dict(connection.introspection.get_constraints(cursor, table))
        names = [info.name for info in connection.introspection.get_table_description(cursor, table)]
        constraints = []
        for name, told in found.items():
            if kind := _kind(cursor, connection, name, told):
                columns = tuple(column for column in told["columns"] if column is not None)
                columns = columns or _mentioned(_definition(cursor, connection, name, told), names)
                constraints.append(Constraint(kind, "" if INVENTED.match(name) else name, columns))
    return sorted(constraints, key=lambda each: (each.kind, each.name, each.columns))


@contextmanager
def unwatched(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """What a tool asks for itself does not count as the test's: no watcher sees it, no log keeps it."""
    wrappers, debug = connection.execute_wrappers, connection.force_debug_cursor
    connection.execute_wrappers, connection.force_debug_cursor = [], False
    try:
        yield
    finally:
        connection.execute_wrappers, connection.force_debug_cursor = wrappers, debug


@contextmanager
def aside(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Unwatched, and without a trace in the transaction, if there is one: not even that of an error."""
    with unwatched(connection):
        if connection.get_autocommit():
            yield
            return
        block = transaction.atomic(using=connection.alias)
        set_of_test(block)  # nobody waits for its commit
        with block:
            yield
            connection.needs_rollback = True


def completed(
    violation: Violation, connection: BaseDatabaseWrapper, likely: str, name: str, columns: Collection[str]
) -> Violation:
    """With the name, the table and the columns that the error did not say; ``likely`` is the table it may be of.

    Where two constraints fit the error (SQLite names the columns only), the one of that ``name`` or of those
    ``columns`` is taken. What cannot be found, or may not be looked at, stays empty.
    """
    if violation.kind == NOT_NULL:
        return violation if violation.table else replace(violation, table=likely)
    try:
        with aside(connection):
            return _completed(violation, connection, likely, name, columns)
    except DatabaseError:  # an account that may not read the catalogue
        return violation


def _completed(
    violation: Violation, connection: BaseDatabaseWrapper, likely: str, name: str, columns: Collection[str]
) -> Violation:
    for table in _tables(violation, connection, likely):
        fitting = [each for each in constraints_of(connection, table) if _fits(each, violation)]
        if fitting:
            asked = [each for each in fitting if each.name == name or set(each.columns) == set(columns)]
            found = (asked or fitting)[0]
            return Violation(violation.kind, found.name, table, found.columns)
    if likely and violation.kind == CHECK and connection.vendor == "sqlite":  # what it told was the condition
        with connection.cursor() as cursor:
            names = [info.name for info in connection.introspection.get_table_description(cursor, likely)]
        return Violation(CHECK, "", likely, _mentioned(violation.constraint, names))
    return violation


def _tables(violation: Violation, connection: BaseDatabaseWrapper, likely: str) -> Iterator[str]:
    """The likely one first, then all the others, since a trigger may have written to any."""
    if violation.table or likely:
        yield violation.table or likely
    if re.fullmatch(r"[\w.$-]+", violation.constraint) and not violation.table:
        with connection.cursor() as cursor:
            names = connection.introspection.table_names(cursor)
        yield from (name for name in names if name != likely)


def _fits(constraint: Constraint, violation: Violation) -> bool:
    if constraint.kind != violation.kind:
        return False
    if violation.constraint:
        return constraint.name == violation.constraint
    return bool(violation.columns) and frozenset(constraint.columns) == frozenset(violation.columns)


def _kind(cursor: Any, connection: BaseDatabaseWrapper, name: str, told: dict[str, Any]) -> str:
    if told["foreign_key"]:
        return FOREIGN_KEY
    if told["check"]:
        return CHECK
    if told["primary_key"] or told["unique"]:
        return UNIQUE
    if told["index"] or connection.vendor != "postgresql":
        return ""
    # Django's introspection has no word for what is left, which may be NOT NULL, too (since PostgreSQL 18).
    cursor.execute("SELECT contype FROM pg_constraint WHERE conname = %s", [name])
    return EXCLUSION if ("x",) in cursor.fetchall() else ""


def _definition(cursor: Any, connection: BaseDatabaseWrapper, name: str, told: dict[str, Any]) -> str:
    """The expressions of an index over such."""
    definition = told.get("definition")
    if connection.vendor == "sqlite":
        cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = %s", [name])
        row = cursor.fetchone()
        definition = row[0] if row else ""
    return (definition or "").partition("(")[2]


def _mentioned(expressions: str, columns: list[str]) -> tuple[str, ...]:
    """The columns whose names stand in expressions."""
    return tuple(column for column in columns if re.search(rf"(?<!\w){re.escape(column)}(?!\w)", expressions))

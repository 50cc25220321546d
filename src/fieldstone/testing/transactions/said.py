"""What ``expect_db_error`` says when it fails."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DatabaseError, Error
from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.places import Place
from fieldstone.testing.texts import aligned, engine, one_line
from fieldstone.testing.transactions.constraints import aside, constraints_of
from fieldstone.testing.transactions.failures import Failure
from fieldstone.testing.transactions.seen import Seen
from fieldstone.testing.transactions.text import facts, tuple_of, worded
from fieldstone.testing.transactions.violations import Violation, read


@dataclass(frozen=True, slots=True)
class Expected:
    """What a test asked for."""

    errors: tuple[type[Error], ...]
    constraint: str
    """Empty where any will do."""
    columns: tuple[str, ...]
    """Empty where any will do."""

    @property
    def names_constraint(self) -> bool:
        return bool(self.constraint or self.columns)

    def fits(self, violation: Violation) -> bool:
        if self.constraint and self.constraint != violation.constraint:
            return False
        return not self.columns or sorted(self.columns) == sorted(violation.columns)

    def __str__(self) -> str:
        words = " or ".join(each.__name__ for each in self.errors)
        words += f" of the constraint {self.constraint!r}" if self.constraint else ""
        return words + (f" of the columns {', '.join(self.columns)}" if self.columns else "")


def nothing_raised(expected: Expected, seen: Seen, place: Place) -> str:
    """With what ran, what the code under test caught, and a constraint that the database has not got."""
    connection = seen.connection
    ran = f"{seen.count} statement{'s' if seen.count != 1 else ''} on {connection.alias!r}"
    sql, at = seen.last or ("", None)
    swallowed = seen.failures[-1] if seen.failures else None
    parts = [f"Expected {expected}, but the block ended without an error."]
    parts.append(facts(("block", place), ("ran", ran), ("last", one_line(sql)), ("at", at)))
    if swallowed is not None:
        parts.append("An error was raised inside, and the code under test caught it:\n\n" + of_failure(swallowed))
    elif not seen.count:
        parts.append("Does the code use another database? Name it: expect_db_error(..., using=...)")
    elif expected.names_constraint:
        parts.append(_missing(expected, connection, seen.table))
    return "\n\n".join(filter(None, parts)) + "\n"


def other_constraint(
    expected: Expected,
    violation: Violation,
    error: BaseException,
    failed: Failure | None,
    connection: BaseDatabaseWrapper,
) -> str:
    """With the one that was violated, and those that its table has."""
    told = facts(
        ("violated", violation),
        ("error", worded(error)),
        ("statement", one_line(failed.sql) if failed else ""),
        ("at", failed.place if failed else ""),
    )
    parts = [f"Expected {expected}, but another constraint was violated.", told]
    parts.append(_constraints(connection, violation.table))
    parts.append(_advice(expected, violation, connection))
    return "\n\n".join(filter(None, parts)) + "\n"


def violated_before(
    expected: Expected, before: BaseException, connection: BaseDatabaseWrapper, place: Place
) -> str:
    """With the violation that the test brought along."""
    found = read(before, connection)
    return (
        f"Expected {expected}, but a foreign key was violated before the block already, and without it still is: "
        "whether the block violates one cannot be told.\n\n"
        + facts(("violated", found or ""), ("error", worded(before)), ("block", place))
        + "\n\nMend what the test makes before the block: Django would refuse it at the end of the test, too.\n"
    )


def of_another_database(
    expected: Expected, failed: Failure, other: BaseDatabaseWrapper, using: str, place: Place
) -> str:
    """The error is one as it was expected, and the savepoint was elsewhere."""
    told = facts(
        ("error", worded(failed.error)),
        ("statement", one_line(failed.sql)),
        ("at", failed.place),
        ("block", place),
    )
    return (
        f"Expected {expected} on {using!r}, but the statement that failed was one on {other.alias!r}.\n\n"
        f"{told}\n\nIts transaction was not undone, and may be broken. If that database is meant, name it: "
        f'expect_db_error(..., using="{other.alias}")\n'
    )


def of_failure(failed: Failure) -> str:
    """A failed statement, with its place and that of the ``except``."""
    caught = failed.caught_at
    return facts(
        ("error", worded(failed.error)),
        ("statement", one_line(failed.sql)),
        ("at", failed.place),
        ("caught at", caught or ""),
    )


def _advice(expected: Expected, violation: Violation, connection: BaseDatabaseWrapper) -> str:
    ways = [f'constraint="{violation.constraint}"'] if violation.constraint else []
    ways += [f"columns={tuple_of(violation.columns)}"] if violation.columns else []
    unnamed = expected.constraint and not violation.constraint
    why = f"{engine(connection)} has no name for the violated one. " if unnamed else ""
    return f"{why}If it is the one that is meant, ask for {' or '.join(ways)}." if ways else why


def _missing(expected: Expected, connection: BaseDatabaseWrapper, name: str) -> str:
    """Where the table that was written to has no such constraint: which it has."""
    try:
        with aside(connection):
            found = constraints_of(connection, name) if name else []
    except DatabaseError:
        return ""
    has = any(expected.fits(Violation(each.kind, each.name, name, each.columns)) for each in found)
    if not found or has:
        return ""
    return f"{engine(connection)} has no such constraint there.\n\n" + _constraints(connection, name)


def _constraints(connection: BaseDatabaseWrapper, name: str) -> str:
    """A table of a table's constraints; empty where they cannot be looked at."""
    if not name or connection.closed_in_transaction:
        return ""
    try:
        with aside(connection):
            found = constraints_of(connection, name)
    except DatabaseError:
        return ""
    rows = [(each.kind, each.name or "(no name)", ", ".join(each.columns)) for each in found]
    return "\n".join([f"{name} has", "", *aligned(rows)]) if rows else ""

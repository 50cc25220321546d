"""Which constraint a database error says was violated: each engine says it in its own way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper

UNIQUE, FOREIGN_KEY, CHECK, NOT_NULL, EXCLUSION = "unique", "foreign key", "check", "not null", "exclusion"


@dataclass(frozen=True, slots=True)
class Violation:
    """A constraint that a statement violated."""

    kind: str
    """``unique`` (a primary key, too), ``foreign key``, ``check``, ``not null`` or ``exclusion``."""
    constraint: str = ""
    """Its name; empty where the engine gives it none: SQLite foreign keys and primary keys, every ``NOT NULL``."""
    table: str = ""
    """The table that has the constraint; empty where it is not known."""
    columns: tuple[str, ...] = ()
    """The columns it is about, of a foreign key the referring ones; empty where they are not known."""

    def __str__(self) -> str:
        name = f" {self.constraint!r}" if self.constraint else ""
        columns = f" ({', '.join(self.columns)})" if self.columns else ""
        return f"{self.kind}{name}{f' of {self.table}' if self.table else ''}{columns}"


def read(error: BaseException, connection: BaseDatabaseWrapper) -> Violation | None:
    """What the error says, and nothing more; None where it is not about a constraint, or the engine is unknown."""
    reader = READERS.get(connection.vendor)
    return reader(error, connection) if reader else None


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


STATES = {
    "23505": UNIQUE,
    "23503": FOREIGN_KEY,
    "23001": FOREIGN_KEY,
    "23514": CHECK,
    "23502": NOT_NULL,
    "23P01": EXCLUSION,
}
"""PostgreSQL's SQLSTATEs (its manual, appendix A)."""


def _of_postgresql(error: BaseException, connection: BaseDatabaseWrapper) -> Violation | None:
    diagnosis = getattr(error.__cause__, "diag", None)  # psycopg's, of both its generations
    kind = STATES.get(getattr(diagnosis, "sqlstate", None) or "")
    if diagnosis is None or kind is None:
        return None
    columns = (diagnosis.column_name,) if diagnosis.column_name else ()
    return Violation(kind, diagnosis.constraint_name or "", diagnosis.table_name or "", columns)


# MariaDB and MySQL say it in the server's language: these look at the quotes, which are the same in all.
LAST_QUOTED = re.compile(r".*'(?P<name>.+)'", re.S)
FIRST_QUOTED = re.compile(r"[^']*'(?P<name>[^']*)'")
REFERRING = re.compile(
    r"\(`[^`]*`\.`(?P<table>[^`]*)`, CONSTRAINT `(?P<name>[^`]*)` FOREIGN KEY \((?P<columns>[^)]*)\)"
)
FAILED_CHECK = re.compile(r"`(?P<name>[^`]*)`[^`]*`[^`]*`\.`(?P<table>[^`]*)`")


def _of_mysql(error: BaseException, connection: BaseDatabaseWrapper) -> Violation | None:
    if len(error.args) < 2 or not isinstance(error.args[0], int):
        return None
    code, words = error.args[0], str(error.args[1])
    if code in (1062, 1586) and (found := LAST_QUOTED.match(words)):
        table, dot, key = found["name"].partition(".")
        if dot and not getattr(connection, "mysql_is_mariadb", False):
            return Violation(UNIQUE, key, table)  # as MySQL writes it since 8.0.19
        return Violation(UNIQUE, found["name"])
    if code in (1451, 1452) and (found := REFERRING.search(words)):
        columns = tuple(column.strip(" `") for column in found["columns"].split(","))
        return Violation(FOREIGN_KEY, found["name"], found["table"], columns)
    if code in (1216, 1217, 1451, 1452):
        return Violation(FOREIGN_KEY)  # for an account that may not see the other table
    if code == 4025 and (found := FAILED_CHECK.search(words)):
        table, name = found["table"], found["name"]
        if name.startswith(f"{table}."):  # of a column, without a name of its own
            return Violation(CHECK, "", table, (name.removeprefix(f"{table}."),))
        return Violation(CHECK, name, table)
    if code == 3819 and (found := FIRST_QUOTED.match(words)):
        return Violation(CHECK, found["name"])
    if code in (1048, 1364) and (found := FIRST_QUOTED.match(words)):
        return Violation(NOT_NULL, columns=(found["name"],))
    return None


FAILED_IN_SQLITE = re.compile(
    r"(?P<kind>UNIQUE|CHECK|NOT NULL|FOREIGN KEY) constraint failed(?:: (?P<what>.*))?$", re.S
)
INDEX = re.compile(r"index '(?P<name>.*)'$", re.S)
FOUND_BY_DJANGO = re.compile(  # by check_constraints(), which looks for what SQLite will say at the commit
    r"The row in table '(?P<table>.*)' with primary key '.*' has an invalid foreign key: (?P<column>\S+) contains",
    re.S,
)


def _of_sqlite(error: BaseException, connection: BaseDatabaseWrapper) -> Violation | None:
    words = str(error.args[0]) if error.args else ""
    if found := FOUND_BY_DJANGO.match(words):
        column = found["column"].removeprefix(f"{found['table']}.")
        return Violation(FOREIGN_KEY, "", found["table"], (column,))
    found = FAILED_IN_SQLITE.match(words)
    if not found:
        return None
    kind, what = found["kind"].lower(), found["what"] or ""
    if kind in (FOREIGN_KEY, CHECK):  # of a check without a name SQLite tells the condition
        return Violation(kind, what)
    if index := INDEX.match(what):
        return Violation(kind, index["name"])
    pairs = [each.rpartition(".") for each in what.split(", ")]
    return Violation(kind, "", pairs[0][0], tuple(column for _, _, column in pairs))


READERS: dict[str, Callable[[BaseException, BaseDatabaseWrapper], Violation | None]] = {
    "postgresql": _of_postgresql,
    "mysql": _of_mysql,
    "sqlite": _of_sqlite,
}
"""By Django's name of the engine; MariaDB's is MySQL's."""

"""The tables that a race writes to: copied before the first write, and put back before each run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as time_of_day
from functools import cached_property
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.fields import AutoFieldMixin
from django.utils.dateparse import parse_date, parse_datetime

from fieldstone.testing.connecting import apart
from fieldstone.testing.races import sql
from fieldstone.testing.races.keeping import ENGINES, Keeping

A_DAY = 24 * 60 * 60
"""Seconds, by which a number may be off to count as the time now."""

Row = Mapping[str, Any]
"""Values by column."""


@dataclass(frozen=True)
class Table:
    """A table, and the rows it began with."""

    alias: str
    name: str
    columns: tuple[str, ...]
    primary_key: str
    """The column; empty without one, or with several."""
    is_numbered: bool
    """The database gives new rows their primary key."""
    foreign: Mapping[str, tuple[str, str]]
    """By column, the table and the column that it points to."""
    volatile: Collection[str]
    """Columns with the time of a save: ``auto_now`` and ``auto_now_add``."""
    rows: tuple[Row, ...]
    """As they were before the first write."""
    counter: Any
    """What numbers new rows, as it stood then."""

    @cached_property
    def keys(self) -> frozenset[Any]:
        """Primary keys of the initial rows."""
        return frozenset(row[self.primary_key] for row in self.rows) if self.primary_key else frozenset()


class Tables:
    """Of one database. The harness reads and restores through ``side``, a connection of its own."""

    def __init__(self, alias: str, timeout: float) -> None:
        self.alias = alias
        self.side: BaseDatabaseWrapper = apart(connections[alias])
        self.keeping: Keeping = ENGINES[self.side.vendor](self.side, timeout)
        self.known: dict[str, Table] = {}
        self._written: set[str] = set()
        self._names: dict[str, str] = {}
        self._copies: dict[str, str] = {}

    def before(self, statement: str) -> None:
        """Told of each statement before it runs. What triggers and cascades of the database write is not seen."""
        for each in sql.written(statement):
            name = self._find(each)
            if name is not None:
                if name not in self.known:
                    self.known[name] = self._copy(name)
                self._written.add(name)

    def restore(self) -> None:
        """The initial rows again, and the numbers of new rows go on from where they were then."""
        if not self._written:
            return
        tables = [self.known[name] for name in sorted(self._written)]
        with self.keeping.unchecked():
            for table in tables:
                self.keeping.do(f"DELETE FROM {self._quoted(table.name)}")  # noqa: S608 (a name of the database's)
                self.keeping.do(self._put_back(table))
        for table in tables:
            number = self.keeping.counter(table.name, table.primary_key) if table.is_numbered else None
            if number not in (None, table.counter):
                self.keeping.set_counter(table.name, table.primary_key, table.counter)
        self._written.clear()

    def rows(self) -> dict[str, tuple[Row, ...]]:
        """Of the tables that may have been written to since they were restored."""
        return {name: self._read(name, self.known[name].columns) for name in sorted(self._written)}

    def close(self) -> None:
        # Django keeps connections to a database in memory open; the test's own keeps that one alive.
        BaseDatabaseWrapper.close(self.side)

    def _find(self, name: str) -> str | None:
        if name.casefold() not in self._names:
            with self.side.cursor() as cursor:
                names = self.side.introspection.table_names(cursor)
            self._names = {each.casefold(): each for each in names}
        return self._names.get(name.casefold())

    def _copy(self, name: str) -> Table:
        """Copied inside the database too: not every value of every type survives the way through Python."""
        with self.side.cursor() as cursor:
            # Django's own description would begin a transaction here, which on SQLite an actor may lock out.
            cursor.execute(f"SELECT * FROM {self._quoted(name)} WHERE 1 = 0")  # noqa: S608 (a name of the database's)
            columns = [each[0] for each in cursor.description]
            primary = list(self.side.introspection.get_primary_key_columns(cursor, name) or ())
            relations = self.side.introspection.get_relations(cursor, name)
        computed = self.keeping.computed(name)
        kept = tuple(column for column in columns if column not in computed)
        primary_key = primary[0] if len(primary) == 1 else ""
        of_models = _fields(name)
        foreign = {column: (str(table), str(other)) for column, (other, table) in relations.items()} | {
            str(field.column): (field.target_field.model._meta.db_table, str(field.target_field.column))
            for field in of_models
            if isinstance(field, models.ForeignKey)
        }
        volatile = [str(field.column) for field in of_models if _is_time_of_save(field)]
        is_numbered = any(field.column == primary_key and isinstance(field, AutoFieldMixin) for field in of_models)
        is_numbered = is_numbered or (not of_models and bool(primary_key))
        # Numbered, since names may be as long as the engine allows, and differ in their last letters only.
        self._copies[name] = self._quoted(f"race_copy_{len(self._copies) + 1}")
        self.keeping.do(
            f"CREATE TEMPORARY TABLE {self._copies[name]} AS SELECT * FROM {self._quoted(name)}"  # noqa: S608
        )
        counter = self.keeping.counter(name, primary_key) if is_numbered else None
        rows = self._read(name, kept)
        return Table(self.alias, name, kept, primary_key, is_numbered, foreign, volatile, rows, counter)

    def _read(self, name: str, columns: Collection[str]) -> tuple[Row, ...]:
        names = ", ".join(map(self._quoted, columns))
        rows = self.keeping.ask(f"SELECT {names} FROM {self._quoted(name)}")  # noqa: S608
        return tuple(dict(zip(columns, map(_hashable, row), strict=True)) for row in rows)

    def _put_back(self, table: Table) -> str:
        columns = ", ".join(map(self._quoted, table.columns))
        name, copy = self._quoted(table.name), self._copies[table.name]
        return self.keeping.insert.format(table=name, columns=columns, copy=copy)

    def _quoted(self, name: str) -> str:
        return self.keeping.quoted(name)


def _fields(table: str) -> list[models.Field[Any, Any]]:
    """Of all the models that live in a table: several where one is a swapped or an unmanaged copy."""
    found: dict[str, list[Any]] = defaultdict(list)
    for model in apps.get_models(include_auto_created=True):
        found[model._meta.db_table.strip('"').casefold()].extend(model._meta.local_concrete_fields)
    return found[table.casefold()]


def _is_time_of_save(field: models.Field[Any, Any]) -> bool:
    return bool(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False))


def differs_by_nature(value: Any) -> bool:
    """A time, also as text or as seconds (or parts of them) since 1970, or a UUID."""
    if isinstance(value, date | datetime | time_of_day | UUID):
        return True
    if isinstance(value, int | float):
        return any(abs(value / unit - time.time()) < A_DAY for unit in (1, 1e3, 1e6, 1e9))
    if not isinstance(value, str):
        return False
    for read in (UUID, parse_datetime, parse_date):
        try:
            if read(value) is not None and (read is UUID or "-" in value):
                return True
        except ValueError:
            continue
    return False


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value

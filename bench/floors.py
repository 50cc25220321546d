"""The floor: what a sensible person writes with the bare driver, on plain tables, for the same work.

It does less than the store on purpose. It trusts that nobody else writes: it replaces whole states, which would
lose another writer's fields, and counts revisions itself. It is given the integer ids of usages. Every state that
it fetches is decoded in one ``json.loads``.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

import psycopg
from django.db import connection as django_connection

Fields = dict[str, Any]
encode = json.JSONEncoder(separators=(",", ":")).encode


class Saving(NamedTuple):
    """A save of one block: the floor replaces the state by a whole one, its revision counted by the caller."""

    usage: int
    state: Fields
    revision: int
    delta: Fields


class Floor(ABC):
    """The bare driver's calls, on a connection of its own, in autocommit."""

    mark: ClassVar[str]
    moment: ClassVar[str]
    durable: ClassVar[tuple[str, ...]]
    """The settings that decide what a commit costs; both sides must have the same."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._update = self._text("UPDATE floor_state SET state = ?, revision = ?, modified = ?"
                                  " WHERE student_id = ? AND usage_id = ?")  # fmt: skip
        self._keep = self._text("INSERT INTO floor_history (student_id, usage_id, revision, delta, created)"
                                " VALUES (?, ?, ?, ?, ?)")  # fmt: skip

    # What the drivers differ in

    @abstractmethod
    def version(self) -> str:
        """Engine and driver with their versions."""

    @abstractmethod
    def setting(self, name: str) -> str:
        """The statement that shows a setting."""

    @abstractmethod
    def settle(self) -> None:
        """Let the engine write out what set-up left and gather its statistics."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Any]:
        """BEGIN, and COMMIT or ROLLBACK."""

    @abstractmethod
    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """The driver's executemany."""

    @abstractmethod
    def one_of(self, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """The condition that a column is one of these values, as this engine likes it, and its parameters."""

    @abstractmethod
    def now(self) -> Any:
        """The time as the driver takes it."""

    # Set-up

    def create(self) -> None:
        """Make the tables: plain, with the keys of the store's own."""
        for name, columns in _TABLES.items():
            self.connection.execute(f"CREATE TABLE {name} ({columns.replace('moment', self.moment)})")
        self.connection.execute("CREATE INDEX floor_block_first ON floor_state (usage_id, student_id)")

    def insert(self, table: str, columns: int) -> str:
        """The statement that fills a table, a value a column."""
        return self._text(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})")

    def durability(self) -> tuple[Fields, Fields]:
        """The ``durable`` settings of Django's connection, and of this one."""
        with django_connection.cursor() as cursor:
            ours = {name: cursor.execute(self.setting(name)).fetchone()[0] for name in self.durable}
        return ours, {name: self.connection.execute(self.setting(name)).fetchone()[0] for name in self.durable}

    # Reading

    def read(self, learner: int, usages: Sequence[int]) -> dict[int, Fields]:
        """Usage to its decoded state."""
        condition, values = self.one_of(usages)
        rows = self._select(
            f"SELECT usage_id, state FROM floor_state WHERE student_id = ? AND usage_id {condition}",
            (learner, *values),
        )
        return {usage: json.loads(state) for usage, state in rows}

    def read_scopes(
        self, learner: int, usages: Sequence[int], block_types: Sequence[str]
    ) -> tuple[dict[int, Fields], dict[int, Fields], dict[str, Fields], Fields]:
        """States, summaries, preferences and user info, a SELECT each; every value decoded."""
        condition, values = self.one_of(usages)
        summaries = self._select(
            f"SELECT usage_id, field_name, value FROM floor_summary WHERE usage_id {condition}", values
        )
        condition, values = self.one_of(block_types)
        preferences = self._select(
            "SELECT block_type, field_name, value FROM floor_preferences"
            f" WHERE student_id = ? AND block_type {condition}",
            (learner, *values),
        )
        info = self._select("SELECT field_name, value FROM floor_user_info WHERE student_id = ?", (learner,))
        return (
            self.read(learner, usages),
            _by_place(summaries),
            _by_place(preferences),
            {name: json.loads(value) for name, value in info},
        )

    # Saving

    def save(self, learner: int, saving: Saving) -> None:
        """UPDATE and history INSERT in a transaction."""
        now, (usage, state, revision, delta) = self.now(), saving
        with self.transaction():
            self.connection.execute(self._update, (encode(state), revision, now, learner, usage))
            self.connection.execute(self._keep, (learner, usage, revision, encode(delta), now))

    def save_many(self, learner: int, savings: Sequence[Saving]) -> None:
        """The same for many blocks in one transaction."""
        now = self.now()
        states = [(encode(state), revision, now, learner, usage) for usage, state, revision, _ in savings]
        deltas = [(learner, usage, revision, encode(delta), now) for usage, _, revision, delta in savings]
        with self.transaction():
            self.execute_many(self._update, states)
            self.execute_many(self._keep, deltas)

    def save_preferences(self, learner: int, block_type: str, fields: Fields) -> None:
        """An upsert a field, in a transaction."""
        now = self.now()
        rows = [(learner, block_type, name, encode(value), now) for name, value in fields.items()]
        with self.transaction():
            self.execute_many(self._upsert(1), rows)

    def save_preferences_at_once(self, learner: int, block_type: str, fields: Fields) -> None:
        """The same as one statement of as many rows, which commits by itself."""
        now = self.now()
        rows = [(learner, block_type, name, encode(value), now) for name, value in fields.items()]
        self.connection.execute(self._upsert(len(rows)), [value for row in rows for value in row])

    def _upsert(self, rows: int) -> str:
        return self._text(
            "INSERT INTO floor_preferences (student_id, block_type, field_name, value, modified)"
            f" VALUES {', '.join(['(?, ?, ?, ?, ?)'] * rows)} ON CONFLICT (student_id, block_type, field_name)"
            " DO UPDATE SET value = excluded.value, modified = excluded.modified"
        )

    def _text(self, statement: str) -> str:
        return statement.replace("?", self.mark)

    def _select(self, statement: str, values: Sequence[Any]) -> Iterable[Any]:
        return self.connection.execute(self._text(statement), values)

    # Looking, untimed

    def history(self, learner: int, usage: int) -> list[Fields]:
        """The deltas, latest first."""
        rows = self._select(
            "SELECT delta FROM floor_history WHERE student_id = ? AND usage_id = ? ORDER BY revision DESC",
            (learner, usage),
        )
        return [json.loads(delta) for (delta,) in rows]

    def preferences(self, learner: int, block_type: str) -> Fields:
        return self.read_scopes(learner, [0], [block_type])[2].get(block_type, {})


_TABLES = {
    "floor_state": "student_id bigint, usage_id bigint, state text, revision bigint, modified moment,"
    " PRIMARY KEY (student_id, usage_id)",
    "floor_history": "student_id bigint, usage_id bigint, revision bigint, delta text, created moment,"
    " PRIMARY KEY (student_id, usage_id, revision)",
    "floor_summary": "usage_id bigint, field_name varchar(255), value text, modified moment,"
    " PRIMARY KEY (usage_id, field_name)",
    "floor_preferences": "student_id bigint, block_type varchar(64), field_name varchar(255), value text,"
    " modified moment, PRIMARY KEY (student_id, block_type, field_name)",
    "floor_user_info": "student_id bigint, field_name varchar(255), value text, modified moment,"
    " PRIMARY KEY (student_id, field_name)",
}


def _by_place(rows: Iterable[tuple[Any, str, str]]) -> dict[Any, Fields]:
    """Rows of ``(place, field name, JSON text)`` as fields per place."""
    found: dict[Any, Fields] = {}
    for place, name, value in rows:
        found.setdefault(place, {})[name] = json.loads(value)
    return found


class PostgreSQLFloor(Floor):
    """psycopg 3 as it comes: it binds on the server and prepares what it has seen five times."""

    mark, moment = "%s", "timestamptz"
    durable = ("fsync", "synchronous_commit", "full_page_writes", "transaction_isolation")
    connection: psycopg.Connection[Any]

    def version(self) -> str:
        return f"PostgreSQL {self.connection.info.server_version // 10_000}, psycopg {psycopg.__version__}"

    def setting(self, name: str) -> str:
        return f"SHOW {name}"

    def settle(self) -> None:
        self.connection.execute("VACUUM ANALYZE")
        self.connection.execute("CHECKPOINT")

    def transaction(self) -> AbstractContextManager[Any]:
        return self.connection.transaction()

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(statement, rows)  # in a pipeline: one wait for all rows

    def one_of(self, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        return "= ANY(?)", (list(values),)

    def now(self) -> datetime:
        return datetime.now(UTC)


class SQLiteFloor(Floor):
    """The sqlite3 module, with transactions begun by hand: IMMEDIATE, as the store's."""

    mark, moment = "?", "text"
    durable = ("journal_mode", "synchronous", "wal_autocheckpoint", "cache_size", "page_size", "mmap_size")
    connection: sqlite3.Connection

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def setting(self, name: str) -> str:
        return f"PRAGMA {name}"

    def settle(self) -> None:
        self.connection.execute("ANALYZE")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def transaction(self) -> Any:
        self.connection.execute("BEGIN IMMEDIATE")
        with self.connection:
            yield

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self.connection.executemany(statement, rows)

    def one_of(self, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        return f"IN ({', '.join('?' * len(values))})", values

    def now(self) -> str:
        return datetime.now(UTC).isoformat(sep=" ")

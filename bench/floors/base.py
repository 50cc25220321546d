"""The work of the floor, in statements that all engines read alike.

It does less than the store on purpose. It trusts that nobody else writes: it replaces whole states, which would
lose another writer's fields, and counts revisions itself. It is given the integer ids of usages. Every state that
it fetches is decoded in one ``json.loads``. ``save_locked`` alone reads before it writes, under a lock.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple

from django.db import connection as django_connection

from fieldstone.store.tables import CONTEXT, STATE, USAGE

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

    mark: ClassVar[str] = "%s"
    moment: ClassVar[str]
    key: ClassVar[str] = "varchar(255)"
    """The type of a column that holds a key."""
    row_lock: ClassVar[str] = " FOR UPDATE"
    empty: ClassVar[str] = "TRUNCATE TABLE {}"
    upsert: ClassVar[str] = (
        " ON CONFLICT (student_id, block_type, field_name)"
        " DO UPDATE SET value = excluded.value, modified = excluded.modified"
    )
    durable: ClassVar[tuple[str, ...]]
    """The settings that decide what a commit costs; both sides must have the same."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._update = self.text("UPDATE floor_state SET state = ?, revision = ?, modified = ?"
                                 " WHERE student_id = ? AND usage_id = ?")  # fmt: skip
        self._keep = self.text("INSERT INTO floor_history (student_id, usage_id, revision, delta, created)"
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

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement; gives what its rows are fetched from."""
        return self.connection.execute(statement, values)

    @abstractmethod
    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """The driver's executemany."""

    @abstractmethod
    def stream(self, statement: str, values: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
        """The rows of a statement as the server finds them, not all of them in memory."""

    @abstractmethod
    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Put many rows into a table the fastest way, untimed."""

    @abstractmethod
    def one_of(self, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """The condition that a column is one of these values, as this engine likes it, and its parameters."""

    @abstractmethod
    def now(self) -> Any:
        """The time as the driver takes it."""

    @abstractmethod
    def bytes_of(self, table: str) -> dict[str, int]:
        """What a table weighs on disk: its ``rows``, its ``indexes``, and what the engine keeps beside them."""

    # Set-up

    def create(self) -> None:
        """Make the tables: plain, with the keys of the store's own."""
        for name, columns in _TABLES.items():
            self.create_table(name, columns)
        self.execute("CREATE INDEX floor_block_first ON floor_state (usage_id, student_id)")

    def create_table(self, name: str, columns: str) -> None:
        """``moment`` and ``key`` stand for the engine's types of times and of keys."""
        words = {"moment": self.moment, "key255": self.key}
        for word, type_ in words.items():
            columns = columns.replace(word, type_)
        self.execute(f"CREATE TABLE {name} ({columns})")

    def insert(self, table: str, columns: int) -> str:
        """The statement that fills a table, a value a column."""
        return self.text(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})")

    def durability(self) -> tuple[Fields, Fields]:
        """The ``durable`` settings of Django's connection, and of this one."""
        ours = {}
        for name in self.durable:
            with django_connection.cursor() as cursor:
                cursor.execute(self.setting(name))
                ours[name] = cursor.fetchone()[-1]
        return ours, {name: self.execute(self.setting(name)).fetchone()[-1] for name in self.durable}

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

    def history(self, learner: int, usage: int) -> list[tuple[int, Any, Fields]]:
        """Revision, time and decoded delta of each save, latest first."""
        rows = self._select(
            "SELECT revision, created, delta FROM floor_history WHERE student_id = ? AND usage_id = ?"
            " ORDER BY revision DESC",
            (learner, usage),
        )
        return [(revision, created, json.loads(delta)) for revision, created, delta in rows]

    def preferences(self, learner: int, block_type: str) -> Fields:
        return self.read_scopes(learner, [0], [block_type])[2].get(block_type, {})

    def states_of_course(self, context: str) -> Iterable[tuple[Any, ...]]:
        """Every learner's state of a course, out of the store's own tables: what ``Store.scan`` gives."""
        return self.stream(
            self.text(
                "SELECT met.key, met.block_type, student_id, usage_id, fields, revision, modified, grade,"
                f" max_grade, done FROM {USAGE} AS met JOIN {STATE} ON usage_id = met.id"
                f" WHERE met.context_id = (SELECT id FROM {CONTEXT} AS course WHERE course.key = ?)"
            ),
            (context,),
        )

    def named_states_of_course(self, context: str) -> Iterable[tuple[Any, ...]]:
        """Username, usage key and fields of every learner's state of a course, out of the store's own tables."""
        return self.stream(
            self.text(
                f"SELECT username, met.key, fields FROM {USAGE} AS met JOIN {STATE} ON usage_id = met.id"
                " JOIN auth_user ON auth_user.id = student_id"
                f" WHERE met.context_id = (SELECT id FROM {CONTEXT} AS course WHERE course.key = ?)"
            ),
            (context,),
        )

    # Saving

    def save(self, learner: int, saving: Saving) -> None:
        """UPDATE and history INSERT in a transaction."""
        now, (usage, state, revision, delta) = self.now(), saving
        with self.transaction():
            self.execute(self._update, (encode(state), revision, now, learner, usage))
            self.execute(self._keep, (learner, usage, revision, encode(delta), now))

    def save_locked(self, learner: int, usage: int, delta: Fields) -> None:
        """SELECT FOR UPDATE, UPDATE and history INSERT in a transaction, which loses nobody's field."""
        with self.transaction():
            row = self._select(
                f"SELECT state, revision FROM floor_state WHERE student_id = ? AND usage_id = ?{self.row_lock}",
                (learner, usage),
            ).fetchone()
            now, state, revision = self.now(), {**json.loads(row[0]), **delta}, row[1] + 1
            self.execute(self._update, (encode(state), revision, now, learner, usage))
            self.execute(self._keep, (learner, usage, revision, encode(delta), now))

    def save_many(self, learner: int, savings: Sequence[Saving]) -> None:
        """The same as ``save`` for many blocks in one transaction."""
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
        self.execute(self._upsert(len(rows)), [value for row in rows for value in row])

    def _upsert(self, rows: int) -> str:
        return self.text(
            "INSERT INTO floor_preferences (student_id, block_type, field_name, value, modified)"
            f" VALUES {', '.join(['(?, ?, ?, ?, ?)'] * rows)}{self.upsert}"
        )

    def text(self, statement: str) -> str:
        """The statement with this driver's placeholders."""
        return statement.replace("?", self.mark)

    def _select(self, statement: str, values: Sequence[Any]) -> Any:
        return self.execute(self.text(statement), values)


_TABLES = {
    "floor_state": "student_id bigint, usage_id bigint, state text, revision bigint, modified moment,"
    " PRIMARY KEY (student_id, usage_id)",
    "floor_history": "student_id bigint, usage_id bigint, revision bigint, delta text, created moment,"
    " PRIMARY KEY (student_id, usage_id, revision)",
    "floor_summary": "usage_id bigint, field_name key255, value text, modified moment,"
    " PRIMARY KEY (usage_id, field_name)",
    "floor_preferences": "student_id bigint, block_type varchar(64), field_name key255, value text,"
    " modified moment, PRIMARY KEY (student_id, block_type, field_name)",
    "floor_user_info": "student_id bigint, field_name key255, value text, modified moment,"
    " PRIMARY KEY (student_id, field_name)",
}


def _by_place(rows: Iterator[tuple[Any, str, str]]) -> dict[Any, Fields]:
    """Rows of ``(place, field name, JSON text)`` as fields per place."""
    found: dict[Any, Fields] = {}
    for place, name, value in rows:
        found.setdefault(place, {})[name] = json.loads(value)
    return found

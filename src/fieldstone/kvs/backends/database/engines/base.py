# ruff: noqa: S608  # the texts are built of names of ours; values are parameters
"""What the backend asks of an engine. Every method runs one statement on an open cursor, or two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from fieldstone.kvs.tables import ENTRY, LOCK, WAITER

Row = tuple[str, bytes]
"""The name of an entry, and the entry."""

HELD_BY_TRANSACTION = 0
"""``expires`` of a lock that was given to a transaction: the row's own lock excludes others until its end."""


class Asked(NamedTuple):
    """Who wants which lock."""

    name: str
    owner: str
    milliseconds: int | None
    """For how long, or ``None``: until the end of the transaction that is open."""
    before: int
    """Only those in the queue are waited for whose ids are smaller."""


class Table(NamedTuple):
    """A table whose rows have their time."""

    name: str
    key: str
    ends: str  # the column that says when it is over


ENTRIES, LOCKS, WAITERS = (
    Table(ENTRY, "name", "expires"),
    Table(LOCK, "name", "expires"),
    Table(WAITER, "id", "alive"),
)


class Engine(ABC):
    """The statements of one database engine."""

    now: ClassVar[str]
    """Milliseconds since the epoch by the database's clock, as the statement began: an integer."""

    microseconds: ClassVar[str]
    """The same in microseconds."""

    # Texts of statements: class attributes of each engine, made once.

    def __init_subclass__(cls) -> None:
        now = cls.now
        cls.live = f"(expires IS NULL OR expires > {now})"
        cls.queued = f"EXISTS (SELECT 1 FROM {WAITER} WHERE name = %s AND id < %s AND alive > {now})"

    live: ClassVar[str]
    """The condition that an entry has not expired."""

    queued: ClassVar[str]
    """The condition that somebody waits for a lock (name, id that theirs is smaller than)."""

    def expires(self, milliseconds: int | None) -> str:
        """The expression of the moment so many milliseconds from now, ``None`` for never."""
        return "NULL" if milliseconds is None else f"{self.now} + {int(milliseconds)}"

    # Entries

    def get(self, cursor: CursorWrapper, names: Sequence[str]) -> list[Row]:
        """Those that are there."""
        cursor.execute(f"SELECT name, entry FROM {ENTRY} WHERE name IN ({marks(names)}) AND {self.live}", [*names])
        return list(cursor.fetchall())

    def set(self, cursor: CursorWrapper, rows: Sequence[Row], milliseconds: int | None) -> None:
        """Rows in the order of their names: two that set the same ones lock them in one order."""
        cursor.execute(self._set(len(rows), milliseconds), [value for row in rows for value in row])

    def _set(self, count: int, milliseconds: int | None) -> str:
        return (
            f"{self._insert(count, milliseconds)}"
            " ON CONFLICT (name) DO UPDATE SET entry = excluded.entry, expires = excluded.expires"
        )

    def _insert(self, count: int, milliseconds: int | None) -> str:
        row = f"(%s, %s, {self.expires(milliseconds)})"
        return f"INSERT INTO {ENTRY} (name, entry, expires) VALUES {', '.join([row] * count)}"

    def add(self, cursor: CursorWrapper, row: Row, milliseconds: int | None) -> bool:
        """Insert it, or put it in the place of one that has expired; whether either was done."""
        cursor.execute(f"{self._set(1, milliseconds)} WHERE {ENTRY}.expires <= {self.now}", [*row])
        return bool(cursor.rowcount == 1)

    def delete(self, cursor: CursorWrapper, names: Sequence[str]) -> int:
        """Of these names, sorted, those that have not expired; how many."""
        cursor.execute(f"DELETE FROM {ENTRY} WHERE name IN ({marks(names)}) AND {self.live}", [*names])
        return int(cursor.rowcount)

    def locked_entry(self, cursor: CursorWrapper, name: str) -> tuple[bytes, bool] | None:
        """An entry and whether it has not expired; its row is locked until the transaction ends."""
        cursor.execute(f"SELECT entry, {self.live} FROM {ENTRY} WHERE name = %s FOR UPDATE", [name])
        row = cursor.fetchone()
        return None if row is None else (bytes(row[0]), bool(row[1]))

    def write(self, cursor: CursorWrapper, name: str, entry: bytes) -> None:
        """Another entry in a row that is there, which expires as before."""
        cursor.execute(f"UPDATE {ENTRY} SET entry = %s WHERE name = %s", [entry, name])

    def compare_and_set(self, cursor: CursorWrapper, row: Row, version: bytes, milliseconds: int | None) -> bool:
        """Bytes 1 to 8 of an entry are its version; SQL counts from 1."""
        name, entry = row
        cursor.execute(
            f"UPDATE {ENTRY} SET entry = %s, expires = {self.expires(milliseconds)}"
            f" WHERE name = %s AND substring(entry, 2, 8) = %s AND {self.live}",
            [entry, name, version],
        )
        return bool(cursor.rowcount == 1)

    def touch(self, cursor: CursorWrapper, name: str, milliseconds: int | None) -> bool:
        cursor.execute(
            f"UPDATE {ENTRY} SET expires = {self.expires(milliseconds)} WHERE name = %s AND {self.live}", [name]
        )
        return bool(cursor.rowcount == 1)

    def names(self, cursor: CursorWrapper, start: str, after: str | None, limit: int) -> list[str]:
        """Names from ``start`` on, or after one, in their order."""
        compared, value = (">=", start) if after is None else (">", after)
        cursor.execute(
            f"SELECT name FROM {ENTRY} WHERE name {compared} %s AND {self.live} ORDER BY name LIMIT %s",
            [value, limit],
        )
        return [name for (name,) in cursor.fetchall()]

    def value_limit(self, cursor: CursorWrapper) -> int | None:
        """How long a statement may be, in bytes, where the server has such a limit."""
        return None

    # Locks

    @abstractmethod
    def grant(self, cursor: CursorWrapper, asked: Asked) -> int | None:
        """Give it, unless somebody has it or waits for it: its fencing token. Waits for nobody.

        To a transaction it is given until its end, which no other can see; where it was not given, a savepoint
        before this is to be rolled back.
        """

    def release(self, cursor: CursorWrapper, name: str, owner: str) -> bool:
        # One that a transaction had, which has ended, is its owner's to let go until another takes it.
        cursor.execute(
            f"UPDATE {LOCK} SET owner = '', expires = {self.now} WHERE name = %s AND owner = %s"
            f" AND (expires > {self.now} OR expires = {HELD_BY_TRANSACTION})",
            [name, owner],
        )
        return bool(cursor.rowcount == 1)

    def renew(self, cursor: CursorWrapper, name: str, owner: str, milliseconds: int) -> bool:
        cursor.execute(
            f"UPDATE {LOCK} SET expires = {self.expires(milliseconds)}"
            f" WHERE name = %s AND owner = %s AND expires > {self.now}",
            [name, owner],
        )
        return bool(cursor.rowcount == 1)

    @abstractmethod
    def is_held(self, cursor: CursorWrapper, name: str) -> bool: ...

    def _is_leased(self, cursor: CursorWrapper, name: str) -> bool:
        cursor.execute(f"SELECT 1 FROM {LOCK} WHERE name = %s AND expires > {self.now}", [name])
        return cursor.fetchone() is not None

    def state(self, cursor: CursorWrapper, name: str, before: int) -> tuple[bool, bool]:
        """Whether it is leased, and whether somebody waits for it before this one. No lock is taken."""
        leased = f"EXISTS (SELECT 1 FROM {LOCK} WHERE name = %s AND expires > {self.now})"
        cursor.execute(f"SELECT {leased}, {self.queued}", [name, name, before])
        is_leased, is_queued = cursor.fetchone()
        return bool(is_leased), bool(is_queued)

    def enqueue(self, cursor: CursorWrapper, name: str, milliseconds: int) -> int:
        cursor.execute(
            f"INSERT INTO {WAITER} (name, alive) VALUES (%s, {self.expires(milliseconds)}) RETURNING id", [name]
        )
        rows = cursor.fetchall()  # drained: SQLite's RETURNING writes only as it is read
        return int(rows[0][0])

    def last_in_queue(self, cursor: CursorWrapper) -> int:
        cursor.execute(f"SELECT max(id) FROM {WAITER}")
        return int(cursor.fetchone()[0] or 0)

    def say_alive(self, cursor: CursorWrapper, waiter: int, milliseconds: int) -> bool:
        """Whether it still had its place in the queue."""
        cursor.execute(
            f"UPDATE {WAITER} SET alive = {self.expires(milliseconds)} WHERE id = %s AND alive > {self.now}",
            [waiter],
        )
        return bool(cursor.rowcount == 1)

    def dequeue(self, cursor: CursorWrapper, waiter: int) -> None:
        cursor.execute(f"DELETE FROM {WAITER} WHERE id = %s", [waiter])

    # All tables

    def sweep(self, cursor: CursorWrapper, table: Table, milliseconds: int, limit: int) -> None:
        """Delete so many rows whose time has been over for so long, but none that anybody has locked."""
        cursor.execute(
            f"DELETE FROM {table.name} WHERE {table.key} IN (SELECT {table.key} FROM {table.name}"
            f" WHERE {table.ends} <= {self.now} - %s LIMIT %s{self.unlocked})",
            [milliseconds, limit],
        )

    unlocked: ClassVar[str] = ""
    """What makes a SELECT lock its rows, and leave out those that others have locked."""

    # Peculiarities

    @contextmanager
    def impatient(self, connection: BaseDatabaseWrapper, seconds: float) -> Iterator[None]:
        """Within it statements wait for so long at most, on an engine where any may have to."""
        yield

    def is_busy(self, error: DatabaseError) -> bool:
        """Whether it has waited for so long."""
        return False

    @abstractmethod
    def is_deadlock(self, error: DatabaseError) -> bool:
        """Whether the server has undone the transaction because it and another waited for each other."""

    @abstractmethod
    def is_missing_table(self, error: DatabaseError) -> bool: ...


def marks(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))

# ruff: noqa: S608  # the texts are built of names of ours; values are parameters
"""SQLite: one writes at a time; who writes in a transaction keeps all others from writing until its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from fieldstone.kvs.backends.database.engines.base import HELD_BY_TRANSACTION, Asked, Engine, Row
from fieldstone.kvs.tables import ENTRY, LOCK

_BUSY = 5
_BUSY_WITH_A_NEWER_STATE = 517


class SQLite(Engine):
    now = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS integer)"
    microseconds = "%s"  # by this machine's clock, as `now` is, which shows no more than milliseconds

    # Written first, so that what is read is the newest: a transaction that begins by reading may not write once
    # another has written. Not by RETURNING: in this table SQLite 3.40 takes `expires IS NULL` for false there.
    def locked_entry(self, cursor: CursorWrapper, name: str) -> tuple[bytes, bool] | None:
        cursor.execute(f"UPDATE {ENTRY} SET name = name WHERE name = %s", [name])
        cursor.execute(f"SELECT entry, {self.live} FROM {ENTRY} WHERE name = %s", [name])
        row = cursor.fetchone()
        return None if row is None else (bytes(row[0]), bool(row[1]))

    def compare_and_set(self, cursor: CursorWrapper, row: Row, version: bytes, milliseconds: int | None) -> bool:
        name, entry = row
        cursor.execute(
            f"UPDATE {ENTRY} SET entry = %s, expires = {self.expires(milliseconds)}"
            f" WHERE name = %s AND substr(entry, 2, 8) = %s AND {self.live}",
            [entry, name, version],
        )
        return bool(cursor.rowcount == 1)

    def grant(self, cursor: CursorWrapper, asked: Asked) -> int | None:
        expires = HELD_BY_TRANSACTION if asked.milliseconds is None else self.expires(asked.milliseconds)
        cursor.execute(
            f"INSERT INTO {LOCK} AS held (name, owner, expires, fence)"
            f" SELECT %s, %s, {expires}, {self.microseconds} WHERE NOT {self.queued}"
            " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires,"
            f" fence = max(held.fence + 1, excluded.fence) WHERE held.expires <= {self.now} RETURNING fence",
            [asked.name, asked.owner, time.time_ns() // 1000, asked.name, asked.before],
        )
        rows = cursor.fetchall()  # drained: RETURNING writes only as it is read
        return int(rows[0][0]) if rows else None

    # A transaction that has it has the whole database, and does not show what for.
    def is_held(self, cursor: CursorWrapper, name: str) -> bool:
        return self._is_leased(cursor, name)

    # Another's transaction is waited for as long as the connection's `timeout` says, 5 seconds and more.
    @contextmanager
    def impatient(self, connection: BaseDatabaseWrapper, seconds: float) -> Iterator[None]:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout")
            (usual,) = cursor.fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {min(int(seconds * 1000), usual)}")
            try:
                yield
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {usual}")

    def is_busy(self, error: DatabaseError) -> bool:
        return _code(error) == _BUSY

    def is_deadlock(self, error: DatabaseError) -> bool:
        return _code(error) == _BUSY_WITH_A_NEWER_STATE

    def is_missing_table(self, error: DatabaseError) -> bool:
        return "no such table" in str(error)


def _code(error: DatabaseError) -> int | None:
    return getattr(error.__cause__, "sqlite_errorcode", None)

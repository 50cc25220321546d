# ruff: noqa: S608  # the texts are built of names of ours; values are parameters
"""PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from django.db import DatabaseError
from django.db.backends.utils import CursorWrapper

from fieldstone.kvs.backends.database.engines.base import HELD_BY_TRANSACTION, Asked, Engine, marks
from fieldstone.kvs.tables import ENTRY, LOCK


class PostgreSQL(Engine):
    # Of the statement, which stays the same while it runs, so that an index serves comparisons with it.
    now = "floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint"
    microseconds = "floor(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
    unlocked = " FOR UPDATE SKIP LOCKED"

    # Rows of an IN are met in any order: locked by their names first, as `set` locks them.
    def delete(self, cursor: CursorWrapper, names: Sequence[str]) -> int:
        chosen = f"name IN ({marks(names)}) AND {self.live}"
        if len(names) > 1:
            chosen = f"name IN (SELECT name FROM {ENTRY} WHERE {chosen} ORDER BY name FOR UPDATE)"
        cursor.execute(f"DELETE FROM {ENTRY} WHERE {chosen}", [*names])
        return int(cursor.rowcount)

    # The gate is an advisory lock of the transaction, this statement's own or the caller's: who tries it never
    # waits, and a transaction that was given the lock keeps the gate until its end, with no row that others would
    # run into. Behind the gate nobody but the lock's holder changes the row; where it did so in a transaction that
    # is still open, the row is left out. Nothing is of the session: poolers may share it.
    def grant(self, cursor: CursorWrapper, asked: Asked) -> int | None:
        expires = HELD_BY_TRANSACTION if asked.milliseconds is None else self.expires(asked.milliseconds)
        cursor.execute(
            "WITH gate AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(%s) AS is_open),"
            f" free AS (SELECT 1 FROM {LOCK} WHERE name = %s AND expires <= {self.now} FOR UPDATE SKIP LOCKED)"
            f" INSERT INTO {LOCK} AS held (name, owner, expires, fence)"
            f" SELECT %s, %s, {expires}, {self.microseconds} FROM gate WHERE is_open AND NOT {self.queued}"
            f" AND (EXISTS (SELECT FROM free) OR NOT EXISTS (SELECT FROM {LOCK} WHERE name = %s))"
            " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires,"
            f" fence = greatest(held.fence + 1, excluded.fence) WHERE held.expires <= {self.now} RETURNING fence",
            [_gate(asked.name), asked.name, asked.name, asked.owner, asked.name, asked.before, asked.name],
        )
        row = cursor.fetchone()
        return None if row is None else int(row[0])

    # A gate is also shut for the moment of somebody's try.
    def is_held(self, cursor: CursorWrapper, name: str) -> bool:
        if self._is_leased(cursor, name):
            return True
        cursor.execute(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND (classid::bigint << 32) | objid::bigint = %s",
            [_gate(name)],
        )
        return cursor.fetchone() is not None

    def is_deadlock(self, error: DatabaseError) -> bool:
        return _state(error) == "40P01"

    def is_missing_table(self, error: DatabaseError) -> bool:
        return _state(error) == "42P01"


def _gate(name: str) -> int:
    """The number of a lock's gate: 64 bits, signed, that no application's own advisory lock has by chance."""
    digest = hashlib.sha256(b"fieldstone.kvs.lock\0" + name.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _state(error: DatabaseError) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)

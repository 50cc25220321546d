# ruff: noqa: S608  # the texts are built of names of ours; values are parameters
"""MariaDB, from 10.6 on."""

from __future__ import annotations

from django.db import DatabaseError, OperationalError
from django.db.backends.utils import CursorWrapper

from fieldstone.kvs.backends.database.engines.base import HELD_BY_TRANSACTION, Asked, Engine, Row, Table, marks
from fieldstone.kvs.tables import ENTRY, LOCK

_NO_WAIT = "SET STATEMENT innodb_lock_wait_timeout = 0 FOR"
_WAITED, _DEADLOCK, _AUTO_INCREMENT_DEADLOCK, _NO_TABLE = 1205, 1213, 1467, 1146


class MariaDB(Engine):
    # No other function of the time does without the session's time zone, whose clocks go back once a year.
    microseconds = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
    now = f"{microseconds} DIV 1000"

    def _set(self, count: int, milliseconds: int | None) -> str:
        return (
            f"{self._insert(count, milliseconds)}"
            " ON DUPLICATE KEY UPDATE entry = VALUES(entry), expires = VALUES(expires)"
        )

    # ON DUPLICATE KEY has no WHERE, and the count of its rows does not tell what was done: Django asks for rows
    # that were found. IGNORE ignores that the name is there; nothing else can be wrong with a row that was
    # checked.
    def add(self, cursor: CursorWrapper, row: Row, milliseconds: int | None) -> bool:
        cursor.execute(self._insert(1, milliseconds).replace("INSERT", "INSERT IGNORE", 1), [*row])
        if cursor.rowcount == 1:
            return True
        name, entry = row
        cursor.execute(
            f"UPDATE {ENTRY} SET entry = %s, expires = {self.expires(milliseconds)}"
            f" WHERE name = %s AND expires <= {self.now}",
            [entry, name],
        )
        return bool(cursor.rowcount == 1)

    def value_limit(self, cursor: CursorWrapper) -> int | None:
        cursor.execute("SELECT @@max_allowed_packet")
        return int(cursor.fetchone()[0])

    # UPDATE has no RETURNING; what LAST_INSERT_ID is given comes back with the answer. Of rows that do not match
    # nothing stays locked, as transactions are isolated by Django's default. With no row yet, one is made that
    # nobody holds. Where somebody has the row locked, none of it waits.
    def grant(self, cursor: CursorWrapper, asked: Asked) -> int | None:
        try:
            if self._update(cursor, asked):
                return int(cursor.lastrowid)
            cursor.execute(
                f"{_NO_WAIT} INSERT IGNORE INTO {LOCK} (name, owner, expires, fence) VALUES (%s, '', 1, 0)",
                [asked.name],
            )
            if cursor.rowcount == 1 and self._update(cursor, asked):
                return int(cursor.lastrowid)
        except OperationalError as error:
            if _number(error) != _WAITED:
                raise
        return None

    def _update(self, cursor: CursorWrapper, asked: Asked) -> bool:
        expires = HELD_BY_TRANSACTION if asked.milliseconds is None else self.expires(asked.milliseconds)
        cursor.execute(
            f"{_NO_WAIT} UPDATE {LOCK} SET fence = LAST_INSERT_ID(greatest(fence + 1, {self.microseconds})),"
            f" owner = %s, expires = {expires} WHERE name = %s AND expires <= {self.now} AND NOT {self.queued}",
            [asked.owner, asked.name, asked.name, asked.before],
        )
        return bool(cursor.rowcount == 1)

    # To see whether a transaction has the row, it is asked for as if it were to be locked; none matches, so none
    # is.
    def is_held(self, cursor: CursorWrapper, name: str) -> bool:
        if self._is_leased(cursor, name):
            return True
        try:
            cursor.execute(f"SELECT 1 FROM {LOCK} WHERE name = %s AND fence < 0 FOR UPDATE NOWAIT", [name])
            cursor.fetchall()
        except OperationalError as error:
            if _number(error) != _WAITED:
                raise
            return True
        return False

    # The table that rows are deleted from cannot be the one of a subquery with a limit.
    def sweep(self, cursor: CursorWrapper, table: Table, milliseconds: int, limit: int) -> None:
        is_over = f"{table.ends} <= {self.now} - %s"
        cursor.execute(f"SELECT {table.key} FROM {table.name} WHERE {is_over} LIMIT %s", [milliseconds, limit])
        keys = [key for (key,) in cursor.fetchall()]
        if keys:
            cursor.execute(
                f"{_NO_WAIT} DELETE FROM {table.name} WHERE {table.key} IN ({marks(keys)}) AND {is_over}",
                [*keys, milliseconds],
            )

    def is_deadlock(self, error: DatabaseError) -> bool:
        return _number(error) in (_DEADLOCK, _AUTO_INCREMENT_DEADLOCK)

    def is_missing_table(self, error: DatabaseError) -> bool:
        return _number(error) == _NO_TABLE


def _number(error: DatabaseError) -> object:
    return error.args[0] if error.args else None

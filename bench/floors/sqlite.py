"""The sqlite3 module, with transactions begun by hand: IMMEDIATE, as the store's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bench.floors.base import Floor


class SQLiteFloor(Floor):
    mark, moment = "?", "text"
    empty = "DELETE FROM {}"
    row_lock = ""  # IMMEDIATE has locked the database
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
    def transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        with self.connection:
            yield

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self.connection.executemany(statement, rows)

    def stream(self, statement: str, values: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
        return self.connection.execute(statement, values)

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(columns))
        with self.transaction():
            self.connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def one_of(self, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        return f"IN ({', '.join('?' * len(values))})", values

    def now(self) -> str:
        return datetime.now(UTC).isoformat(sep=" ")

    def bytes_of(self, table: str) -> dict[str, int]:
        """Whole pages of the file: what a page has free belongs to whom it is given to."""
        rows = self.connection.execute(
            "SELECT type, sum(pgsize) FROM dbstat JOIN sqlite_master USING (name)"
            " WHERE tbl_name = ? GROUP BY type",
            (table,),
        )
        found = dict(rows.fetchall())
        return {"rows": found["table"], "indexes": found.get("index", 0)}

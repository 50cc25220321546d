"""psycopg 3 as it comes: it binds on the server and prepares what it has seen five times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import psycopg

from bench.floors.base import Floor


class PostgreSQLFloor(Floor):
    moment = "timestamptz"
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

    def stream(self, statement: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        with self.connection.transaction(), self.connection.cursor("floor_stream") as cursor:
            cursor.itersize = 2_000
            yield from cursor.execute(statement, values)

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def one_of(self, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        return "= ANY(?)", (list(values),)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def bytes_of(self, table: str) -> dict[str, int]:
        """TOAST is where values go that do not fit into a page's row."""
        row = self.connection.execute(
            "SELECT pg_table_size(oid) - coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0),"
            " coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0), pg_indexes_size(oid)"
            " FROM pg_class WHERE oid = %s::regclass",
            (table,),
        ).fetchone()
        return dict(zip(("rows", "TOAST", "indexes"), row or (), strict=True))

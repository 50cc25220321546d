"""mysqlclient: it puts the parameters into the statement's text itself, and the server parses that each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import MySQLdb
from MySQLdb.cursors import SSCursor

from bench.floors.base import Floor

ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


def connect(**arguments: Any) -> Any:
    """A connection in autocommit, with the character set and isolation that Django asks for."""
    return MySQLdb.connect(charset="utf8mb4", autocommit=True, init_command=ISOLATION, **arguments)


class MariaDBFloor(Floor):
    moment = "datetime(6)"
    upsert = " ON DUPLICATE KEY UPDATE value = VALUES(value), modified = VALUES(modified)"
    durable = (
        "innodb_flush_log_at_trx_commit",
        "innodb_doublewrite",
        "sync_binlog",
        "innodb_flush_method",
        "transaction_isolation",
    )
    connection: Any

    def version(self) -> str:
        driver = ".".join(map(str, MySQLdb.version_info[:3]))
        return f"MariaDB {self.connection.get_server_info().split('-MariaDB')[0]}, mysqlclient {driver}"

    def setting(self, name: str) -> str:
        return f"SHOW VARIABLES LIKE '{name.replace('transaction_isolation', 'tx_isolation')}'"

    def settle(self) -> None:
        for (table,) in self.execute("SHOW TABLES").fetchall():
            self.execute(f"ANALYZE TABLE {table}").fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.query("BEGIN")
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        cursor = self.connection.cursor()
        cursor.execute(statement, values or None)
        return cursor

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self.connection.cursor().executemany(statement, rows)

    def stream(self, statement: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        with self.connection.cursor(SSCursor) as cursor:
            cursor.execute(statement, values)
            yield from cursor

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        marks = ", ".join(["%s"] * len(columns))
        with self.transaction():
            self.execute_many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", list(rows))

    def one_of(self, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        return "IN ?", (tuple(values),)

    def now(self) -> str:
        # As text: of a datetime the driver would send no microseconds.
        return datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")

    def bytes_of(self, table: str) -> dict[str, int]:
        """The pages of each index; the rows are in the primary key's, long values beside them included."""
        self.execute(f"ANALYZE TABLE {table}").fetchall()
        rows = self.execute(
            "SELECT index_name, stat_value * @@innodb_page_size FROM mysql.innodb_index_stats"
            " WHERE database_name = DATABASE() AND table_name = %s AND stat_name = 'size'",
            (table,),
        )
        found = {name: int(size) for name, size in rows.fetchall()}
        return {"rows": found.pop("PRIMARY"), "indexes": sum(found.values())}

"""What each engine needs, so that a table's rows can be put back as they were."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseError


class Keeping:
    """Of one database, through the harness's own connection."""

    insert = "INSERT INTO {table} ({columns}) SELECT {columns} FROM {copy}"
    begin: tuple[str, ...] = ("BEGIN",)

    def __init__(self, side: BaseDatabaseWrapper, timeout: float) -> None:
        self.side = side

    def computed(self, table: str) -> Collection[str]:
        """Names of columns that the database fills itself, and takes from nobody."""
        return ()

    def counter(self, table: str, column: str) -> Any:
        """The state of what numbers new rows; ``None`` where there is nothing of the kind."""
        return None

    def set_counter(self, table: str, column: str, value: Any) -> None:
        """As ``counter`` gave it."""

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        """A transaction that may break foreign keys, as long as they hold in the end."""
        self.do(*self.begin)
        try:
            yield
        except BaseException:
            self.do("ROLLBACK")
            raise
        self.do("COMMIT")

    def ask(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        with self.side.cursor() as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall())

    def do(self, *statements: str) -> None:
        with self.side.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)

    def quoted(self, name: str) -> str:
        return str(self.side.ops.quote_name(name))


_STATE = "SELECT last_value, is_called FROM {}"


class PostgresqlKeeping(Keeping):
    insert = "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {copy}"

    def __init__(self, side: BaseDatabaseWrapper, timeout: float) -> None:
        super().__init__(side, timeout)
        self.do(f"SET lock_timeout = {round(timeout * 1000)}")
        # Foreign keys, with their cascades, are triggers here; where those cannot be left out, Django's keys at
        # least wait for the commit.
        try:
            self.do("SET session_replication_role = replica", "SET session_replication_role = origin")
            self.begin = ("BEGIN", "SET LOCAL session_replication_role = replica")
        except DatabaseError:  # a privilege
            self.begin = ("BEGIN", "SET CONSTRAINTS ALL DEFERRED")

    def computed(self, table: str) -> Collection[str]:
        sql = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attgenerated <> ''"
        return [name for (name,) in self.ask(sql, self.quoted(table))]

    def counter(self, table: str, column: str) -> Any:
        sequence = self._sequence(table, column)
        return self.ask(_STATE.format(sequence))[0] if sequence else None

    def set_counter(self, table: str, column: str, value: Any) -> None:
        self.ask("SELECT setval(%s, %s, %s)", self._sequence(table, column), *value)

    def _sequence(self, table: str, column: str) -> str:
        return self.ask("SELECT pg_get_serial_sequence(%s, %s)", self.quoted(table), column)[0][0] or ""


class MysqlKeeping(Keeping):
    def __init__(self, side: BaseDatabaseWrapper, timeout: float) -> None:
        super().__init__(side, timeout)
        seconds = max(1, round(timeout))
        self.do(f"SET innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}, foreign_key_checks = 0")
        self.do("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")

    def computed(self, table: str) -> Collection[str]:
        sql = (
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND table_name = %s AND generation_expression <> ''"
        )
        return [name for (name,) in self.ask(sql, table)]

    def counter(self, table: str, column: str) -> Any:
        sql = (
            "SELECT auto_increment FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name = %s"
        )
        return self.ask(sql, table)[0][0]

    def set_counter(self, table: str, column: str, value: Any) -> None:
        self.do(f"ALTER TABLE {self.quoted(table)} AUTO_INCREMENT = {value:d}")


class SqliteKeeping(Keeping):
    begin = ("BEGIN IMMEDIATE",)
    STORED_OR_NOT = (2, 3)

    def __init__(self, side: BaseDatabaseWrapper, timeout: float) -> None:
        super().__init__(side, timeout)
        self.do("PRAGMA foreign_keys = OFF")
        # Connections to one database in memory lock tables (sqlite_sequence, too) against reading.
        self.do("PRAGMA read_uncommitted = 1")

    def computed(self, table: str) -> Collection[str]:
        rows = self.ask(f"PRAGMA table_xinfo({self.quoted(table)})")
        return [row[1] for row in rows if row[6] in self.STORED_OR_NOT]

    def counter(self, table: str, column: str) -> Any:
        if not self.ask("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"):
            return None
        found = self.ask("SELECT seq FROM sqlite_sequence WHERE name = %s", table)
        return found[0][0] if found else 0

    def set_counter(self, table: str, column: str, value: Any) -> None:
        with self.side.cursor() as cursor:
            cursor.execute("UPDATE sqlite_sequence SET seq = %s WHERE name = %s", [value, table])


ENGINES: Mapping[str, type[Keeping]] = {
    "postgresql": PostgresqlKeeping,
    "mysql": MysqlKeeping,
    "sqlite": SqliteKeeping,
}
"""By Django's ``connection.vendor``."""

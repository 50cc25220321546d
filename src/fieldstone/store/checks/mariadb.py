"""What the store needs of MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.db.backends.base.base import BaseDatabaseWrapper

OLDEST = (10, 7)
"""The type UUID, which a save's token is written as. INSERT ... RETURNING came with 10.5."""

COLLATION = "utf8mb4_nopad_bin"
STRICT = {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"}


def in_settings(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    return iter(())


def asked(connection: Any) -> Iterator[CheckMessage]:
    wrong_server = list(of_server(connection.alias, connection.mysql_is_mariadb, connection.mysql_version))
    if wrong_server:
        yield from wrong_server
        return
    if not connection.sql_mode & STRICT:
        yield Error(
            f"{connection.alias!r} is not in strict mode: MariaDB cuts off what is too long, and says nothing.",
            hint="Put STRICT_TRANS_TABLES into sql_mode: in the server's configuration, or in OPTIONS of "
            f"""DATABASES[{connection.alias!r}]: "init_command": "SET sql_mode='STRICT_TRANS_TABLES'".""",
            id="fieldstone_store.E153",
        )
    yield from _collations(connection)
    yield from _storage(connection)
    yield from _isolation(connection)


def of_server(alias: str, is_mariadb: bool, version: tuple[int, ...]) -> Iterator[CheckMessage]:
    if not is_mariadb:
        yield Error(
            f"The database {alias!r} is MySQL, which the store does not support: it has no INSERT ... RETURNING.",
            hint="Send the store's tables to MariaDB, PostgreSQL or SQLite.",
            id="fieldstone_store.E151",
        )
    elif version < OLDEST:
        yield Error(
            f"The database {alias!r} is MariaDB {'.'.join(map(str, version))}, and the store needs "
            f"{'.'.join(map(str, OLDEST))}.",
            hint="Upgrade the server; 10.11 is what the store is tested on.",
            id="fieldstone_store.E152",
        )


def _collations(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    for table, columns in _key_columns().items():
        for column, collation in _rows(
            connection,
            "SELECT column_name, collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
            " AND table_name = %s AND column_name IN %s",
            [table, columns],
        ):
            if collation != COLLATION:
                yield Error(
                    f"The column {table}.{column} of {connection.alias!r} is collated by {collation}: keys that "
                    "differ in case or in trailing spaces alone may be taken for one.",
                    hint=f"ALTER TABLE {table} MODIFY the column, with its type and NOT NULL as they are, "
                    f"CHARACTER SET utf8mb4 COLLATE {COLLATION}.",
                    id="fieldstone_store.E154",
                )


def _key_columns() -> dict[str, tuple[str, ...]]:
    """The columns that rows are found by as text, by table."""
    models = apps.get_app_config("fieldstone_store").get_models()
    names = {"key", "block_type", "module_type", "field_name"}
    columns = {
        model._meta.db_table: tuple(
            field.column for field in model._meta.concrete_fields if field.column and field.name in names
        )
        for model in models
    }
    return {table: of_table for table, of_table in columns.items() if of_table}


def _storage(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    tables = tuple(model._meta.db_table for model in apps.get_app_config("fieldstone_store").get_models())
    engines = dict(
        _rows(
            connection,
            "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()"
            " AND table_name IN %s",
            [tables],
        )
    )
    if not engines:  # before the first migration: what the tables will be
        ((default,),) = _rows(connection, "SELECT @@default_storage_engine")
        engines = {"default_storage_engine": default}
    wrong = {name: engine for name, engine in engines.items() if engine.upper() != "INNODB"}
    if wrong:
        yield Error(
            f"On {connection.alias!r} not all is InnoDB: {', '.join(f'{n} is {e}' for n, e in wrong.items())}. "
            "Others have no transactions, and a save that fails would stay half-written.",
            hint="ALTER TABLE ... ENGINE=InnoDB, and set default_storage_engine to InnoDB for tables to come.",
            id="fieldstone_store.E155",
        )


def _isolation(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    # One variable under two names, of which each release has one or both.
    names = "('tx_isolation', 'transaction_isolation')"
    (_, value), *_ = _rows(connection, f"SHOW VARIABLES WHERE Variable_name IN {names}")
    level = value.replace("-", " ").lower()
    if level != "read committed":
        yield Warning(
            f"Transactions on {connection.alias!r} are {level}: saves lock the gaps between rows too, and "
            "may deadlock.",
            hint="Leave isolation_level in OPTIONS at Django's own, read committed.",
            id="fieldstone_store.W156",
        )


def _rows(connection: BaseDatabaseWrapper, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())

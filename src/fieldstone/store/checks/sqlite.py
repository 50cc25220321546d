"""What the store needs of SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

OLDEST = (3, 35, 0)
"""RETURNING. Upserts, row values and ``json_patch`` are older; Django's own least, 3.31, is older too."""

WAITING = {"IMMEDIATE", "EXCLUSIVE"}


def in_settings(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode")
    if str(mode).upper() not in WAITING:
        yield Warning(
            f"Transactions on {connection.alias!r} begin without the write lock: of two that save at once, one "
            "fails half-way instead of waiting for its turn.",
            hint=f'Put "transaction_mode": "IMMEDIATE" into OPTIONS of DATABASES[{connection.alias!r}].',
            id="fieldstone_store.W134",
        )


def asked(connection: Any) -> Iterator[CheckMessage]:
    yield from of_version(connection.alias, connection.Database.sqlite_version_info)
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT json_patch('{}', '{}'), json_extract('[]', '$[0]') FROM json_each('[]')")
        except DatabaseError as error:
            yield Error(
                f"The SQLite library behind {connection.alias!r} has no JSON functions: {error}.",
                hint="Use a Python whose SQLite is 3.38 or newer, or was compiled with them.",
                id="fieldstone_store.E132",
            )
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]
    # A database in memory knows no such mode, and has no other process to wait for.
    if mode != "wal" and not connection.is_in_memory_db():
        yield Warning(
            f"The journal mode of {connection.alias!r} is {mode.upper()}: readers and writer wait for each other.",
            hint='Put "init_command": "PRAGMA journal_mode=WAL" into OPTIONS of '
            f"DATABASES[{connection.alias!r}]. It needs a local disk.",
            id="fieldstone_store.W133",
        )


def of_version(alias: str, version: tuple[int, int, int]) -> Iterator[CheckMessage]:
    if version < OLDEST:
        yield Error(
            f"The SQLite library behind {alias!r} is {'.'.join(map(str, version))}, and the store needs "
            f"{'.'.join(map(str, OLDEST[:2]))}.",
            hint="Use a Python that is built with a newer one: python -c 'import sqlite3; "
            "print(sqlite3.sqlite_version)' shows it.",
            id="fieldstone_store.E131",
        )

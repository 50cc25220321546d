"""Throw-away databases: one engine at a time stands under Django's alias ``default``, and is dropped after."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.core.management import call_command
from django.db import connections

from bench.floors import Floor, PostgreSQLFloor, SQLiteFloor

POSTGRESQL_URL = "FIELDSTONE_POSTGRESQL_URL"


class NoServerError(Exception):
    """The engine's server is not known; the message says what to do."""


@dataclass(frozen=True)
class Database:
    """A database with Fieldstone's tables under ``default``, and the bare driver's own connection to it."""

    engine: str
    floor: Floor


@contextmanager
def throw_away(engine: str, folder: Path | None = None) -> Iterator[Database]:
    """A new database of this engine. SQLite's file is put on disk, in ``folder`` or the system's temporary one."""
    opened = _sqlite(folder) if engine == "sqlite" else _postgresql()
    with opened as (configuration, floor):
        _use(configuration)
        try:
            call_command("migrate", verbosity=0)
            connections["default"].ensure_connection()
            floor.create()
            yield Database(engine, floor)
        finally:
            connections["default"].close()


def _use(configuration: dict[str, Any]) -> None:
    """Point ``default`` at another database, as Django's test runner does with its copies."""
    connections.settings = connections.configure_settings({"default": configuration})
    if hasattr(connections._connections, "default"):
        del connections["default"]


@contextmanager
def _sqlite(folder: Path | None) -> Iterator[tuple[dict[str, Any], Floor]]:
    with tempfile.TemporaryDirectory(prefix="fieldstone-bench-", dir=folder) as name:
        path = Path(name) / "bench.sqlite3"
        configuration = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL",
                "timeout": 20,
            },
        }
        with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            yield configuration, SQLiteFloor(connection)


@contextmanager
def _postgresql() -> Iterator[tuple[dict[str, Any], Floor]]:
    address = os.environ.get(POSTGRESQL_URL)
    if not address:
        raise NoServerError(f"PostgreSQL: {POSTGRESQL_URL} is not set. `make bench` starts a server and sets it.")
    server, name = urlsplit(address), f"fieldstone_bench_{os.getpid()}"
    with closing(psycopg.connect(address, autocommit=True)) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            configuration = {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": name,
                "HOST": server.hostname,
                "PORT": server.port,
                "USER": server.username,
                "PASSWORD": server.password or "",
            }
            bare = urlsplit(address)._replace(path=f"/{name}").geturl()
            with closing(psycopg.connect(bare, autocommit=True)) as connection:
                yield configuration, PostgreSQLFloor(connection)
        finally:
            connections["default"].close()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

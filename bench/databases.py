"""Throw-away databases: one engine at a time stands under Django's alias ``default``, and is dropped after."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.core.management import call_command
from django.db import connections

from bench.floors import Floor, PostgreSQLFloor, SQLiteFloor
from fieldstone.store.usages import forget_all

ENGINES = {
    "postgresql": "PostgreSQL",
    "prepared": "PostgreSQL, prepared",
    "mariadb": "MariaDB",
    "sqlite": "SQLite",
}
PREPARED = {"server_side_binding": True, "prepare_threshold": 5}
"""Django's options for PostgreSQL that docs/reference/settings.md recommends. The floor prepares in any case."""

URLS = {
    "postgresql": "FIELDSTONE_POSTGRESQL_URL",
    "prepared": "FIELDSTONE_POSTGRESQL_URL",
    "mariadb": "FIELDSTONE_MARIADB_URL",
}
"""The variables that hold the addresses of servers."""

Configuration = dict[str, Any]
"""A database as Django's settings describe it."""


class NoServerError(Exception):
    """The engine's server is not known; the message says what to do."""


@dataclass(frozen=True)
class Database:
    """A database with Fieldstone's tables under ``default``, and the bare driver's own connection to it."""

    engine: str
    configuration: Configuration
    floor: Floor
    closing: ExitStack = field(default_factory=ExitStack)
    """What is to be closed before the database is dropped."""


def available() -> list[str]:
    """The engines that can be measured here: SQLite always, the others when their address is given."""
    # mysqlclient has to be compiled, so an environment may be without it (scripts/mysql_driver.py).
    missing = {"mariadb"} if find_spec("MySQLdb") is None else set()
    return [e for e in ENGINES if e not in missing and (e not in URLS or os.environ.get(URLS[e]))]


@contextmanager
def throw_away(engine: str, folder: Path | None = None) -> Iterator[Database]:
    """A new database of this engine. SQLite's file is put on disk, in ``folder`` or the system's temporary one."""
    with _made(engine, folder) as configuration:
        use({"default": configuration})
        call_command("migrate", verbosity=0)
        connections["default"].ensure_connection()
        with open_floor(engine, configuration) as floor, ExitStack() as closing_first:
            floor.create()
            yield Database(engine, configuration, floor, closing_first)


@contextmanager
def beside(database: Database, alias: str) -> Iterator[Floor]:
    """A second new database on the same server, with Fieldstone's tables, under an alias of its own."""
    default = {"default": database.configuration}
    with _made(database.engine, None, f"_{alias}") as configuration:
        use({**default, alias: configuration})
        call_command("migrate", database=alias, verbosity=0)
        with open_floor(database.engine, configuration) as floor:
            yield floor
    use(default)


def use(databases: dict[str, Configuration]) -> None:
    """Point aliases at other databases, as Django's test runner does with its copies."""
    _close_all()
    connections.settings = connections.configure_settings(databases)
    for alias in databases:
        if hasattr(connections._connections, alias):
            del connections[alias]
    forget_all()  # ids of the databases that were there before


def open_floor(engine: str, configuration: Configuration) -> AbstractContextManager[Floor]:
    """A bare connection to the database that Django would open by this configuration."""
    return _OPEN[engine](configuration)


def _close_all() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close()


@contextmanager
def _made(engine: str, folder: Path | None, suffix: str = "") -> Iterator[Configuration]:
    with _file(folder) if engine == "sqlite" else _database(engine, suffix) as configuration:
        try:
            yield configuration
        finally:
            _close_all()


@contextmanager
def _file(folder: Path | None) -> Iterator[Configuration]:
    with tempfile.TemporaryDirectory(prefix="fieldstone-bench-", dir=folder) as name:
        yield {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(name) / "bench.sqlite3",
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL", "timeout": 20},
        }


@contextmanager
def _database(engine: str, suffix: str) -> Iterator[Configuration]:
    address = os.environ.get(URLS[engine])
    if not address:
        raise NoServerError(
            f"{ENGINES[engine]}: {URLS[engine]} is not set. `make bench` starts a server and sets it."
        )
    server = urlsplit(address)
    configuration = {
        "ENGINE": f"django.db.backends.{'mysql' if engine == 'mariadb' else 'postgresql'}",
        "NAME": server.path.lstrip("/") or "mysql",
        "HOST": server.hostname,
        "PORT": server.port,
        "USER": server.username,
        "PASSWORD": server.password or "",
        "OPTIONS": PREPARED if engine == "prepared" else {},
    }
    name = f"fieldstone_bench_{os.getpid()}{suffix}"
    with open_floor(engine, configuration) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield {**configuration, "NAME": name}
        finally:
            _close_all()
            admin.execute(f"DROP DATABASE {name}{'' if engine == 'mariadb' else ' WITH (FORCE)'}")


@contextmanager
def _sqlite(configuration: Configuration) -> Iterator[Floor]:
    with closing(sqlite3.connect(configuration["NAME"], isolation_level=None, timeout=20)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        yield SQLiteFloor(connection)


@contextmanager
def _postgresql(configuration: Configuration) -> Iterator[Floor]:
    with closing(
        psycopg.connect(
            dbname=configuration["NAME"],
            host=configuration["HOST"],
            port=configuration["PORT"],
            user=configuration["USER"],
            password=configuration["PASSWORD"],
            autocommit=True,
        )
    ) as connection:
        yield PostgreSQLFloor(connection)


@contextmanager
def _mariadb(configuration: Configuration) -> Iterator[Floor]:
    mariadb = import_module("bench.floors.mariadb")  # only here, for its driver may be missing
    with closing(
        mariadb.connect(
            database=configuration["NAME"],
            host=configuration["HOST"],
            port=configuration["PORT"],
            user=configuration["USER"],
            password=configuration["PASSWORD"],
        )
    ) as connection:
        yield mariadb.MariaDBFloor(connection)


_OPEN: dict[str, Callable[[Configuration], AbstractContextManager[Floor]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "prepared": _postgresql,
    "mariadb": _mariadb,
}

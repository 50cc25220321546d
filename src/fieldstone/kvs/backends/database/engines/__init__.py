"""The backend's SQL: one module an engine."""

from __future__ import annotations

from fieldstone.kvs.backends.database.engines.base import Engine
from fieldstone.kvs.backends.database.engines.mariadb import MariaDB
from fieldstone.kvs.backends.database.engines.postgresql import PostgreSQL
from fieldstone.kvs.backends.database.engines.sqlite import SQLite

__all__ = ["ENGINES", "Engine"]

ENGINES: dict[str, Engine] = {"postgresql": PostgreSQL(), "sqlite": SQLite(), "mysql": MariaDB()}
"""By Django's name for the vendor."""

"""The store's SQL: one module an engine, each with the reason for its tricks beside the statement."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.errors import UnsupportedEngineError
from fieldstone.store.engines.base import Engine
from fieldstone.store.engines.mariadb import MariaDB
from fieldstone.store.engines.postgresql import PostgreSQL
from fieldstone.store.engines.sqlite import SQLite

__all__ = ["Engine", "engine_of"]

_ENGINES: dict[str, Engine] = {"postgresql": PostgreSQL(), "sqlite": SQLite(), "mysql": MariaDB()}


def engine_of(connection: BaseDatabaseWrapper) -> Engine:
    """The statements for the engine behind a connection. Raises ``UnsupportedEngineError``."""
    try:
        return _ENGINES[connection.vendor]
    except KeyError:
        raise UnsupportedEngineError(connection.alias, connection.vendor, sorted(_ENGINES)) from None

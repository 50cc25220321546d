"""Checks of the engines behind the aliases: what the settings say, and what the databases answer.

Django passes on ``databases`` where the command is about some (``migrate``, ``check --database``): only those are
asked. What can be seen without asking is checked always, for the aliases that the routers send the tables to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.errors import UnsupportedEngineError
from fieldstone.store.checks import mariadb, postgresql, sqlite
from fieldstone.store.checks.routing import HISTORY, with_tables
from fieldstone.store.engines import engine_of
from fieldstone.store.engines.history import HistoryTable
from fieldstone.store.routing import home_for_writing

_ENGINES = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mariadb}


def check_engines(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Without asking any database."""
    routed = set(home_for_writing(None)) & connections.settings.keys()
    found: list[CheckMessage] = []
    for alias in sorted({*with_tables(databases or ()), *routed}):
        connection = connections[alias]
        if _is_supported(connection):
            found += _ENGINES[connection.vendor].in_settings(connection)
        else:
            found.append(
                Error(
                    f"The database {alias!r} is on an engine that the store has no statements for: "
                    f"{connection.display_name}.",
                    hint="Send the store's tables to SQLite, PostgreSQL or MariaDB: by ENGINE in DATABASES, or "
                    "with db_for_write() and allow_migrate() of a database router.",
                    id="fieldstone_store.E121",
                )
            )
    return found


def check_databases(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for connection in map(connections.__getitem__, with_tables(databases or ())):
        if _is_supported(connection):
            found += _answers(connection.alias, partial(_ENGINES[connection.vendor].asked, connection))
    return found


def check_history_database(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Asks both when either is given: ``migrate`` names one at a time, and comparing takes two."""
    home = home_for_writing(None)
    if not home.is_divided or not set(home) & set(databases or ()):
        return []
    if not all(alias in connections.settings and _is_supported(connections[alias]) for alias in home):
        return []  # E111 and E121 say so
    return _answers(" or ".join(home), partial(_one_under_two_names, *home))


def _one_under_two_names(states: str, history: str) -> Iterator[CheckMessage]:
    if HistoryTable(states).is_same_table(HistoryTable(history)):
        yield Error(
            f"The databases {states!r} and {history!r} are one under two names, and {HISTORY} is to be moved from "
            "the one to the other.",
            hint=f"Give {history!r} a database of its own in DATABASES, or let the routers send {HISTORY} to "
            f"{states!r}.",
            id="fieldstone_store.E113",
        )


def _is_supported(connection: BaseDatabaseWrapper) -> bool:
    try:
        engine_of(connection)
    except UnsupportedEngineError:
        return False
    return True


def _answers(names: str, ask: Callable[[], Iterable[CheckMessage]]) -> list[CheckMessage]:
    try:
        return list(ask())
    except DatabaseError as error:
        return [
            Error(
                f"The database {names} cannot be asked: {error}".rstrip(),
                hint="Mend what the database says, or its entry in DATABASES.",
                id="fieldstone_store.E122",
            )
        ]

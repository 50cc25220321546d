"""What passes through a connection of Django's: every statement, and the end of every transaction."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True, slots=True)
class Statement:
    """One round trip to a database, or one call of SQLite's."""

    connection: BaseDatabaseWrapper
    sql: str
    """With placeholders for the parameters; ``COMMIT`` and ``ROLLBACK`` for the ends of transactions."""
    params: Any = None
    """As the driver gets them; a list of such where ``many``."""
    many: bool = False
    """It came by ``executemany``."""

    @property
    def ends_transaction(self) -> bool:
        """A commit or a rollback of Django's own. Those are calls of the driver, not statements with a cursor."""
        return self.sql in ("COMMIT", "ROLLBACK")


Run = Callable[[], Any]
"""Runs the statement, and raises what it raises."""
Watcher = Callable[[Run, Statement], Any]
"""Is called for each statement, in its place: gives back what ``run()`` gave, and may do more, or raise instead.

It may call ``run`` more than once, and may use the connection itself: of what it does there it is told, too.
"""


def watch(connection: BaseDatabaseWrapper, watcher: Watcher) -> Callable[[], None]:
    """Tell ``watcher`` of all that passes through ``connection``, until the function given back is called.

    The watcher that came first is the outermost, as with Django's ``execute_wrapper``; they may go in any order.
    Not seen: ``BEGIN`` on PostgreSQL and MariaDB (Django turns autocommit off instead), and the driver's own
    words at a login.
    """

    def of_a_statement(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        run = functools.partial(execute, sql, params, many, context)
        return watcher(run, Statement(connection, str(sql), params, many))

    connection.execute_wrappers.append(of_a_statement)
    _ends_of(connection).append(watcher)

    def forget() -> None:
        connection.execute_wrappers.remove(of_a_statement)
        _ends_of(connection).remove(watcher)
        if not _ends_of(connection):
            for name in (*_METHODS, _ENDS):
                del vars(connection)[name]

    return forget


def watch_all(watcher: Watcher, aliases: Iterable[str] | None = None) -> Callable[[], None]:
    """``watch`` this thread's connections, open or not: of all the databases, or of these."""
    undo = [watch(connection, watcher) for connection in connections_here(aliases)]

    def forget() -> None:
        for each in undo:
            each()

    return forget


def connections_here(aliases: Iterable[str] | None = None) -> list[BaseDatabaseWrapper]:
    """This thread's connections, of all the databases or of these; none where Django has no settings.

    Raises ``ConnectionDoesNotExist`` for an alias that the settings do not have.
    """
    if aliases is None:
        return list(connections.all()) if settings.configured else []
    return [connections[alias] for alias in aliases]


_ENDS = "_fieldstone_watchers"
"""Where a connection keeps those who are told of the ends of its transactions."""
_METHODS = {"_commit": "COMMIT", "_rollback": "ROLLBACK"}
"""Of Django's connections: all its ways to end a transaction lead to these two."""


def _ends_of(connection: BaseDatabaseWrapper) -> list[Watcher]:
    kept: dict[str, Any] = vars(connection)
    if _ENDS not in kept:
        kept[_ENDS] = []
        for name, sql in _METHODS.items():
            kept[name] = _told(connection, sql, getattr(connection, name))
    watchers: list[Watcher] = kept[_ENDS]
    return watchers


def _told(connection: BaseDatabaseWrapper, sql: str, end: Run) -> Run:
    def ended() -> Any:
        run = end
        for watcher in reversed(_ends_of(connection)):
            run = functools.partial(watcher, run, Statement(connection, sql))
        return run()

    return ended

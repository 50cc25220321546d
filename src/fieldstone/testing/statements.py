"""What passes through a connection of Django's: every statement, and the end of every transaction."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import MappingProxyType
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
    ends = _Ends.of(connection)
    ends.watchers.append(watcher)

    def forget() -> None:
        # A test may have emptied Django's list, or put a mock in the place of what is told of commits.
        with suppress(ValueError):
            connection.execute_wrappers.remove(of_a_statement)
        ends.forget(watcher)

    return forget


def watch_all(watcher: Watcher, aliases: Iterable[str] | None = None) -> Callable[[], None]:
    """``watch`` this thread's connections, open or not: of all the databases, or of these."""
    undo = [watch(connection, watcher) for connection in connections_here(aliases)]

    def forget() -> None:
        with ExitStack() as each:
            for one in undo:
                each.callback(one)

    return forget


def connections_here(aliases: Iterable[str] | None = None) -> list[BaseDatabaseWrapper]:
    """This thread's connections, of all the databases or of these; none where Django has no settings.

    Raises ``ConnectionDoesNotExist`` for an alias that the settings do not have.
    """
    if aliases is None:
        return list(connections.all()) if settings.configured else []
    return [connections[alias] for alias in aliases]


class _Ends:
    """The ends of one connection's transactions: all of Django's ways to them lead to two methods."""

    METHODS = MappingProxyType({"_commit": "COMMIT", "_rollback": "ROLLBACK"})
    KEPT_AS = "_fieldstone_ends"

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.watchers: list[Watcher] = []
        self._before: dict[str, Any] = {}
        """What was an attribute of the connection itself: a mock, another tool's."""
        self._ours: dict[str, Run] = {}

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper) -> _Ends:
        kept: dict[str, Any] = vars(connection)
        ends: _Ends = kept.setdefault(cls.KEPT_AS, cls(connection))
        for name, sql in cls.METHODS.items():
            if name not in ends._ours:
                if name in kept:
                    ends._before[name] = kept[name]
                ends._ours[name] = ends._told(sql, getattr(connection, name))
                kept[name] = ends._ours[name]
            else:
                kept.setdefault(name, ends._ours[name])  # a mock may have taken ours away with itself
        return ends

    def forget(self, watcher: Watcher) -> None:
        with suppress(ValueError):
            self.watchers.remove(watcher)
        if self.watchers:
            return
        kept: dict[str, Any] = vars(self.connection)
        kept.pop(self.KEPT_AS, None)
        for name, ours in self._ours.items():
            if kept.get(name) is ours:  # else somebody is over it, to whom it is a way through
                del kept[name]
                kept |= {name: self._before[name]} if name in self._before else {}

    def _told(self, sql: str, end: Run) -> Run:
        def ended() -> Any:
            run = end
            for watcher in reversed(self.watchers):
                run = functools.partial(watcher, run, Statement(self.connection, sql))
            return run()

        return ended

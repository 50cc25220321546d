"""The time of the databases while a clock is active: each connection is told before its next statement.

Before, and not when the clock begins or moves: then connections that are opened later follow, too, and those of
other threads are never used but in their own. It is said with the driver's own cursor, so no query is counted.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from weakref import WeakSet

import django.db
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from fieldstone.testing.clock.expressions import follow
from fieldstone.testing.clock.replacing import Undo, replace
from fieldstone.testing.clock.sqlite import Time

__tracebackhide__ = True  # pytest: errors are shown at the line of the test


class Teller(Protocol):
    """Sets the time of one connection of a driver."""

    driver: Any

    def tell(self, moment: datetime | None) -> None:
        """``None`` for the real time."""


class OnSQLite:
    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.driver = connection.connection
        self._busy: type[Exception] = _errors(connection).OperationalError
        self._time: Time | None = None
        # Where a schema is not trusted, its defaults and indexes must not have functions that are not SQLite's.
        self._trusted = self.driver.execute("PRAGMA trusted_schema").fetchone() != (0,)

    def tell(self, moment: datetime | None) -> None:
        if self._time is None and self._trusted and moment is not None:
            time = Time()
            try:
                time.install(self.driver)
            except self._busy:
                return  # a query is being read: the next statement tries again
            self._time = time
        if self._time is not None:
            self._time.set(moment)


class OnMySQL:
    """MariaDB and MySQL."""

    FIRST, LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2038, 1, 18, tzinfo=UTC)
    """What every version takes for its ``timestamp``, with a day to spare."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.driver = connection.connection
        self._errors_of_django = connection.wrap_database_errors
        self._told = "DEFAULT"

    def tell(self, moment: datetime | None) -> None:
        timestamp = "DEFAULT" if moment is None or not self.FIRST < moment < self.LAST else _seconds(moment)
        if timestamp == self._told:
            return
        with self._errors_of_django, closing(self.driver.cursor()) as cursor:
            cursor.execute(f"SET timestamp = {timestamp}")
        self._told = timestamp


def _seconds(moment: datetime) -> str:
    """Since 1970; in a text, as a float of today's has not always the last microsecond."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{since // timedelta(seconds=1)}.{moment.microsecond:06}"


TELLERS: dict[str, Callable[[BaseDatabaseWrapper], Teller]] = {"sqlite": OnSQLite, "mysql": OnMySQL}
"""By Django's name of the vendor. Nobody can set PostgreSQL's time: there ``Now()`` alone follows."""
_TELLER = "_fieldstone_clock"
"""Where a connection keeps its teller."""

_lock = threading.RLock()
_clocks = 0
_undo: list[Undo] = []
"""Of what holds while there is a clock."""
_undo_telling: list[Undo] = []
"""Of what holds as long as there is a connection to tell: those of other threads learn the end late."""
_told: WeakSet[BaseDatabaseWrapper] = WeakSet()


def begin() -> None:
    """Make the databases follow Python's time."""
    global _clocks
    with _lock:
        _clocks += 1
        if _clocks == 1:
            _undo.append(follow())
            if not _undo_telling:
                names = ("execute", "executemany", "callproc")
                _undo_telling.extend(
                    replace(CursorWrapper, name, _telling(getattr(CursorWrapper, name))) for name in names
                )


def end() -> None:
    """With the last clock, give the databases their own time: connections of other threads as they speak next."""
    global _clocks
    with _lock:
        _clocks -= 1
        if _clocks:
            return
        _undo_all(_undo)
    if settings.configured:
        for connection in connections.all(initialized_only=True):
            if connection in _told:
                _tell_the_end(connection)
    _rest()


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def told(cursor: CursorWrapper, *args: Any, **kwargs: Any) -> Any:
        _tell(cursor.db)
        return method(cursor, *args, **kwargs)

    return told


def _tell(connection: BaseDatabaseWrapper) -> None:
    """In a broken transaction, not: whatever the statement is, Django says what broke it."""
    if connection.vendor not in TELLERS or connection.connection is None or connection.needs_rollback:
        return
    with _lock:
        is_active = _clocks > 0
        if is_active:
            _told.add(connection)
        elif connection not in _told:
            return
    _teller(connection).tell(datetime.now(UTC) if is_active else None)
    if not is_active:
        _forget(connection)
        _rest()


def _tell_the_end(connection: BaseDatabaseWrapper) -> None:
    """If it can be told now; otherwise its next statement tells it, or shows the same error."""
    if connection.connection is not None:
        try:
            _teller(connection).tell(None)
        except (_errors(connection).Error, django.db.Error):
            return
    _forget(connection)


def _teller(connection: BaseDatabaseWrapper) -> Teller:
    kept: Teller | None = vars(connection).get(_TELLER)
    if kept is None or kept.driver is not connection.connection:
        kept = vars(connection)[_TELLER] = TELLERS[connection.vendor](connection)
    return kept


def _errors(connection: Any) -> Any:
    """The module of the driver, whose errors Django has not translated."""
    return connection.Database


def _forget(connection: BaseDatabaseWrapper) -> None:
    with _lock:
        _told.discard(connection)


def _rest() -> None:
    """Leave Django's cursors alone, unless some connection is still to be told; one that was closed is not."""
    with _lock:
        if not _clocks and all(connection.connection is None for connection in _told):
            _told.clear()
            _undo_all(_undo_telling)


def _undo_all(undo: list[Undo]) -> None:
    for each in undo:
        each()
    undo.clear()

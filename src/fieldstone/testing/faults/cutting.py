"""The connection is cut, as by a network or a proxy that goes away."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import time
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NoReturn

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from fieldstone.testing.faults.beside import beside
from fieldstone.testing.faults.losing import Losing
from fieldstone.testing.faults.points import AtStatement, FaultNotPossible, When

PAUSE = 0.002
"""Seconds between two looks at whether the server has ended a session."""
LOOKS = 2_500


def cut_at(
    pattern: str | re.Pattern[str],
    *,
    nth: int | None = 1,
    when: When = "before",
    using: str = "default",
) -> AtStatement:
    """Lose the connection at the ``nth`` statement that matches: what the code sees is the driver's own error.

    "Before": the server never hears of the statement. "After": it has done it, and its answer is lost; done by
    itself, or a COMMIT, it stays done, and amid a transaction it is undone with the rest. The session is over on
    the server, and its locks are free, before the code goes on. Until Django reconnects, as at the end of a
    request or of an outermost ``atomic``, each further statement fails. At the end of the context a connection
    that is still lost is closed, so that the next statement connects anew.

    SQLite has no connection that could be lost, so the kit acts as if: what was not committed is gone, and the
    code sees an ``OperationalError``, as it would on a server.

    The rest is as with ``at_statement``. Raises ``FaultNotPossible`` in a ``TestCase``, whose transaction would be
    lost, and with a driver whose socket is not known.
    """
    return _Cutting("cut_at", pattern, nth=nth, when=when, using=using)


class _Cutting(Losing):
    def _prepare(self, connection: BaseDatabaseWrapper) -> None:
        __tracebackhide__ = True
        super()._prepare(connection)
        cut = CUTS.get(connection.vendor)
        if cut is None:
            known = ", ".join(CUTS)
            raise FaultNotPossible(f"{self} knows how to cut {known}, not {connection.vendor} of {self._using!r}.")
        self._cut = cut(connection)

    def _lose(self, result: Any) -> None:
        self._cut.cut(result)
        if self._when == "after" or not self._cut.fails_by_itself:
            self._cut.provoke()


class Cut(ABC):
    """How connections of an engine are cut."""

    fails_by_itself: ClassVar[bool] = True
    """A statement that is run on what was cut raises what it would after any such loss."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection

    @abstractmethod
    def cut(self, result: Any) -> None:
        """Lose the connection that Django has now, and wait until the server knows."""

    @abstractmethod
    def provoke(self) -> None:
        """Raise what the code is to see: what the driver raises when it is used again."""


class CutSocket(Cut):
    """Of a server: its socket is shut, plain, with TLS or of a path. The driver has to find out by itself."""

    sessions: ClassVar[str]
    """Asks whether the server still has a session of this number."""

    @abstractmethod
    def session(self, driver: Any) -> int:
        """The number that the server knows the session by."""

    def descriptor(self, driver: Any) -> int:
        return int(driver.fileno())

    def cut(self, result: Any) -> None:
        driver = self._connection.connection
        try:
            session, descriptor = self.session(driver), os.dup(self.descriptor(driver))
        except AttributeError as error:
            name = type(driver).__module__
            raise FaultNotPossible(f"cut_at does not know where {name} keeps its socket: {error}.") from error
        with socket.socket(fileno=descriptor) as end:
            end.shutdown(socket.SHUT_RDWR)
        self._wait_for_the_end_of(session)

    def _wait_for_the_end_of(self, session: int) -> None:
        """So that what was not committed is undone, and the locks are free, whatever the code does next.

        Only a courtesy: where no further connection is to be had, or a pooler keeps the session, the test goes on.
        """
        with contextlib.suppress(OperationalError), beside(self._connection) as cursor:
            for _ in range(LOOKS):
                cursor.execute(self.sessions, [session])
                if cursor.fetchone() is None:
                    return
                time.sleep(PAUSE)

    def provoke(self) -> None:
        with self._connection.wrap_database_errors:
            self._connection.connection.cursor().execute("SELECT 1")
        raise FaultNotPossible("cut_at has shut the connection's socket, and yet it answers.")


class CutPostgreSQL(CutSocket):
    sessions = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"

    def session(self, driver: Any) -> int:
        return int(driver.info.backend_pid)


class CutMySQL(CutSocket):
    sessions = "SELECT 1 FROM information_schema.processlist WHERE id = %s"

    def session(self, driver: Any) -> int:
        return int(driver.thread_id())

    def descriptor(self, driver: Any) -> int:
        """Of mysqlclient; PyMySQL has a socket of Python's."""
        return int(driver.fileno() if hasattr(driver, "fileno") else driver._sock.fileno())


class CutSQLite(Cut):
    """Rolls back, and leaves Django with a connection that fails as one to a server does that was lost.

    Django takes a connection to SQLite for usable always, and does not close databases in memory, since they would
    be gone: until it has reconnected, it is told otherwise, and the driver's own connection keeps such a database.
    """

    fails_by_itself = False

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        name = str(connection.settings_dict["NAME"])
        is_in_memory: bool = connection.is_in_memory_db()  # type: ignore[attr-defined]  # SQLite's has it
        if is_in_memory and "cache=shared" not in name:
            raise FaultNotPossible(
                f"cut_at would lose the whole database of {connection.alias!r}: {name!r} is in the memory of one"
                " connection.\nTest it on a file, or in a shared memory as Django's test runner makes it."
            )

    def cut(self, result: Any) -> None:
        driver: sqlite3.Connection = self._connection.connection
        if result is not None:
            result.close()  # a statement whose rows nobody has fetched would keep its lock
        driver.rollback()
        driver.set_progress_handler(lambda: 1, 1)  # which interrupts whatever a cursor still runs there
        own = vars(self._connection)
        own["is_usable"] = own["is_in_memory_db"] = lambda: False
        own["connection"] = LostDatabase()

        def reconnected(connection: BaseDatabaseWrapper, **_: Any) -> None:
            if connection is self._connection:
                connection_created.disconnect(reconnected)
                del own["is_usable"], own["is_in_memory_db"]
                driver.close()

        connection_created.connect(reconnected, weak=False)

    def provoke(self) -> None:
        with self._connection.wrap_database_errors:
            self._connection.connection.cursor()


class LostDatabase:
    """Stands where the driver's connection was, which would take its further use for a mistake of the program."""

    def cursor(self, *_: Any, **__: Any) -> NoReturn:
        raise sqlite3.OperationalError("this connection was cut by cut_at")

    execute = executemany = executescript = commit = rollback = cursor
    isolation_level = property(cursor, cursor)

    def close(self) -> None:
        """As with any connection that was lost, there is nothing more to close."""


CUTS: dict[str, type[Cut]] = {"postgresql": CutPostgreSQL, "mysql": CutMySQL, "sqlite": CutSQLite}

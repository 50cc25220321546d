"""Who waits for a lock, as the database itself tells it: a class for each engine."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Collection, Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseError

from fieldstone.testing.races.report import RaceError
from fieldstone.testing.statements import Statement

Waiting = Mapping[int, Collection[int]]
"""By the number of a session that waits: those that it waits for, or may wait for."""


class Waits:
    """Of one database. ``side`` is the harness's own connection; the actors' are given to the methods.

    An engine that is not known waits as none does: an actor that is blocked there is one that hangs.
    """

    def __init__(self, side: BaseDatabaseWrapper, timeout: float) -> None:
        self.side = side
        self.timeout = timeout

    def session(self, connection: BaseDatabaseWrapper) -> int:
        """The server's number of an actor's connection; 0 where there is no server."""
        return 0

    def before(self, connection: BaseDatabaseWrapper, statement: Statement, others_wait: bool) -> None:
        """Called in the actor's thread before each of its steps, with whether any other actor waits."""

    def waiting(self, sessions: Collection[int]) -> Waiting:
        """Which of these wait now, each for at least one session."""
        return {}

    def is_deadlock(self, error: BaseException) -> bool:
        """Whether the engine broke a circle of waits with this error."""
        return False

    def may_retry(self, error: BaseException, statement: Statement, has_snapshot: bool) -> bool:
        """Whether the engine, left to itself, would have waited longer before it raised this."""
        return False

    def kill(self, session: int, raw: Any) -> None:
        """End a session (for the driver: ``raw``) whose thread cannot be stopped, so that its locks go."""

    def _ask(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        with self.side.cursor() as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall())


class PostgresqlWaits(Waits):
    """``pg_blocking_pids`` is exact: a lock is handed on before the statement that released it returns."""

    CLOSING, OTHERWISE = 0.01, 0.5
    """Seconds, and share of the timeout, after which a session that waits looks for a circle.

    Who waits first can close none, who waits while others do can. So the one that closes it is also the one that
    finds it, and the victim is always the same.
    """
    IDLE, BROKEN = 0, 3  # states of a transaction, as libpq numbers them

    def __init__(self, side: BaseDatabaseWrapper, timeout: float) -> None:
        super().__init__(side, timeout)
        try:
            self._ask("SELECT set_config('deadlock_timeout', '1s', false)")
            self._may_set = True
        except DatabaseError:  # a privilege; without it a deadlock takes the server's own time
            self._may_set = False

    def session(self, connection: BaseDatabaseWrapper) -> int:
        return int(connection.connection.info.backend_pid)

    def before(self, connection: BaseDatabaseWrapper, statement: Statement, others_wait: bool) -> None:
        raw = connection.connection
        state = int(raw.info.transaction_status)
        if not self._may_set or state == self.BROKEN or (statement.ends_transaction and state == self.IDLE):
            return
        seconds = self.CLOSING if others_wait else self.timeout * self.OTHERWISE
        with raw.cursor() as cursor:
            cursor.execute(f"SET deadlock_timeout = {max(1, round(seconds * 1000))}")

    def waiting(self, sessions: Collection[int]) -> Waiting:
        rows = self._ask("SELECT pid, pg_blocking_pids(pid) FROM unnest(%s::int[]) pid", list(sessions))
        return {pid: [each for each in blocking if each != pid] for pid, blocking in rows if blocking}

    def is_deadlock(self, error: BaseException) -> bool:
        cause = error.__cause__
        return "40P01" in (getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None))

    def kill(self, session: int, raw: Any) -> None:
        self._ask("SELECT pg_terminate_backend(%s)", session)


class MysqlWaits(Waits):
    """InnoDB's own status tells who waits, at once. Its tables in ``information_schema`` may be 0.1 s old."""

    DEADLOCK, DENIED = 1213, 1227
    SNAPSHOT = 0.12
    """Seconds that nobody may look at InnoDB's tables, before they are filled anew."""
    SEEN = 5
    """How often in a row a session has to be seen to wait outside InnoDB: it shows that until it wakes up."""
    TRANSACTION = re.compile(r"(?P<head>.*?)(?:MariaDB|MySQL) thread id (?P<session>\d+)", re.DOTALL)

    def __init__(self, side: BaseDatabaseWrapper, timeout: float) -> None:
        super().__init__(side, timeout)
        self._seen: dict[int, int] = {}

    def session(self, connection: BaseDatabaseWrapper) -> int:
        return int(connection.connection.thread_id())

    def waiting(self, sessions: Collection[int]) -> Waiting:
        waits, holders = self._innodb()
        found = {each: [other for other in holders if other != each] for each in sessions if each in waits}
        if any(len(blocking) > 1 for blocking in found.values()):
            found |= {each: blocking for each, blocking in self._exactly().items() if each in found}
        elsewhere = [each for each in self._outside_innodb(sessions) if each not in found]
        self._seen = {each: self._seen.get(each, 0) + 1 for each in elsewhere}
        return found | {each: [] for each, seen in self._seen.items() if seen >= self.SEEN}

    def _innodb(self) -> tuple[set[int], list[int]]:
        """Which sessions wait for a lock of InnoDB, and which have any."""
        try:
            text = str(self._ask("SHOW ENGINE INNODB STATUS")[0][2])
        except DatabaseError as error:
            if error.args[:1] == (self.DENIED,):
                raise RaceError(_NO_PROCESS.format(user=self.side.settings_dict["USER"])) from error
            raise
        waits, holders = set(), []
        for part in text.partition("LIST OF TRANSACTIONS FOR EACH SESSION")[2].split("\n---TRANSACTION ")[1:]:
            match = self.TRANSACTION.match(part)
            if match and re.search(r"^(?:LOCK WAIT )?[1-9]\d* lock struct", match["head"], re.MULTILINE):
                holders.append(int(match["session"]))
                if re.search(r"^LOCK WAIT ", match["head"], re.MULTILINE):
                    waits.add(int(match["session"]))
        return waits, holders

    def _exactly(self) -> dict[int, list[int]]:
        time.sleep(self.SNAPSHOT)
        found: dict[int, list[int]] = {}
        # MySQL 8 has it elsewhere.
        if not getattr(self.side, "mysql_is_mariadb", False):
            return found
        for waiting, blocking in self._ask(
            "SELECT w.trx_mysql_thread_id, b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits l"
            " JOIN information_schema.innodb_trx w ON w.trx_id = l.requesting_trx_id"
            " JOIN information_schema.innodb_trx b ON b.trx_id = l.blocking_trx_id"
        ):
            found.setdefault(int(waiting), []).append(int(blocking))
        return found

    def _outside_innodb(self, sessions: Collection[int]) -> list[int]:
        """Those that wait for a table's definition (``ALTER TABLE``) or for ``GET_LOCK``."""
        rows = self._ask(
            "SELECT id FROM information_schema.processlist"
            " WHERE state LIKE 'Waiting for %lock' OR state = 'User lock'"
        )
        return [each for (each,) in rows if each in sessions]

    def is_deadlock(self, error: BaseException) -> bool:
        return error.args[:1] == (self.DEADLOCK,)

    def kill(self, session: int, raw: Any) -> None:
        with self.side.cursor() as cursor:
            cursor.execute(f"KILL {session:d}")


_NO_PROCESS = """\
The database user {user!r} may not see who waits for a lock: SHOW ENGINE INNODB STATUS is denied.

  Let the user of the tests see it:  GRANT PROCESS ON *.* TO {user!r};"""


class SqliteWaits(Waits):
    """Nobody waits inside SQLite: the actors' busy timeout is 0, and what it refuses is tried again later."""

    LOCKED_BY_ANOTHER = 262
    """``SQLITE_LOCKED_SHAREDCACHE``: of connections to one database in memory, which have locks on tables."""
    SNAPSHOT_IS_OLD = 517
    """``SQLITE_BUSY_SNAPSHOT``: in WAL mode, what the transaction read has changed; waiting cannot help."""

    def before(self, connection: BaseDatabaseWrapper, statement: Statement, others_wait: bool) -> None:
        raw = connection.connection
        if not statement.ends_transaction:
            raw.execute("PRAGMA busy_timeout = 0")

    def may_retry(self, error: BaseException, statement: Statement, has_snapshot: bool) -> bool:
        """SQLite's rule: who has read and now wants to write does not wait, for two such would wait for ever.

        It would have tried again at a commit, or at the first statement of a transaction. Connections that share a
        cache in memory are never made to wait; here they are, as they would be with a file.
        """
        code = getattr(error.__cause__, "sqlite_errorcode", 0)
        if code == self.LOCKED_BY_ANOTHER:
            return True
        busy = code & 0xFF == sqlite3.SQLITE_BUSY and code != self.SNAPSHOT_IS_OLD
        patient = float(statement.connection.settings_dict["OPTIONS"].get("timeout", 5.0)) > 0
        return busy and patient and (statement.ends_transaction or not has_snapshot)

    def kill(self, session: int, raw: Any) -> None:
        """Its thread hangs outside SQLite, or is interrupted, so that this one may speak for it."""
        raw.interrupt()
        raw.rollback()


ENGINES: Mapping[str, type[Waits]] = {
    "postgresql": PostgresqlWaits,
    "mysql": MysqlWaits,
    "sqlite": SqliteWaits,
}
"""By Django's ``connection.vendor``."""

"""The server itself is killed."""

from __future__ import annotations

import os
import re
import signal as signals
import subprocess
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.faults.losing import Losing
from fieldstone.testing.faults.points import AtStatement, FaultNotPossible, When
from fieldstone.testing.faults.processes import Process, kill
from fieldstone.testing.faults.servers import IN_YOUR_PROCESS

Server = Process | Callable[[], Process | None]


def kill_server_at(
    pattern: str | re.Pattern[str],
    *,
    pid: Server,
    nth: int | None = 1,
    when: When = "before",
    signal: int = signals.SIGKILL,
    using: str = "default",
) -> AtStatement:
    """Kill the database's server at the ``nth`` statement that matches, and go on when it is gone.

    ``pid`` is its process, by number or as ``Popen``, or a function that gives that; one that gives ``None`` has
    killed the server by itself. ``server_pid(using)`` finds it on this machine. "Before": the statement fails, by
    the driver's own error. "After": the code gets the answer, and its next statement fails. To start the server
    again is the test's, in the body or after it; then Django reconnects as after ``cut_at``.

    The rest is as with ``at_statement``. Raises ``FaultNotPossible`` for SQLite, which has no server, in a
    ``TestCase``, whose transaction would be lost, and for a process that cannot be ended.
    """
    if isinstance(pid, int) and (isinstance(pid, bool) or pid <= 0):
        raise ValueError(f"pid is the number of one process, not {pid!r}")
    if not isinstance(pid, int | subprocess.Popen) and not callable(pid):
        raise TypeError(f"pid is a server's process: a number, a Popen, or a function that gives it; not {pid!r}")
    return _Killing(pattern, pid, signals.Signals(signal), nth=nth, when=when, using=using)


class _Killing(Losing):
    def __init__(
        self,
        pattern: str | re.Pattern[str],
        server: Server,
        number: signals.Signals,
        *,
        nth: int | None,
        when: When,
        using: str,
    ) -> None:
        super().__init__("kill_server_at", pattern, nth=nth, when=when, using=using)
        self._server, self._number = server, number

    def _prepare(self, connection: BaseDatabaseWrapper) -> None:
        __tracebackhide__ = True
        if connection.vendor == "sqlite":
            raise FaultNotPossible(f"{self}: {self._using!r} is SQLite. {IN_YOUR_PROCESS}")
        super()._prepare(connection)

    def _lose(self, result: Any) -> None:
        process = self._server() if callable(self._server) else self._server
        if process is None:
            return
        if process == os.getpid():
            raise FaultNotPossible(f"{self}: {process} is the process that the test runs in, not a server.")
        try:
            kill(process, self._number)
        except (ProcessLookupError, PermissionError) as error:
            raise FaultNotPossible(f"{self} cannot kill the server: {error}.") from error

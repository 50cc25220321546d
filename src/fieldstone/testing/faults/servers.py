"""Which process a database's server is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connections

from fieldstone.testing.faults.beside import beside
from fieldstone.testing.faults.points import FaultNotPossible
from fieldstone.testing.faults.processes import stat_of

IN_YOUR_PROCESS = (
    "SQLite runs in your own process, so there is no server to kill.\n"
    "Run the code in a process of its own, with at_statement(pattern, kill_self) around it."
)
SLACK = (-3.0, 60.0)
"""Seconds by which a process may be younger, by rounding, or older, by what came first, than the server says."""


def server_pid(using: str = "default") -> int:
    """The process of the server behind a database, asked of the server itself, on Linux.

    Its age has to be what the server says, or else the number may be another process of that number: of a server
    in a container, say. Raises ``FaultNotPossible`` if no such process is found here.
    """
    connection = connections[using]
    if connection.vendor == "sqlite":
        raise FaultNotPossible(f"{using!r} is SQLite. {IN_YOUR_PROCESS}")
    ask = ASK.get(connection.vendor)
    if ask is None or sys.platform != "linux":
        raise FaultNotPossible(f"{_not_found(using)} knows PostgreSQL, MariaDB and MySQL, on Linux.{REMEDY}")
    with beside(connection) as cursor:
        try:
            pid, seconds = ask(cursor)
            age = _age(pid)
        except (OSError, ValueError) as error:
            raise FaultNotPossible(f"{_not_found(using)} looked for it here: {error}.{REMEDY}") from error
    if not SLACK[0] <= age - seconds <= SLACK[1]:
        ages = f"process {pid} runs for {age:.0f} s, and the server for {seconds:.0f} s"
        raise FaultNotPossible(f"{_not_found(using)} looked for it here: {ages}.{REMEDY}")
    return pid


REMEDY = (
    "\nIf it runs elsewhere, or in a container, say how it ends: kill_server_at(pattern, pid=f), where f() gives"
    "\nits number here, or ends it and gives None."
)


def _not_found(using: str) -> str:
    return f"The server of {using!r} is no process of this machine that could be told for sure. server_pid"


def _age(pid: int) -> float:
    """Seconds since it was started: not by the time of day, which a test may hold."""
    started = int(stat_of(pid)[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _postgresql(cursor: Any) -> tuple[int, float]:
    """The one that has started the session's own process."""
    cursor.execute(
        "SELECT pg_backend_pid(), extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8"
    )
    session, seconds = cursor.fetchone()
    return int(stat_of(session)[1]), seconds


def _mysql(cursor: Any) -> tuple[int, float]:
    """The one that its file names."""
    cursor.execute("SELECT @@datadir, @@pid_file")
    path = Path(*cursor.fetchone())
    cursor.execute("SHOW GLOBAL STATUS LIKE 'Uptime'")
    return int(path.read_text()), float(cursor.fetchone()[1])


ASK: dict[str, Callable[[Any], tuple[int, float]]] = {"postgresql": _postgresql, "mysql": _mysql}

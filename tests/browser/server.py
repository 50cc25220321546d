"""A workbench in a process of its own, started as ``make serve`` starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, str(ROOT / "example" / "manage.py"), "workbench"]
SECONDS_TO_START = 60


def environment(var: Path, settings: str = "project.settings") -> dict[str, str]:
    """The environment of a workbench whose database is in ``var``."""
    # pytest-django exports the tests' settings, which manage.py would take for the example's.
    return {
        **os.environ,
        "FIELDSTONE_VAR": str(var),
        "DJANGO_SETTINGS_MODULE": settings,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


class Workbench:
    """The server and its database. ``kill`` and ``start`` again: the same address, the same database."""

    def __init__(self, var: Path, course: Path | None = None, settings: str = "project.settings") -> None:
        self.var = var
        self.settings = settings
        self.log = var / "server.log"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._course = [] if course is None else ["--course", str(course)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, *self._course, "--address", f"127.0.0.1:{self.port}"],
                env=environment(self.var, self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        give_up = time.monotonic() + SECONDS_TO_START
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise RuntimeError(f"The workbench did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raise when the process has ended by itself, or was ended by another."""
        if self._process is None or self._process.poll() is not None:
            status = self._process and self._process.returncode
            raise RuntimeError(f"The workbench has ended (status {status}):\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """As a crash does it: the process gets no chance to put anything in order."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    # Below 32768, where the system never takes the port for a connection of its own while the server restarts.
    first = 20_000 + os.getpid() % 10_000
    for port in range(first, 32_768):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32768")

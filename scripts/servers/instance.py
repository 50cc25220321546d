"""A server of one's own, on a data folder that outlives it: it can be killed and started again."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fieldstone.testing.faults import kill
from scripts.servers.catalogue import NEEDS
from scripts.servers.session import answer
from scripts.servers.system import HOST, demotion, follow_parent, free_port, tail

START_SECONDS = 60
ACCOUNTS = {
    "postgresql": ("postgres", "postgres"),
    "mariadb": ("root", "mysql"),
}  # user, database of the beginning
DATABASE = "of_a_fault"


class MissingServerError(Exception):
    """Its program is not on this machine; the message says how to get it."""


class Instance:
    """One server, whose data is under ``folder``.

    ``making`` and ``options`` are put after the commands that make its data and that start it.
    Raises ``MissingServerError``.
    """

    def __init__(self, name: str, folder: Path, making: str = "", options: str = "") -> None:
        self._need = NEEDS[name]
        program = self._need.program
        if program is None or sys.platform != "linux":
            raise MissingServerError(f"needs {name} of its own, on Linux: {self._need.remedy}")
        self._prepare, self._command = f"{self._need.prepare} {making}", f"{self._need.command} {options}"
        self._as_user, self._log = demotion(self._need.user), folder / "log"
        self._data = folder / "data"
        self._port = free_port()
        self._values = {
            "program": program,
            "base": program.resolve().parent.parent,
            "data": self._data,
            "host": HOST,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make its data folder, once."""
        self._data.mkdir(mode=0o700)
        if self._as_user:
            os.chown(self._data, self._as_user["user"], self._as_user["group"])
        if self._need.prepare:
            status = self._spawn(self._prepare).wait(START_SECONDS)
            assert status == 0, f"preparing its data failed (status {status}){tail(self._log)}"

    def start(self) -> None:
        """Start it, on what is in its data folder, and wait until it answers."""
        assert not self.is_running, "it has been started already"
        self._process = self._spawn(self._command)
        self.wait()

    def wait(self) -> None:
        """Until it answers: after a start, or while it recovers by itself."""
        deadline = time.monotonic() + START_SECONDS
        while asyncio.run(answer(self._need, self._port)) is None:
            assert self.is_running, f"it has ended{tail(self._log)}"
            assert time.monotonic() < deadline, f"it does not answer{tail(self._log)}"
            time.sleep(0.02)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it has not been started"
        return self._process

    def kill(self) -> None:
        """``kill -9``, of the server and of every process that it has started; no matter if it is gone already."""
        if self.is_running:
            kill(self.process)

    @property
    def url(self) -> str:
        return self._need.url.format(host=HOST, port=self._port)

    @property
    def address(self) -> dict[str, Any]:
        user, _ = ACCOUNTS[self._need.name]
        return {"HOST": HOST, "PORT": self._port, "NAME": DATABASE, "USER": user, "PASSWORD": ""}

    def _spawn(self, template: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [word.format(**self._values, port=self._port) for word in shlex.split(template)],
                **self._as_user,
                cwd=self._data,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=follow_parent(signal.SIGKILL),
            )

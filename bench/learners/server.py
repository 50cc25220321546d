"""The server: gunicorn with worker processes and threads, as a site would run the workbench."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldstone.testing.faults.processes import descendants_of

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_START = 60
SECONDS_TO_STOP = 30
SETTINGS = "bench.learners.settings"


class ServerError(Exception):
    """The server did not start, or has ended by itself; the message has the end of its log."""


@dataclass(frozen=True)
class Site:
    """What is served, and by how many."""

    database: dict[str, Any]  # as Django's settings describe it
    course: Path
    settings: str = SETTINGS
    workers: int = 2
    threads: int = 8


class Server:
    """A running gunicorn."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log
        self.killed: list[int] = []

    def workers(self) -> list[int]:
        """The worker processes, as of now; a new one may not be ready yet."""
        return descendants_of(self._process.pid)

    def kill_worker(self, drawn: random.Random) -> None:
        """``kill -9``: the master starts another one, and whoever waited for an answer gets none."""
        worker = drawn.choice(sorted(self.workers()))
        os.kill(worker, signal.SIGKILL)
        self.killed.append(worker)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until_it_answers(self) -> None:
        """Raises ``ServerError``."""
        give_up = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise ServerError(f"The server did not start:\n{self.log()[-4000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=SECONDS_TO_START):
                return True
        except urllib.error.HTTPError as error:
            raise ServerError(f"The server answers {error.code}:\n{self.log()[-4000:]}") from error
        except OSError:
            return False


@contextmanager
def served(site: Site, folder: Path) -> Iterator[Server]:
    """The site on loopback, until the end of the block; its log goes into ``folder``."""
    log = folder / "server.log"
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening, log.open("ab") as output:
        # The socket is handed down: nobody can take its port before the server has it.
        process = subprocess.Popen(
            _command(site, listening.fileno()),
            cwd=ROOT,
            env=_environment(site),
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server = Server(url, process, log)
    try:
        server.wait_until_it_answers()
        yield server
        if process.poll() is not None:
            raise ServerError(f"The server has ended by itself:\n{server.log()[-4000:]}")
    finally:
        process.terminate()
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def pooled(database: dict[str, Any], threads: int) -> dict[str, Any]:
    """The database as a site with threads would have it: psycopg's pool, or connections that stay."""
    if database["ENGINE"].endswith("postgresql"):
        return {**database, "OPTIONS": {**database["OPTIONS"], "pool": {"min_size": 2, "max_size": threads}}}
    return {**database, "CONN_MAX_AGE": None}


def _command(site: Site, descriptor: int) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "project.wsgi"),
        *("--pythonpath", f"{ROOT},{ROOT / 'example'}"),
        *("--bind", f"fd://{descriptor}"),
        *("--worker-class", "gthread", "--workers", str(site.workers), "--threads", str(site.threads)),
        *("--keep-alive", "75"),  # longer than the client keeps its own, so no request meets a closed one
        "--preload",  # a worker that has to be replaced is there at once
        "--no-control-socket",
    ]


def _environment(site: Site) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": site.settings,
        "FIELDSTONE_LEARNERS_DATABASE": json.dumps(pooled(site.database, site.threads), default=str),
        "FIELDSTONE_LEARNERS_COURSE": str(site.course),
    }

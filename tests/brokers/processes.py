"""Celery's workers, as processes that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connections

from scripts.servers.system import follow_parent, tail

PATIENCE_SECONDS = 90


class CeleryWorker:
    """``celery worker`` with two processes, and with beat if it is to rescue jobs."""

    def __init__(self, alias: str, url: str, queue: str, folder: Path, *, rescues: bool) -> None:
        database = {name: value for name, value in connections[alias].settings_dict.items() if name != "TEST"}
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.brokers.settings",
            "FIELDSTONE_TEST_DATABASE": json.dumps(database, default=str),
            "FIELDSTONE_TEST_BROKER_URL": url,
            "FIELDSTONE_TEST_QUEUE": queue,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self._log = folder / f"worker-{time.monotonic_ns()}.log"
        beat = ["--beat", f"--schedule={folder}/schedule"] if rescues else []
        command = [sys.executable, "-m", "celery", "-A", "tests.brokers.app", "worker", "--pool=prefork", *beat]
        options = ["--concurrency=2", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=follow_parent(signal.SIGKILL),
            )

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until it is so, while the worker lives."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.process.poll() is None, f"the worker has ended{tail(self._log, 60)}"
            assert time.monotonic() < deadline, f"it did not come about{tail(self._log, 60)}"
            time.sleep(0.02)

    def kill(self) -> None:
        """``kill -9`` of all its processes at once; no matter if they are gone."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

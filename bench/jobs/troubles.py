"""What happens to workers: killed, put to sleep past their lease, without a broker, without a database."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from django.db import InterfaceError, OperationalError, connection

from bench.jobs.site import Site
from fieldstone.jobs import control
from fieldstone.jobs.models import ENDED, Job
from fieldstone.testing.faults.processes import descendants_of

LOOK = 0.05
QUEUE = "bench.jobs.queue"
WORKER = ("celery", "-A", QUEUE, "worker", "--concurrency", "1", "--loglevel", "WARNING")


class Workers:
    """Celery's workers, each started anew when it is gone, as a service manager does."""

    def __init__(self, site: Site, number: int) -> None:
        self._site = site
        self._running: list[subprocess.Popen[str] | None] = [None] * number
        self._beat = site.process("celery", "-A", QUEUE, "beat", "--schedule", str(site.folder / "beat"))

    def look_after(self) -> None:
        """Start those that are gone."""
        for place, process in enumerate(self._running):
            if process is None or process.poll() is not None:
                self._running[place] = self._site.process(*WORKER, "--hostname", f"{place}@exam")

    def processes(self) -> list[int]:
        """All that could be killed now: masters, and the children that do the work."""
        masters = [process.pid for process in self._running if process is not None and process.poll() is None]
        return [*masters, *(pid for master in masters for pid in descendants_of(master))]

    def children(self) -> list[int]:
        return [pid for process in self._running if process is not None for pid in descendants_of(process.pid)]

    def stop(self) -> None:
        for process in (*self._running, self._beat):
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


Trouble = Callable[[Workers], bool]
"""Does it, and says whether it could: else it is tried again."""
Plan: TypeAlias = "list[tuple[str, Trouble]]"


def plan(
    kills: int, drawn: random.Random, lease_seconds: float, breakdowns: Sequence[tuple[str, Trouble]]
) -> Plan:
    """So many kills, with a sleep past the lease and the breakdowns between them."""
    troubles: Plan = [("kill -9", partial(_kill, drawn))] * kills
    others: Plan = [("a worker slept past its lease", partial(_sleep, drawn, lease_seconds)), *breakdowns]
    for number, other in enumerate(others, 1):
        troubles.insert(number * kills // (len(others) + 1) + number, other)
    return troubles


def disturb(job_id: int, workers: Workers, troubles: Plan, watch: Callable[[Job], None]) -> Counter[str]:
    """Until the job has ended: the troubles in their order, spread evenly over its states; which there were."""
    happened: Counter[str] = Counter()
    left, done = list(troubles), 0
    job = control.get(job_id)
    while job.status not in ENDED:
        workers.look_after()
        watch(job)
        if left and job.attempted >= job.total * (done + 1) / (len(troubles) + 2):
            name, cause = left[0]
            if cause(workers):
                happened[name] += 1
                done += 1
                del left[0]
        time.sleep(LOOK)
        job = _looked_at(job_id)
    return happened


def _looked_at(job_id: int) -> Job:
    """The job; its database may be away for a while."""
    while True:
        try:
            return control.get(job_id)
        except (OperationalError, InterfaceError):
            connection.close()
            time.sleep(LOOK)


def _kill(drawn: random.Random, workers: Workers) -> bool:
    processes = workers.processes()
    if processes:
        os.kill(drawn.choice(processes), signal.SIGKILL)
    return bool(processes)


def _sleep(drawn: random.Random, lease_seconds: float, workers: Workers) -> bool:
    """It stands still, as on a machine that is suspended, and goes on as if nothing had been."""
    children = workers.children()
    if not children:
        return False
    pid = drawn.choice(children)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2 * lease_seconds)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    return True

"""The same job twice, over the same states: once undisturbed, once with everything that can fail failing."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from celery import Celery
from django.core.management import call_command
from django.db import connection, connections

from bench import databases
from bench.jobs.course import KEY, Exam, write_exam
from bench.jobs.filling import enrol, fill
from bench.jobs.fingerprint import fingerprint
from bench.jobs.site import Site
from bench.jobs.troubles import Workers, disturb, plan
from fieldstone.jobs import control, planning, tasks
from fieldstone.jobs.models import COUNTS, Job
from fieldstone.store.engines.walk import Part
from fieldstone.store.verify import Verification
from scripts.servers.instance import Instance

WORKERS = 2
EXAM, UNDISTURBED = "exam", "undisturbed"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """What is asked for."""

    problems: int
    learners: int
    problems_of_job: int
    kills: int
    lease_seconds: float
    broker: str  # "redis" or "rabbitmq"
    seed: int


@dataclass(frozen=True)
class Ending:
    """How one of the two runs ended."""

    seconds: float
    counts: dict[str, int]
    fingerprint: str
    findings: int  # of a verification of every state


@dataclass(frozen=True)
class Result:
    states: int
    undisturbed: Ending
    disturbed: Ending
    troubles: Counter[str]
    workers: int = WORKERS

    @property
    def is_same(self) -> bool:
        """Whether the two ended alike, and every state follows from its history."""
        one, other = self.undisturbed, self.disturbed
        return (one.counts, one.fingerprint, 0, 0) == (
            other.counts,
            other.fingerprint,
            one.findings,
            other.findings,
        )


def run(task: Task, say: Say) -> Result:
    """Raises nothing of its own; the servers are its own, on loopback, and gone after it."""
    with (
        tempfile.TemporaryDirectory(prefix="fieldstone-jobs-") as name,
        _instances(Path(name), task.broker) as both,
    ):
        folder, (server, broker) = Path(name), both
        address = server.address | {"ENGINE": "django.db.backends.postgresql"}
        databases.use({"default": address | {"NAME": "postgres"}})
        _execute(f"CREATE DATABASE {EXAM}")
        databases.use({"default": address | {"NAME": EXAM}})
        call_command("migrate", verbosity=0)
        exam = write_exam(folder, task.problems, task.seed)
        states = _filled(exam, task, say)
        databases.use({"default": address | {"NAME": "postgres"}})
        _execute(f"CREATE DATABASE {UNDISTURBED} TEMPLATE {EXAM}")

        site = Site(address | {"NAME": UNDISTURBED}, exam, folder, task.lease_seconds)
        with site.here():
            undisturbed = _undisturbed(site, task, say)
        site = Site(address | {"NAME": EXAM}, exam, folder, task.lease_seconds, broker.url)
        with site.here():
            disturbed, troubles = _disturbed(site, task, server, broker, say)
        databases.use({})
        return Result(states, undisturbed, disturbed, troubles)


def _filled(exam: Exam, task: Task, say: Say) -> int:
    began = time.perf_counter()
    states = fill(exam, enrol(task.learners), task.seed)
    _execute("ANALYZE")
    say(f"{states:,} states of {task.learners:,} learners, filled in {time.perf_counter() - began:.0f} s")
    return states


def _job(exam: Exam, task: Task) -> Job:
    keys = [problem.usage_key for problem in exam.problems[: task.problems_of_job]]
    return planning.start("rescore", KEY, keys)


def _undisturbed(site: Site, task: Task, say: Say) -> Ending:
    databases.use({"default": site.database})
    job = _job(site.exam, task)
    began = time.perf_counter()
    for worker in [site.worker(job.pk) for _ in range(WORKERS)]:
        worker.wait()
    return _ending(job, began, say)


def _disturbed(
    site: Site, task: Task, server: Instance, broker: Instance, say: Say
) -> tuple[Ending, Counter[str]]:
    databases.use({"default": site.database})
    job = _job(site.exam, task)
    began = time.perf_counter()
    breakdowns = [
        ("the broker was killed and started again", lambda workers: _restarted(broker)),
        ("the database was killed and started again", lambda workers: _restarted(server)),
    ]
    troubles = plan(task.kills, random.Random(task.seed), task.lease_seconds, breakdowns)
    workers = Workers(site, WORKERS)
    Celery("sender", broker=broker.url).set_default()
    tasks.submit(job, WORKERS)
    told = [0]

    def watch(now: Job) -> None:
        if now.attempted >= told[0] + now.total // 10:
            told[0] = now.attempted
            say(f"  {now.attempted:,} of {now.total:,} states, {time.perf_counter() - began:.0f} s")

    try:
        happened = disturb(job.pk, workers, troubles, watch)
    finally:
        workers.stop()
    return _ending(job, began, say), happened


def _restarted(instance: Instance) -> bool:
    instance.kill()
    time.sleep(1)
    instance.start()
    return True


def _ending(job: Job, began: float, say: Say) -> Ending:
    seconds = time.perf_counter() - began
    job = control.get(job.pk)
    counts = {name: getattr(job, name) for name in COUNTS}
    say(f"{job.kind} {job.status} in {seconds:.0f} s: {counts}")
    findings = [found for batch in Verification("default", Part()).batches() for found in batch]
    for finding in findings[:5]:
        say(f"  {finding}")
    return Ending(seconds, counts, fingerprint("default"), len(findings))


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def _instances(folder: Path, broker: str) -> Iterator[tuple[Instance, Instance]]:
    folder.chmod(0o755)  # the servers' users have to pass through
    made: list[Instance] = []
    try:
        for name in ("postgresql", broker):
            place = folder / name
            place.mkdir(mode=0o755)
            made.append(Instance(name, place))
            made[-1].make()
            made[-1].start()
        yield made[0], made[1]
    finally:
        for alias in list(connections):
            connections[alias].close()
        for instance in made:
            instance.kill()

"""One run: a course, accounts, a server, the learners, and the audit."""

from __future__ import annotations

import asyncio
import os
import platform
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import databases
from bench.learners import plans
from bench.learners.audit import Audit
from bench.learners.course import Page, write_course
from bench.learners.journal import Journal, Outcome
from bench.learners.people import Person, enrol
from bench.learners.report import Result, acknowledged_of, kinds_of
from bench.learners.server import Server, ServerError, Site, served
from bench.learners.visits import PageError

LOG = 6000  # characters of the server's log that are shown


@dataclass(frozen=True)
class Task:
    """What is asked for."""

    engine: str
    learners: int
    problems: int  # on the page
    think: float  # seconds between two actions of a learner, on average
    seed: int
    workers: int
    threads: int
    kills: int  # of server workers, spread over the run
    is_rush: bool  # all do the same thing at once, instead of a visit each
    settings: str  # of the server


def run(task: Task) -> Result:
    """Raises ``NoServerError`` or ``ServerError``."""
    with (
        tempfile.TemporaryDirectory(prefix="fieldstone-learners-") as name,
        databases.throw_away(task.engine, Path(name)) as database,
    ):
        folder = Path(name)
        course = folder / "course"
        course.mkdir()
        page = write_course(course, task.problems, task.seed)
        people = enrol(task.learners, task.seed)
        site = Site(database.configuration, course, task.settings, task.workers, task.threads)
        journal = Journal()
        with served(site, folder) as server:
            _plan_kills(task, journal, server)
            began, worked = time.perf_counter(), time.process_time()
            asyncio.run(_plan(task, server, page, people, journal))
            seconds = time.perf_counter() - began
            cores = (time.process_time() - worked) / seconds
            log = server.log()[-LOG:] if journal.errors else ""
        audit = Audit(page, journal)
        outcomes = Counter(action.outcome for action in journal.actions)
        return Result(
            _setting(task, database.floor.version()),
            seconds,
            kinds_of(journal, seconds),
            acknowledged_of(journal.actions),
            outcomes[Outcome.REFUSED],
            outcomes[Outcome.UNANSWERED],
            len(server.killed),
            cores,
            *audit.read,
            dict(Counter(journal.errors)),
            [*audit.findings, *journal.stale],
            log,
        )


async def _plan(task: Task, server: Server, page: Page, people: list[Person], journal: Journal) -> None:
    try:
        if task.is_rush:
            await plans.rush(server.url, page, people, journal)
        else:
            await plans.visit(server.url, page, people, journal, task.think)
    except* PageError as errors:
        raise ServerError(f"{errors.exceptions[0]}\nThe server's log ends:\n{server.log()[-LOG:]}") from errors


def _plan_kills(task: Task, journal: Journal, server: Server) -> None:
    drawn = random.Random(task.seed)
    planned = plans.actions_planned(task.learners, task.problems)
    for number in range(1, task.kills + 1):
        journal.at[planned * number // (task.kills + 1)] = partial(server.kill_worker, drawn)


def _setting(task: Task, version: str) -> str:
    what = "all at once" if task.is_rush else f"{task.think:g} s between two actions on average"
    return (
        f"{task.learners} learners at a page of {task.problems} problems, {what}, seed {task.seed}; gunicorn with "
        f"{task.workers} workers of {task.threads} threads, CPython {platform.python_version()}, {version}. "
        f"{os.cpu_count()} cores, shared by server, database and client, which are processes of their own."
    )

"""Each kind of job beside plain SQL, in turns; and how much memory a job takes, whatever its size."""

from __future__ import annotations

import json
import random
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from django.db import connection
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from bench import databases
from bench.floors import PostgreSQLFloor
from bench.jobs.course import KEY, write_exam
from bench.jobs.filling import enrol, fill
from bench.jobs.floors import FLOORS
from bench.jobs.site import Site
from fieldstone.jobs import control, planning
from fieldstone.jobs.models import Job
from fieldstone.jobs.worker import Worker
from fieldstone.store.places import key_text
from fieldstone.store.tables import USAGE
from fieldstone.store.usages import KeyTable

ENGINE = "prepared"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
OF_BLOCKS = ("rescore", "override-score")
LEARNERS_OF_BLOCKS = 500
"""These run the block of each learner, which takes milliseconds: fewer learners do."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """A job over so many states, by one worker in a process of its own."""

    states: int
    seconds: float
    peak: int  # KiB of its memory
    queries: int


@dataclass(frozen=True)
class Figure:
    """A kind of job beside its floor: seconds of each round."""

    kind: str
    states: int
    ours: Sequence[float]
    floor: Sequence[float]
    queries: int

    @property
    def ratio(self) -> float:
        return median(self.ours) / median(self.floor)


@dataclass(frozen=True)
class Figures:
    states: int
    sizes: Sequence[Size]
    kinds: Sequence[Figure]


def measure(problems: int, learners: int, rounds: int, seed: int, say: Say) -> Figures:
    """Raises ``NoServerError``."""
    with tempfile.TemporaryDirectory(prefix="fieldstone-jobs-") as name, databases.throw_away(ENGINE) as database:
        exam = write_exam(Path(name), problems, seed)
        began, ids = time.perf_counter(), enrol(learners)
        states = fill(exam, ids, seed)
        database.floor.settle()
        say(f"{states:,} states, filled in {time.perf_counter() - began:.0f} s")
        site = Site(database.configuration, exam, Path(name))
        keys = iter([problem.usage_key for problem in exam.problems])
        with site.here():
            sizes = list(_sizes(site, keys, ids, states // 2, say))
            assert isinstance(database.floor, PostgreSQLFloor)
            kinds = [
                _Measured(kind, database.floor, keys, ids, Path(name)).figure(rounds, random.Random(seed), say)
                for kind in FLOORS
            ]
        return Figures(states, sizes, kinds)


def _sizes(site: Site, keys: Iterator[UsageKey], ids: list[int], most: int, say: Say) -> Iterator[Size]:
    for size in SIZES[: bisect_right(SIZES, most)]:
        blocks = [next(keys) for _ in range(max(1, size // len(ids)))]
        learners = ids[:size] if size < len(ids) else None
        job = planning.start("reset-attempts", KEY, blocks, learners=learners)
        began = time.perf_counter()
        told, _ = site.worker(job.pk).communicate()
        found = Size(job.total, time.perf_counter() - began, **json.loads(told))
        say(str(found))
        yield found


class _Measured:
    """One kind of job, a block each time: ours and the floor's are alike, and nobody was at either."""

    def __init__(
        self, kind: str, floor: PostgreSQLFloor, keys: Iterator[UsageKey], ids: list[int], folder: Path
    ) -> None:
        self._kind = kind
        self._floor = floor
        self._keys = keys
        self._ids = ids[:LEARNERS_OF_BLOCKS] if kind in OF_BLOCKS else ids
        self._folder = folder
        self._numbers = count()
        self._queries = 0

    def figure(self, rounds: int, drawn: random.Random, say: Say) -> Figure:
        ours: list[float] = []
        floor: list[float] = []
        sides = [(self._time_ours, ours), (self._time_floor, floor)]
        for _ in range(rounds + 1):
            drawn.shuffle(sides)
            for work, samples in sides:
                samples.append(work(next(self._keys)))
        figure = Figure(self._kind, len(self._ids), ours[1:], floor[1:], self._queries)  # the first warms up
        say(
            f"{self._kind}: {figure.ratio:.1f} of the floor, {self._queries} queries for {len(self._ids):,} states"
        )
        return figure

    def _time_ours(self, key: UsageKey) -> float:
        before = self._prepared(key)
        learners = self._ids if self._kind in OF_BLOCKS else None
        if self._kind == "undo":
            job = control.undo(before.pk) if isinstance(before, Job) else None
        else:
            job = planning.start(self._kind, KEY, [key], options=self._options(before), learners=learners)
        assert job is not None
        self._queries = 0
        began = time.perf_counter()
        with connection.execute_wrapper(self._count):
            Worker().run(job.pk)
        return time.perf_counter() - began

    def _time_floor(self, key: UsageKey) -> float:
        self._prepared(key)
        usage_id = KeyTable(USAGE, "default").find([key_text(key)])[key_text(key)]
        file = self._folder / f"{self._kind}-floor-{next(self._numbers)}"
        began = time.perf_counter()
        FLOORS[self._kind](self._floor, usage_id, self._ids, file)
        return time.perf_counter() - began

    def _prepared(self, key: UsageKey) -> Job | datetime:
        """What undo and restore take back: attempts are reset after this moment."""
        moment = timezone.now()
        if self._kind not in ("undo", "restore"):
            return moment
        job = planning.start("reset-attempts", KEY, [key])
        Worker().run(job.pk)
        return job if self._kind == "undo" else moment

    def _options(self, before: Job | datetime) -> dict[str, Any]:
        if self._kind == "restore":
            assert isinstance(before, datetime)
            return {"moment": before.isoformat()}
        if self._kind == "override-score":
            return {"score": 1.0}
        if self._kind.startswith("export"):
            return {"file": str(self._folder / f"{self._kind}-{next(self._numbers)}.jsonl")}
        return {}

    def _count(self, execute: Any, sql: str, *rest: Any) -> Any:
        self._queries += 1
        return execute(sql, *rest)

"""The memory of a process that goes through a course, which must not grow with the course."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from bench.databases import Database
from bench.rows.scanning import SMALLER_COURSE, fill_courses
from bench.weighing.base import Amount, amount
from bench.workload import COURSE, Volume

LIMIT = 1.1
"""Peak at 200,000 states over that at 20,000: constant, but for what an allocator does."""


class Peak(NamedTuple):
    """Of one process that scanned one course."""

    rows: int
    megabytes: float  # resident at most, interpreter and Django included
    before: float  # the same, just before the scan


@amount("scan-memory")
def scan_memory(database: Database, volume: Volume) -> list[Amount]:
    """Each course is scanned by a new process, whose peak the kernel tells."""
    fill_courses(database, volume)
    small, large = (_scanned(database, str(course)) for course in (SMALLER_COURSE, COURSE))
    note = (
        f"{large.megabytes:.1f} MB at {large.rows:,} states, {small.megabytes:.1f} MB at {small.rows:,};"
        f" of it {large.before:.1f} MB before the scan"
    )
    ratio = large.megabytes / small.megabytes
    title = "peak memory of the iteration, over that of a tenth of the course"
    return [Amount("scan-memory", title, database.engine, ratio, "x", LIMIT, note)]


def _scanned(database: Database, course: str) -> Peak:
    done = subprocess.run(
        [sys.executable, "-m", "bench.scanner"],
        input=pickle.dumps((database.configuration, course)),
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    rows, megabytes, before = done.stdout.split()
    return Peak(int(rows), float(megabytes), float(before))

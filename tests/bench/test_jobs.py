"""The benchmark of jobs, with little data: that it runs, and that it would notice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.jobs.course import write_exam
from bench.jobs.run import Ending, Result
from scripts.servers.catalogue import NEEDS

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "bench.jobs", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout


def test_a_rescore_whose_workers_broker_and_database_are_killed_ends_as_one_that_nobody_disturbed():
    for name in ("postgresql", "redis"):
        if NEEDS[name].program is None:
            pytest.skip(f"needs {name} of its own: {NEEDS[name].remedy}")
    said = run(
        "troubles", "--problems", "2", "--learners", "120", "--rescored", "2", "--kills", "3", "--lease", "2"
    )
    assert "The two ended alike." in said
    assert "3 x kill -9" in said
    for trouble in ("a worker slept past its lease", "the broker was killed", "the database was killed"):
        assert f"1 x {trouble}" in said


def test_every_kind_is_measured_beside_plain_sql():
    if "FIELDSTONE_POSTGRESQL_URL" not in os.environ:
        pytest.skip("no postgresql: `make test` starts the server")
    said = run("figures", "--problems", "60", "--learners", "50", "--rounds", "1")
    for kind in ("reset-attempts", "rescore", "undo", "restore", "export-state", "export-history", "verify"):
        assert f"| {kind} | 50 |" in said
    assert "| 1,020 |" in said  # a job over twenty blocks, the model's states among them, by a worker of its own


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (Ending(9.0, {"attempted": 1}, "a", 0), True),
        (Ending(1.0, {"attempted": 2}, "a", 0), False),
        (Ending(1.0, {"attempted": 1}, "b", 0), False),
        (Ending(1.0, {"attempted": 1}, "a", 1), False),
    ],
)
def test_only_runs_with_the_same_end_are_the_same(other, is_same):
    assert Result(1, Ending(1.0, {"attempted": 1}, "a", 0), other, Counter()).is_same is is_same


def test_the_same_seed_makes_the_same_exam(tmp_path):
    one, other = (write_exam(tmp_path / name, 25, 3) for name in "ab")
    assert one.problems == other.problems
    assert (one.after / "course.xml").read_text() == (other.after / "course.xml").read_text()
    assert (one.after / "course.xml").read_text() != (one.before / "course.xml").read_text()

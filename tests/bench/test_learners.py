"""The load run in small: real servers, real HTTP, and an audit that can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.databases import available
from bench.learners.report import _percentile

ROOT = Path(__file__).resolve().parents[2]
LEARNERS = 10
AT_ONCE = 30

each_engine = pytest.mark.parametrize(
    "engine",
    [
        pytest.param(engine, marks=pytest.mark.skipif(engine not in available(), reason="`make test` starts it"))
        for engine in ("sqlite", "prepared", "mariadb")
    ],
)


def learners(*arguments: str) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.learners", "--json", "--think", "0", "--problems", "4", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


@each_engine
def test_all_that_learners_were_told_is_stored(engine):
    status, found = learners("--engine", engine, "--learners", str(LEARNERS))
    assert (status, found["findings"], found["errors"]) == (0, [], {})
    done = found["acknowledged"]
    assert done["vote"] == done["words"] == done["done"] == LEARNERS
    assert done["problem_check"] >= LEARNERS * 4
    assert found["states"] >= LEARNERS * 7
    assert found["revisions"] >= sum(done.values())


@each_engine
def test_killed_workers_of_the_server_lose_nothing_that_was_acknowledged(engine):
    """`kill -9`, three times in the middle; whoever waited has no answer, and goes on with another worker."""
    status, found = learners("--engine", engine, "--learners", str(LEARNERS), "--kill", "3")
    assert (status, found["findings"], found["refused"]) == (0, [], 0)
    assert found["killed"] == 3
    answered = sum(found["acknowledged"].values())
    assert answered > LEARNERS * 6
    assert answered + found["unanswered"] >= LEARNERS * 7


@each_engine
def test_what_is_done_at_once_is_counted_as_often(engine):
    """In four processes: votes and words of thirty learners in one tally, and thirty answers of one learner."""
    status, found = learners("--engine", engine, "--rush", "--learners", str(AT_ONCE), "--workers", "4")
    assert (status, found["findings"], found["errors"]) == (0, [], {})
    assert found["acknowledged"] == {"vote": AT_ONCE, "words": AT_ONCE, "problem_check": AT_ONCE}


def test_a_site_that_loses_an_acknowledged_answer_is_found_out():
    status, found = learners(
        "--engine", "sqlite", "--learners", str(LEARNERS), "--settings", "tests.bench.losing_site"
    )
    assert status == 1
    lost = [line for line in found["findings"] if "LOST problem_check" in line]
    assert len(lost) >= LEARNERS * 4 // 5 - 2  # each of two workers counts for itself
    assert found["lost"] == len(found["findings"])


def test_an_engine_without_a_server_is_an_error_that_names_the_variable(monkeypatch):
    monkeypatch.delenv("FIELDSTONE_POSTGRESQL_URL", raising=False)
    done = subprocess.run(
        [sys.executable, "-m", "bench.learners"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "FIELDSTONE_POSTGRESQL_URL is not set" in done.stderr


def test_percentiles_are_times_that_requests_took():
    times = [number / 10 for number in range(1, 101)]
    assert [_percentile(times, part) for part in (0.5, 0.9, 0.99)] == [5.0, 9.0, 9.9]
    assert _percentile([0.3], 0.99) == 0.3
    assert _percentile([0.1, 0.2, 0.3], 0.5) == 0.2

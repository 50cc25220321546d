"""Counting under locks whose holders are killed, or sleep past their timeout: the fenced counter is exact."""

from __future__ import annotations

import os
import random
import time

import pytest
from django.conf import settings

from tests.kvs.backends import MEMORY, SHARED, each, needs_time
from tests.kvs.races.counting import PATIENCE, Journal, Ledger, count, sleep_past_the_timeout
from tests.kvs.workers import Event, in_threads

BESIDE = "postgresql" if "postgresql" in settings.DATABASES else "default"
"""Where the counter is if the lock is in no database."""
WORKERS = 8
INCREMENTS = int(os.environ.get("FIELDSTONE_RACE_INCREMENTS", "200" if BESIDE == "postgresql" else "25"))
"""Of each worker; 2,000 in the full run (CONTRIBUTING.md)."""
KILLS = 2 + INCREMENTS // 100
SLEEPS = 1 + INCREMENTS // 400


@pytest.fixture
def ledger(kind):
    """In the database that has the lock, or in another."""
    ledger = Ledger(kind.alias or BESIDE)
    ledger.make()
    yield ledger
    ledger.drop()


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


def check(ledger: Ledger, journal: Journal, kills: int) -> None:
    """Nothing was lost, nothing was counted twice, and nobody wrote who was late."""
    tokens = ledger.tokens()
    acknowledged = [token for (token,) in journal.lines("done")]
    assert ledger.read() == len(tokens)
    assert sorted(tokens.values()) == list(range(1, len(tokens) + 1)), "two have counted the same"
    assert len(acknowledged) == len(set(acknowledged))
    assert set(acknowledged) <= tokens.keys(), "an acknowledged increment is gone"
    assert len(tokens) - len(acknowledged) <= kills, "somebody wrote who was refused"
    assert 0 <= len(tokens) - WORKERS * INCREMENTS <= kills
    assert not [token for token in tokens if token.startswith("late.")]
    assert len(journal.lines("refused")) == SLEEPS, "the late holder was not refused each time"


@needs_time
@each(SHARED, BESIDE)
def test_the_counter_is_exact_though_holders_are_killed_and_sleep(region, ledger, journal, workers):
    """Each kill is of the process that said last that it holds the lock; another goes on with what is left."""
    over, draw = Event(), random.Random(5)

    def start(name):
        return workers.start(count, region, ledger, journal, name, INCREMENTS)

    running = {f"w{number}": start(f"w{number}") for number in range(WORKERS)}
    sleeper = workers.start(sleep_past_the_timeout, region, ledger, journal, SLEEPS, over.is_set)
    kills = 0
    while kills < KILLS and any(worker.process.is_alive() for worker in running.values()):
        time.sleep(draw.uniform(0.01, 0.1))  # whatever the victim is doing then
        for (name,) in journal.lines("holds")[-1:]:
            if running[name].process.is_alive():
                running[name].kill()
                running[name] = start(name)
                kills += 1
    for worker in running.values():
        assert worker.rest(PATIENCE) == ["finished"]
    over.set()
    assert sleeper.rest(PATIENCE) == ["finished"]
    assert kills == KILLS, "they were done before they could be killed"
    check(ledger, journal, kills)


@each([MEMORY], BESIDE)
def test_the_counter_is_exact_though_a_thread_sleeps_past_its_timeout(region, ledger, journal):
    finished = []

    def work(number):
        if number == WORKERS:
            return list(sleep_past_the_timeout(region, ledger, journal, SLEEPS, lambda: len(finished) == WORKERS))
        finished.append(list(count(region, ledger, journal, f"w{number}", INCREMENTS)))
        return finished[-1]

    assert in_threads(WORKERS + 1, work) == [["finished"]] * (WORKERS + 1)
    check(ledger, journal, 0)

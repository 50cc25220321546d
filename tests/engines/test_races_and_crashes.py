"""Several real processes on one row, and a process killed with -9: no acknowledged field is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connections

from tests.conftest import each_engine, usage
from tests.engines.test_store_contract import fields_of, replayed

WRITER = Path(__file__).with_name("writer.py")
BLOCK = usage("contended0")


def writer(alias, learner, number, saves, blocks=1):
    database = {name: value for name, value in connections[alias].settings_dict.items() if name != "TEST"}
    numbers = [str(n) for n in (learner, number, saves, blocks)]
    command = [sys.executable, WRITER, json.dumps(database, default=str), *numbers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def race(writers):
    for process in writers:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


@each_engine
def test_writers_of_different_fields_never_lose_each_others_work(store, learner, alias):
    """Four processes race to make the row and to add fields to it; each of 4 x 100 fields is there."""
    race([writer(alias, learner, number, 100) for number in range(4)])
    expected = {f"w{number}_{n}": n for number in range(4) for n in range(100)}
    assert fields_of(store, learner, BLOCK) == expected
    assert replayed(store, learner, BLOCK) == expected
    revisions = [revision.number for revision in store.history(learner, BLOCK)]
    assert revisions == list(range(400, 0, -1)), "revisions have gaps"


@each_engine
def test_saves_of_the_same_blocks_in_any_order_do_not_deadlock(store, learner, alias):
    """The store sorts the rows: unsorted, two saves wait for each other's row locks."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no row locks: one writes at a time")
    race([writer(alias, learner, number, 15, blocks=300) for number in range(4)])
    assert store.read(learner, [BLOCK])[BLOCK].revision == 60


@each_engine
def test_a_killed_process_loses_nothing_that_was_acknowledged(store, learner, alias):
    process = writer(alias, learner, 0, 100_000)
    acknowledged = [int(process.stdout.readline()) for _ in range(25)]
    process.kill()
    rest, _ = process.communicate(timeout=30)
    acknowledged += [int(line) for line in rest.split()]
    state = fields_of(store, learner, BLOCK)
    assert {f"w0_{n}": n for n in acknowledged}.items() <= state.items()
    assert replayed(store, learner, BLOCK) == state

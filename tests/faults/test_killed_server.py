"""The database server itself is killed with -9 amid saves, and started again on the same data."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from django.db import Error, connections

from fieldstone.testing.faults import kill_server_at
from tests.conftest import each_server
from tests.engines.writer import Event, Writers
from tests.faults import marked
from tests.faults.instance import serving
from tests.faults.marked import SAVED, TRIED

KILLS, WRITERS = 4, 4
SAVES_BETWEEN = 5
"""So many acknowledged saves of each writer between one kill and the next."""


@pytest.fixture
def instance(alias, store, open_folder):
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no server; of processes killed amid a save see test_killed_writers")
    with serving(alias, open_folder) as instance:
        yield instance


def progress(writer):
    """What it tells until it has saved some more."""
    told, saved = [], 0
    while saved < SAVES_BETWEEN:
        told.append(writer.next())
        saved += told[-1][0] == SAVED
    return told


@each_server
def test_saves_tried_again_after_a_killed_server_are_back_are_all_there_once(store, learner, alias, instance):
    stop, told = Event(), []
    with Writers(alias) as writers:
        running = [writers.start(marked.save_through_outages, number, learner, stop) for number in range(WRITERS)]
        for _ in range(KILLS):
            for writer in running:
                told += progress(writer)
            instance.kill()
            instance.start()
        for writer in running:
            told += progress(writer)
        stop.set()
        for writer in running:
            told += writer.rest()
    saved = {marker for what, marker in told if what == SAVED}
    assert saved == {marker for what, marker in told if what == TRIED}
    connections[alias].close()
    assert set(marked.check(store, learner, saved)) == saved
    assert len(saved) >= WRITERS * SAVES_BETWEEN * (KILLS + 1)


@each_server
def test_a_server_killed_right_at_a_statement_has_all_of_the_save_or_nothing(store, learner, alias, instance):
    saved = []
    for pattern, when in itertools.product(["INSERT INTO fieldstone_user_info", "^COMMIT$"], ["before", "after"]):
        marker = f"{pattern}, {when}"
        fault = kill_server_at(pattern, pid=instance.process, when=when, using=alias)
        with fault, contextlib.suppress(Error):  # PostgreSQL has no more to say after the COMMIT
            marked.save_marker(store, learner, marker)
        instance.start()
        is_there = (pattern, when) == ("^COMMIT$", "after")
        assert marked.markers_of(store, learner, marked.BLOCKS[0]) == saved + [marker] * is_there
        marked.save_marker(store, learner, marker)
        saved.append(marker)
        assert marked.check(store, learner, saved) == saved

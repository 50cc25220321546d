"""Several real processes on the same rows, and a process killed with -9: no acknowledged field is lost."""

from __future__ import annotations

import pytest
from django.db import connections

from fieldstone.store import UserInfo
from fieldstone.store.models import LearningContext, StudentModule, Usage
from fieldstone.store.parts import part_of
from fieldstone.store.verify import Verification
from fieldstone.testing.contracts.stores.samples import fields_of, replayed
from tests.conftest import each_engine
from tests.engines import writer
from tests.engines.writer import Writers, block, race

WRITERS = 8
BLOCK = block("contended0")


def findings(alias):
    return [finding for batch in Verification(alias, part_of(alias)).batches() for finding in batch]


@each_engine
def test_writers_of_different_fields_never_lose_each_others_work(store, learner, alias):
    """Eight processes race to make the row and to add fields to it; each of 8 x 200 fields is there."""
    race(alias, writer.save_fields, WRITERS, learner, 200, 1)
    expected = {f"w{number}_{n}": n for number in range(WRITERS) for n in range(200)}
    assert fields_of(store, learner, BLOCK) == expected
    assert replayed(store, learner, BLOCK) == expected
    revisions = [revision.number for revision in store.history(learner, BLOCK)]
    assert revisions == list(range(WRITERS * 200, 0, -1)), "revisions have gaps"


@each_engine
def test_rows_and_keys_that_all_make_at_once_are_made_once(store, learner, alias):
    rounds, blocks = 10, 20
    race(alias, writer.make_rows, WRITERS, learner, rounds, blocks, writer.Barrier(WRITERS))
    assert LearningContext.objects.using(alias).count() == rounds
    assert Usage.objects.using(alias).count() == rounds * blocks
    rows = StudentModule.objects.using(alias)
    assert set(rows.values_list("revision", flat=True)) == {WRITERS}
    assert rows.count() == rounds * blocks
    for round_ in range(rounds):
        expected = {f"w{number}": round_ for number in range(WRITERS)}
        assert fields_of(store, learner, block("new0", f"course{round_}")) == expected
    assert findings(alias) == []


@each_engine
def test_of_two_tries_at_once_one_is_written_and_both_get_a_receipt(store, learner, alias):
    rounds = 100
    tries = race(alias, writer.try_tokens, 2, learner, rounds, writer.Barrier(2))
    for revision, receipts in enumerate(zip(*tries, strict=True), 1):
        assert sorted(receipts) == [(False, revision), (True, revision)]
    assert [revision.number for revision in store.history(learner, block("b2"))] == list(range(rounds, 0, -1))
    assert findings(alias) == []


@each_engine
def test_of_saves_on_the_same_revision_one_goes_through(store, learner, alias):
    """The others learn which revision is there now."""
    rounds = 25
    told = race(alias, writer.expect_revisions, WRITERS, learner, rounds, writer.Barrier(WRITERS))
    for revision, outcomes in enumerate(zip(*told, strict=True)):
        assert sorted(outcomes, key=lambda current: current or 0) == [None] + [revision + 1] * (WRITERS - 1)
    winners = [
        number for outcome in zip(*told, strict=True) for number in range(WRITERS) if outcome[number] is None
    ]
    written = [revision.changes["winner"] for revision in store.history(learner, block("b"))]
    assert written == winners[::-1]


def no_deadlocks_on_sqlite(alias):
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no row locks: one writes at a time")


@each_engine
def test_saves_of_the_same_blocks_in_any_order_do_not_deadlock(store, learner, alias):
    """The store sorts the rows: unsorted, two saves wait for each other's row locks."""
    no_deadlocks_on_sqlite(alias)
    race(alias, writer.save_fields, 4, learner, 15, 300)
    assert store.read(learner, [BLOCK])[BLOCK].revision == 60


@each_engine
def test_saves_of_every_scope_in_any_order_do_not_deadlock(store, learner, alias):
    """With grades that are set and taken away, and fields that are set and deleted, by the same saves."""
    race(alias, writer.save_everything, WRITERS, learner, 60, writer.Barrier(WRITERS))
    assert len(store.read(learner, [block(f"b{n}") for n in range(4)])) == 4
    assert findings(alias) == []


@each_engine
def test_saves_that_only_delete_and_saves_that_set_do_not_deadlock(store, learner, alias):
    """InnoDB's gap locks deadlock all the same, on fields just deleted: there such a save is tried again."""
    no_deadlocks_on_sqlite(alias)
    race(alias, writer.set_and_delete, WRITERS, learner, 40, writer.Barrier(WRITERS))
    assert len(store.read(learner, [UserInfo()])) == 1


@each_engine
def test_a_killed_process_loses_nothing_that_was_acknowledged(store, learner, alias):
    with Writers(alias) as writers:
        process = writers.start(writer.save_fields, 0, learner, 100_000, 1)
        acknowledged = [process.next() for _ in range(25)]
        process.kill()
        acknowledged += process.rest()
    state = fields_of(store, learner, BLOCK)
    assert {f"w0_{n}": n for n in acknowledged}.items() <= state.items()
    assert replayed(store, learner, BLOCK) == state

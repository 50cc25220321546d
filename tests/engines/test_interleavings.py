"""Two savers at the same rows, in every way that their statements can mix: as if one had come after the other."""

from __future__ import annotations

from functools import partial

import pytest

from fieldstone.errors import ConflictError
from fieldstone.store import DELETED, Grade, Preferences, Store, Summary, UserInfo
from fieldstone.store.usages import forget_all
from fieldstone.testing import RaceReport, race
from tests.conftest import each_engine, usage

A, B = usage("a"), usage("b")
EVERYWHERE = [A, B, Summary(A), Preferences("problem"), UserInfo()]


@pytest.fixture
def saving(store, learner):
    """Makes a step: a save by a process of its own, which asks for the ids of keys anew."""

    def step(changes, **options):
        def save():
            forget_all()
            Store(store.using).save(learner, changes, **options)

        return save

    return step


def raced(store, *steps, **options) -> RaceReport:
    report = race(*steps, using=store.using, **options)
    assert len(report.interleavings) > 1
    return report


@each_engine
@pytest.mark.parametrize("is_new", [False, True], ids=["rows that are there", "new rows"])
def test_no_field_is_lost(store, learner, saving, is_new):
    if not is_new:
        store.save(learner, {place: {"x": 0, "z": 0} for place in EVERYWHERE})
    one = saving({place: {"x": 1} for place in EVERYWHERE}, grades={A: Grade(1, 2)})
    other = saving({place: {"y": 2, "z": DELETED} for place in reversed(EVERYWHERE)}, grades={A: Grade(2, 2)})
    raced(store, one, other, limit=40)


@each_engine
def test_of_two_saves_that_expect_the_same_revision_one_is_refused(store, learner, saving):
    store.save(learner, {A: {"x": 0}})
    steps = [saving({A: {name: 1}}, expected={A: 1}) for name in "yz"]
    report = raced(store, *steps)
    for interleaving in report.interleavings:
        refused = [outcome.error for outcome in interleaving.outcomes.values() if outcome.error is not None]
        assert [type(error) for error in refused] == [ConflictError]


@each_engine
def test_a_restore_and_a_save_are_one_after_the_other_or_the_restore_is_refused(store, learner, saving):
    for number in range(3):
        store.save(learner, {A: {"x": number}})
    restore, save = partial(Store(store.using).restore, learner, A, revision=1), saving({A: {"x": 7, "y": 7}})
    report = raced(store, restore, save, allow=[ConflictError], limit=60)
    assert all(interleaving.outcomes["b"].error is None for interleaving in report.interleavings)


@each_engine
def test_what_is_read_and_then_saved_is_lost_unless_its_revision_is_expected(store, learner):
    """The harness sees a lost update where there is one, so the tests above can fail."""

    def add_one(**options):
        state = store.read(learner, [A])[A]
        expected = {A: state.revision} if options else {}
        store.save(learner, {A: {"x": state.fields["x"] + 1}}, expected=expected)

    def stored():
        return store.read(learner, [A])[A].fields["x"]

    store.save(learner, {A: {"x": 0}})
    assert raced(store, add_one, add_one, observe=stored, allow=["lost update"]).lost_updates
    expecting = partial(add_one, expecting=True)
    raced(store, expecting, expecting, observe=stored, allow=[ConflictError])

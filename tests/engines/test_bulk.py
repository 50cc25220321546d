"""Many learners in one save come out as if each had been saved alone; on every engine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldstone.errors import InvalidValueError
from fieldstone.store import DELETED
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.engines.walk import Part
from fieldstone.store.states import NO_GRADE, Grade
from fieldstone.store.verify import Verification
from fieldstone.testing import query_budget
from tests.conftest import each_engine, usage

A, B = usage("a"), usage("b")

pytestmark = pytest.mark.django_db(transaction=True)


def stored(store, learners):
    return {
        learner: {
            key: (dict(state.fields), state.revision, state.grade, state.max_grade)
            for key, state in store.read(learner, [A, B]).items()
        }
        for learner in learners
    }


def disagreements(store):
    """What of the history does not replay to the states."""
    return [finding for batch in Verification(store.using, Part()).batches() for finding in batch]


FIELDS = st.dictionaries(st.sampled_from("xyz"), st.one_of(st.just(DELETED), st.integers(), st.text(max_size=3)))
GRADES = st.one_of(st.none(), st.just(NO_GRADE), st.floats(0, 1).map(lambda value: Grade(value, 1.0)))
ROUNDS = st.lists(
    st.dictionaries(st.integers(1, 5), st.dictionaries(st.sampled_from([A, B]), st.tuples(FIELDS, GRADES))),
    max_size=4,
)


@each_engine
def test_any_saves_of_many_leave_what_saves_of_one_leave(store):
    base = iter(range(1000, 10_000_000, 1000))

    @settings(max_examples=25, deadline=None, database=None)
    @given(ROUNDS)
    def compare(rounds):
        together, alone = next(base), next(base)
        for saves in rounds:
            changes = {
                learner: (
                    {key: fields for key, (fields, _) in of_learner.items()},
                    {key: grade for key, (_, grade) in of_learner.items() if grade is not None},
                )
                for learner, of_learner in saves.items()
            }
            receipt = store.save_many(
                [LearnerSave.of(together + learner, *change) for learner, change in changes.items()]
            )
            assert not receipt.refused
            for learner, (fields, grades) in changes.items():
                store.save(alone + learner, fields, grades=grades)
        of_many, of_one = (
            stored(store, [first + learner for learner in range(1, 6)]) for first in (together, alone)
        )
        assert list(of_many.values()) == list(of_one.values())
        for learner in range(1, 6):
            for key in (A, B):
                histories = [
                    [(revision.number, revision.changes) for revision in store.history(first + learner, key)]
                    for first in (together, alone)
                ]
                assert histories[0] == histories[1]

    compare()


@each_engine
def test_what_others_saved_since_it_was_read_is_not_saved_over_and_the_rest_is(store):
    store.save(1, {A: {"x": 1}})
    store.save(2, {A: {"x": 1}, B: {"x": 1}})
    store.save(2, {B: {"x": 2}})
    receipt = store.save_many(
        [
            LearnerSave.of(1, {A: {"x": 5}}, expected={A: 1}),
            LearnerSave.of(2, {A: {"x": 5}, B: {"x": 5}}, expected={A: 1, B: 1}),
            LearnerSave.of(3, {A: {"x": 5}}, expected={A: 0}),
            LearnerSave.of(4, {A: {"x": 5}}, expected={A: 3}),
        ]
    )
    assert sorted(receipt.refused) == [2, 4]
    assert {learner: dict(states[A].fields) for learner, states in receipt.states.items()} == {
        1: {"x": 5},
        3: {"x": 5},
    }
    assert stored(store, [1, 2, 3, 4]) == {
        1: {A: ({"x": 5}, 2, None, None)},
        2: {A: ({"x": 1}, 1, None, None), B: ({"x": 2}, 2, None, None)},
        3: {A: ({"x": 5}, 1, None, None)},
        4: {},
    }


@each_engine
def test_many_are_read_at_once(store):
    for learner in range(1, 6):
        store.save(learner, {A: {"x": learner}})
    store.save(3, {B: {"y": 1}})
    store.save(9, {A: {"x": 9}})
    with query_budget(2):
        read = store.read_many([1, 3, 5, 7], [A, B, usage("never-met")])
    assert {
        learner: {key: dict(state.fields) for key, state in states.items()} for learner, states in read.items()
    } == {
        1: {A: {"x": 1}},
        3: {A: {"x": 3}, B: {"y": 1}},
        5: {A: {"x": 5}},
    }


@each_engine
def test_a_thousand_learners_cost_a_few_statements_and_the_history_replays(store):
    learners = range(1, 1001)
    store.save_many(
        [LearnerSave.of(learner, {A: {"x": learner}}, {A: Grade(1, 1)}) for learner in learners], origin="job:1"
    )
    with query_budget(6):
        store.save_many(
            [LearnerSave.of(n, {A: {"x": DELETED, "y": "é"}}, {A: NO_GRADE}, {A: 1}) for n in learners],
            origin="job:2",
        )
    state = store.read(1000, [A])[A]
    assert (dict(state.fields), state.revision, state.grade) == ({"y": "é"}, 2, None)
    assert [revision.origin for revision in store.history(500, A)] == ["job:2", "job:1"]
    assert disagreements(store) == []


@each_engine
def test_one_value_that_cannot_be_stored_refuses_the_whole_save(store):
    with pytest.raises(InvalidValueError):
        store.save_many([LearnerSave.of(1, {A: {"x": 1}}), LearnerSave.of(2, {A: {"x": object()}})])
    assert stored(store, [1, 2]) == {1: {}, 2: {}}


@each_engine
def test_saves_of_many_and_of_one_at_once_lose_nothing(store):
    """Each adds fields of its own; the rows are there for some, and come to be for others."""
    learners = list(range(1, 21))
    for learner in learners[::2]:
        store.save(learner, {A: {"x": 0}})

    def many(number):
        try:
            saves = [LearnerSave.of(learner, {key: {f"m{number}": 1} for key in (A, B)}) for learner in learners]
            store.save_many(saves)
        finally:
            connections[store.using].close()

    def one(number):
        try:
            for learner in reversed(learners):
                store.save(learner, {key: {f"o{number}": 1} for key in (B, A)})
        finally:
            connections[store.using].close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda work: work[0](work[1]), [(many, 1), (one, 1), (many, 2), (one, 2)]))
    for learner in learners:
        for key in (A, B):
            assert {"m1", "m2", "o1", "o2"} <= set(store.read(learner, [key])[key].fields)
    assert disagreements(store) == []

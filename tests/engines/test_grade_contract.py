"""Grades beside fields, on every engine."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fieldstone.errors import InvalidValueError
from fieldstone.store import NO_GRADE, Grade
from fieldstone.store.models import StudentModule, StudentModuleHistory
from tests.conftest import each_engine, usage

A, B = usage("a"), usage("b")


def grade_of(store, learner, place):
    state = store.read(learner, [place])[place]
    return Grade(state.grade, state.max_grade)


@each_engine
def test_a_grade_is_saved_with_fields_in_one_revision(store, learner):
    receipt = store.save(learner, {A: {"x": 1}, B: {"y": 1}}, grades={A: Grade(0.5, 2)})
    assert (receipt.states[A].grade, receipt.states[A].max_grade, receipt.states[A].revision) == (0.5, 2, 1)
    assert grade_of(store, learner, A) == Grade(0.5, 2)
    assert grade_of(store, learner, B) == NO_GRADE


@each_engine
def test_fields_leave_the_grade_and_a_grade_leaves_the_fields(store, learner):
    store.save(learner, {A: {"x": 1}}, grades={A: Grade(1, 2)})
    store.save(learner, {A: {"x": 2}})
    assert grade_of(store, learner, A) == Grade(1, 2)
    store.save(learner, {}, grades={A: Grade(0, 2)})
    state = store.read(learner, [A])[A]
    assert (dict(state.fields), state.grade, state.revision) == ({"x": 2}, 0, 3)


@each_engine
def test_a_grade_alone_makes_the_row(store, learner):
    store.save(learner, {}, grades={A: Grade(1, 1)})
    assert (grade_of(store, learner, A), dict(store.read(learner, [A])[A].fields)) == (Grade(1, 1), {})


@each_engine
def test_a_grade_can_be_taken_away(store, learner, alias):
    store.save(learner, {A: {"x": 1}, B: {"x": 1}}, grades={A: Grade(1, 2), B: Grade(1, 2)})
    store.save(learner, {A: {"x": 2}}, grades={A: NO_GRADE})
    assert grade_of(store, learner, A) == NO_GRADE
    assert grade_of(store, learner, B) == Grade(1, 2)
    assert StudentModuleHistory.objects.using(alias).get(revision=2).grade is None


@each_engine
def test_earlier_grades_are_seen_and_restored_with_their_fields(store, learner):
    store.save(learner, {A: {"x": 1}}, grades={A: Grade(1, 2)})
    store.save(learner, {A: {"x": 2}}, grades={A: NO_GRADE})
    assert (store.at(learner, A, revision=1).grade, store.at(learner, A, revision=2).grade) == (1, None)
    store.restore(learner, A, revision=1)
    assert (grade_of(store, learner, A), dict(store.read(learner, [A])[A].fields)) == (Grade(1, 2), {"x": 1})
    store.restore(learner, A, revision=2)
    assert grade_of(store, learner, A) == NO_GRADE


@each_engine
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, database=None
)
@example(value=36.82617878923568, maximum=49)
@given(value=st.floats(allow_nan=False, allow_infinity=False), maximum=st.integers(0, 10**6))
def test_a_grade_comes_back_exactly(store, learner, value, maximum):
    """SQLite's JSON would round it to 15 digits, and its CAST from text be wrong in the last of one in 10,000."""
    store.save(learner, {A: {"x": 1}, B: {"x": 1}}, grades={A: Grade(value, maximum)})
    assert grade_of(store, learner, A) == Grade(value, maximum)
    assert grade_of(store, learner, B) == NO_GRADE


@each_engine
@pytest.mark.parametrize(
    "grade", [Grade(math.nan, 1), Grade(1, math.inf), Grade(None, 1), Grade(1, None), Grade("1", 1)], ids=repr
)
def test_a_grade_is_two_finite_numbers(store, learner, alias, grade):
    with pytest.raises(InvalidValueError, match="two finite numbers"):
        store.save(learner, {B: {"x": 1}}, grades={A: grade})
    assert not StudentModule.objects.using(alias).exists()

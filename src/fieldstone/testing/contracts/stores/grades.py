"""Grades beside fields."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import InvalidValueError
from fieldstone.store import NO_GRADE, Grade, Store
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.drawn import examples
from fieldstone.testing.contracts.stores.samples import A, B, fields_of


def grade_of(store: Store, learner: int, block: UsageKey) -> Grade:
    state = store.read(learner, [block])[block]
    return Grade(state.grade, state.max_grade)


class GradesContract(OnStores):
    def test_a_grade_is_saved_with_fields_in_one_revision(self, store: Store, learner: int) -> None:
        saved = store.save(learner, {A: {"x": 1}, B: {"y": 1}}, grades={A: Grade(0.5, 2)}).states[A]
        assert (saved.grade, saved.max_grade, saved.revision) == (0.5, 2, 1)
        assert grade_of(store, learner, A) == Grade(0.5, 2)
        assert grade_of(store, learner, B) == NO_GRADE

    def test_fields_leave_the_grade_and_a_grade_leaves_the_fields(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}}, grades={A: Grade(1, 2)})
        store.save(learner, {A: {"x": 2}})
        assert grade_of(store, learner, A) == Grade(1, 2)
        store.save(learner, {}, grades={A: Grade(0, 2)})
        state = store.read(learner, [A])[A]
        assert (dict(state.fields), state.grade, state.revision) == ({"x": 2}, 0, 3)

    def test_a_grade_alone_makes_the_row(self, store: Store, learner: int) -> None:
        store.save(learner, {}, grades={A: Grade(1, 1)})
        assert grade_of(store, learner, A) == Grade(1, 1)
        assert fields_of(store, learner, A) == {}

    def test_a_grade_can_be_taken_away(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}, B: {"x": 1}}, grades={A: Grade(1, 2), B: Grade(1, 2)})
        saved = store.save(learner, {A: {"x": 2}}, grades={A: NO_GRADE}).states[A]
        assert Grade(saved.grade, saved.max_grade) == grade_of(store, learner, A) == NO_GRADE
        assert grade_of(store, learner, B) == Grade(1, 2)

    def test_earlier_grades_are_seen_and_restored_with_their_fields(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}}, grades={A: Grade(1, 2)})
        store.save(learner, {A: {"x": 2}}, grades={A: NO_GRADE})
        assert (store.at(learner, A, revision=1).grade, store.at(learner, A, revision=2).grade) == (1, None)
        store.restore(learner, A, revision=1)
        assert grade_of(store, learner, A) == Grade(1, 2)
        assert fields_of(store, learner, A) == {"x": 1}
        store.restore(learner, A, revision=2)
        assert grade_of(store, learner, A) == NO_GRADE

    @examples(40)
    @example(value=36.82617878923568, maximum=49)
    @given(value=st.floats(allow_nan=False, allow_infinity=False), maximum=st.integers(0, 10**6))
    def test_a_grade_comes_back_exactly(self, store: Store, learner: int, value: float, maximum: int) -> None:
        """SQLite's JSON would round it to 15 digits, its CAST from text be wrong in the last of one in 10,000."""
        store.save(learner, {A: {"x": 1}, B: {"x": 1}}, grades={A: Grade(value, maximum)})
        assert grade_of(store, learner, A) == Grade(value, maximum)
        assert grade_of(store, learner, B) == NO_GRADE

    @pytest.mark.parametrize("numbers", [(math.nan, 1), (1, math.inf), (None, 1), (1, None), ("1", 1)], ids=repr)
    def test_a_grade_is_two_finite_numbers(
        self, store: Store, learner: int, numbers: tuple[float | None, float | None]
    ) -> None:
        with pytest.raises(InvalidValueError, match="two finite numbers"):
            store.save(learner, {B: {"x": 1}}, grades={A: Grade(*numbers)})
        assert store.read(learner, [A, B]) == {}

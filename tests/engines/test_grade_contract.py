"""Grades in our own tables, on every engine."""

from __future__ import annotations

import math

import pytest

from fieldstone.errors import InvalidValueError
from fieldstone.store import NO_GRADE, Grade
from fieldstone.store.models import StudentModule, StudentModuleHistory
from tests.conftest import each_engine, usage

A, B = usage("a"), usage("b")


@each_engine
def test_a_grade_that_is_taken_away_is_gone_from_the_history_too(store, learner, alias):
    store.save(learner, {A: {"x": 1}}, grades={A: Grade(1, 2)})
    store.save(learner, {A: {"x": 2}}, grades={A: NO_GRADE})
    rows = StudentModuleHistory.objects.using(alias).order_by("revision")
    assert list(rows.values_list("grade", "max_grade")) == [(1, 2), (None, None)]


@each_engine
def test_a_grade_that_is_refused_makes_no_row(store, learner, alias):
    with pytest.raises(InvalidValueError, match="two finite numbers"):
        store.save(learner, {B: {"x": 1}}, grades={A: Grade(math.nan, 1)})
    assert not StudentModule.objects.using(alias).exists()

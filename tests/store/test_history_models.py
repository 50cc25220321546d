"""``StudentModuleHistory`` as code written for Open edX looks at it; on every engine."""

from __future__ import annotations

import json

import pytest
from django.core.exceptions import FieldError
from django.db import connections
from django.test.utils import CaptureQueriesContext
from opaque_keys.edx.locator import CourseLocator

from fieldstone.errors import InvalidPlaceError
from fieldstone.store import DELETED
from fieldstone.store.models import StudentModuleHistory
from fieldstone.store.routing import Home
from fieldstone.store.tables import SNAPSHOT_EVERY
from tests.conftest import COURSE, each_engine, usage
from tests.engines.routers import Divided, each_engine_with_two_databases

A, B = usage("a"), usage("b", "html")
OTHER = CourseLocator("Org", "Course", "Other")


@pytest.fixture
def history(alias, store, learner):
    """The history of two learners in two courses, under one with a snapshot."""
    for number in range(SNAPSHOT_EVERY + 2):
        store.save(learner, {A: {"a": number, f"f{number}": number % 2 or DELETED}})
    store.save(learner, {B: {"b": 1}, usage("a", course=OTHER): {"c": 1}})
    store.save(learner + 1, {A: {"a": None}})
    return StudentModuleHistory.objects.db_manager(alias)


@each_engine
def test_history_is_found_by_learner_course_key_and_type(history, learner, alias):
    def found(**lookups):
        with CaptureQueriesContext(connections[alias]) as queries:
            rows = {(row.student_id, row.usage_id, row.revision) for row in history.filter(**lookups)}
        assert len(queries) == 1, queries.captured_queries
        return len(rows)

    saves = SNAPSHOT_EVERY + 2
    assert found(student=learner, module_state_key=A) == saves
    assert found(student_id=learner, module_state_key=str(A)) == saves
    assert found(course_id=COURSE) == saves + 2
    assert found(course_id=str(OTHER), student=learner, revision=1) == 1
    assert found(module_state_key__in=[A, B], module_type="html") == 1
    assert history.exclude(module_state_key=A).exclude(course_id=OTHER).get().module_state_key == B
    assert history.filter(module_state_key=usage("none")).count() == 0
    with pytest.raises(InvalidPlaceError):
        history.filter(module_state_key="no key")
    with pytest.raises(FieldError):
        history.filter(module_state_key__startswith="b")


@each_engine
def test_each_revision_shows_the_state_as_of_it(history, learner):
    for revision in (1, 2, SNAPSHOT_EVERY, SNAPSHOT_EVERY + 2):
        row = history.get(student=learner, module_state_key=A, revision=revision)
        assert row.module_state_key == A
        expected = {"a": revision - 1} | {f"f{n}": 1 for n in range(revision) if n % 2}
        assert json.loads(row.state) == expected


@each_engine_with_two_databases
def test_history_that_was_moved_elsewhere_is_found_and_shown_alike(store, learner, alias, settings):
    """That alias has no usages: they are asked of the states' alias."""
    home = Home(alias, f"{alias}_history")
    settings.DATABASE_ROUTERS = [Divided(home)]
    store.save(learner, {A: {"a": 1}, B: {"b": 1}})
    store.save(learner, {A: {"a": 2}})
    moved = StudentModuleHistory.objects.db_manager(home.history)
    rows = moved.filter(student=learner, course_id=COURSE, module_state_key=A).order_by("revision")
    assert [(row.revision, row.module_state_key, json.loads(row.state)) for row in rows] == [
        (1, A, {"a": 1}),
        (2, A, {"a": 2}),
    ]
    assert moved.exclude(module_state_key=A).get().module_state_key == B

"""Grades that published blocks give themselves reach the store, with the fields of the same answer."""

from __future__ import annotations

import pytest

from fieldstone.store.models import StudentModule, StudentModuleHistory
from fieldstone.store.store import Store
from fieldstone.testing import query_budget
from fieldstone.workbench.courses import current_course
from fieldstone.xblock.declared import COMPLETION, aside_key
from tests.runtime.courses import RenamedTable, call, check_problem, example, runtime

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]

DONE = ("done", "plan-made")


def state(user, usage_key):
    return Store().read(user, [usage_key])[usage_key]


def test_the_grade_of_an_answer_is_saved_with_its_fields(ada, bob):
    """One answer, one revision."""
    done = example(*DONE)
    call(current_course(), ada, done, "toggle_button", {"done": True})
    saved = state(ada, done)
    assert (dict(saved.fields), saved.grade, saved.max_grade, saved.revision) == ({"done": True}, 1, 1, 1)
    call(current_course(), ada, done, "toggle_button", {"done": False})
    assert (state(ada, done).grade, state(ada, done).revision) == (0, 2)
    assert done not in Store().read(bob, [done])


@pytest.mark.parametrize(("choice", "grade"), [("choice_0", 0), ("choice_1", 1)])
def test_a_problem_is_graded(ada, choice, grade):
    chess = example("problem", "chess-master")
    check_problem(current_course(), ada, chess, choice)
    assert (state(ada, chess).grade, state(ada, chess).max_grade) == (grade, 1)
    assert [revision.number for revision in Store().history(ada, chess)] == [1]


@pytest.mark.django_db(transaction=True)
def test_a_grade_is_not_saved_without_the_fields_of_its_answer(ada):
    with RenamedTable(StudentModuleHistory):
        response = call(current_course(), ada, example(*DONE), "toggle_button", {"done": True})
    assert response.status_code == 503
    assert not StudentModule.objects.exists()


@pytest.mark.parametrize(("value", "kept"), [(0.5, 1), (2, 2)])
def test_a_grade_that_is_to_replace_only_a_lower_one(ada, value, kept):
    page, done = runtime(current_course(), ada), example(*DONE)
    block = page.get_block(done)
    page.publish(block, "grade", {"value": 1, "max_value": 2, "only_if_higher": True})
    page.publish(block, "grade", {"value": value, "max_value": 2, "only_if_higher": True})
    assert state(ada, done).grade == kept


def test_other_events_are_no_grades(ada):
    page, done = runtime(current_course(), ada), example(*DONE)
    page.publish(page.get_block(done), "completion", {"completion": 1.0, "value": 1, "max_value": 1})
    page.publish(page.get_block(done), "edx.done.toggled", {"value": 1, "max_value": 1})
    assert done not in Store().read(ada, [done])


def test_a_completion_is_kept_beside_the_blocks_state(ada, bob):
    """It is found with its block's own fields, in the same query, and is the learner's alone."""
    course, done = current_course(), example(*DONE)
    page = runtime(course, ada)
    page.publish(page.get_block(done), "completion", {"completion": 0.5})
    assert page.completions([done]) == {done: 0.5}
    again = runtime(course, ada)
    with query_budget(1):
        again.get_block(done)
        assert again.completions([done]) == {done: 0.5}
    assert runtime(course, bob).completions([done]) == {}


def test_the_same_completion_is_not_saved_again(ada):
    course, done = current_course(), example(*DONE)
    for _ in range(3):
        page = runtime(course, ada)
        page.publish(page.get_block(done), "completion", {"completion": 1.0})
    assert len(Store().history(ada, aside_key(done, COMPLETION))) == 1

"""Learners, and what they have done in the exam: as the problems themselves store it, in any number."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.test import RequestFactory

from bench.jobs.course import Exam, Problem
from fieldstone.runtime.course import Course
from fieldstone.runtime.handlers import handle
from fieldstone.runtime.olx import read_course
from fieldstone.runtime.wiring import Viewer
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.plan import Plan
from fieldstone.store.states import Grade, State
from fieldstone.workbench.pages import runtime_for

LEARNERS_AT_ONCE = 2_000
SHARE_WHO_ONLY_LOOKED = 0.05
MOST_ATTEMPTS = 4

Advance = Callable[[int], None]
"""Told how many more states are there."""


def enrol(learners: int) -> list[int]:
    """So many accounts; their ids."""
    users = get_user_model()
    users.objects.bulk_create([users(username=f"learner-{number:06}") for number in range(learners)], 5_000)
    return list(users.objects.filter(username__startswith="learner-").order_by("pk").values_list("pk", flat=True))


def fill(exam: Exam, learner_ids: Sequence[int], seed: int, advance: Advance = lambda states: None) -> int:
    """A state with its history of each learner at each problem; how many there are.

    What each problem stores of one who answers rightly, wrongly, or as the mistake had it, is asked of the problem
    itself, as it was before; each learner then has one of these by chance, with a number of attempts.
    """
    course, drawn, store, states = read_course(exam.before), random.Random(seed), Store(), 0
    model = get_user_model().objects.create_user("model-learner")
    for problem in exam.problems:
        looked, answered = _plans(course, model, problem)
        for start in range(0, len(learner_ids), LEARNERS_AT_ONCE):
            ids = learner_ids[start : start + LEARNERS_AT_ONCE]
            has_looked = [drawn.random() < SHARE_WHO_ONLY_LOOKED for _ in ids]
            plans = [looked if only else drawn.choice(answered) for only in has_looked]
            store.save_many(map(LearnerSave, ids, plans), origin="handler")
            states += len(ids)
            advance(len(ids))
        store.save(model, {problem.usage_key: {}})
    return states


def _answered(course: Course, model: object, problem: Problem, number: int) -> State:
    key = problem.usage_key
    runtime = partial(runtime_for, course, Viewer(model), "handler")
    request = RequestFactory().post(
        "/",
        urlencode({f"input_{key.block_id}_2_1": number}),
        content_type="application/x-www-form-urlencoded",
    )
    handle(runtime, key, "xmodule_handler", "problem_check", request)
    return Store().read(model, [key])[key]


def _plans(course: Course, model: object, problem: Problem) -> tuple[Plan, list[Plan]]:
    """What is saved of who only looked; and of who answers, after any number of attempts: encoded once, for all.

    An answer is right by what holds today, or by what held then, or wrong.
    """
    key = problem.usage_key
    answered = []
    for number in (problem.answer, problem.wanted_before, -problem.answer):
        state = _answered(course, model, problem, number)
        for attempts in range(1, MOST_ATTEMPTS + 1):
            grades = {key: Grade(state.grade, state.max_grade)}
            answered.append(Plan.of({key: {**state.fields, "attempts": attempts}}, grades))
    return Plan.of({key: {"seed": 1}}, {}), answered

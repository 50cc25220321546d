"""A page of twenty problems that a learner has answered: how long it takes, and how many queries it asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from http import HTTPStatus
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from opaque_keys.edx.keys import UsageKey

from bench.measuring import Budget, Quartiles, sampled
from fieldstone.runtime.course import Course, CourseBlock
from fieldstone.store.store import Store
from fieldstone.workbench.courses import current_course, unit_url
from fieldstone.workbench.pages import unit_page

NAME = "page-20"
TITLE = "page of 20 problems with state"
UNIT = "twenty-questions"
QUERIES_OF_XBLOCK_SDK = 686  # given to us, not measured here


class NotAnsweredError(Exception):
    """The problems did not take the answers: the page would be measured without state."""


@dataclass(frozen=True)
class PageCost:
    """The unit alone, as ``unit_page`` puts it together, and the whole GET request, session and all."""

    unit_seconds: Quartiles
    unit_queries: int
    request_seconds: Quartiles
    request_queries: int


def measure(budget: Budget) -> PageCost:
    """Answer all twenty problems as a learner would, then look at the page again and again."""
    course = current_course()
    unit = next(block for block in course.blocks.values() if block.usage_key.block_id == UNIT)
    user = get_user_model().objects.create_user("reader")
    client = Client()
    client.force_login(user)
    _answer_all(client, course, unit, user)

    def put_together() -> Any:
        return unit_page(course, unit, user)

    def ask() -> Any:
        return client.get(unit_url(unit))

    half = Budget(budget.seconds / 2, budget.rounds, least_rounds=5)
    return PageCost(
        Quartiles.of(sampled(put_together, half)),
        _queries(put_together),
        Quartiles.of(sampled(ask, half)),
        _queries(ask),
    )


def _answer_all(client: Client, course: Course, unit: CourseBlock, user: Any) -> None:
    problems = [block.usage_key for block in unit.children if block.block_type == "problem"]
    # Twice escaped: the problems' HTML stands in an attribute, for their script to put in place.
    page = unescape(unescape(client.get(unit_url(unit)).content.decode()))
    inputs: dict[str, str] = {}
    for tag in re.findall(r"<(?:input|select)[^>]*>", page):
        found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if found.get("name", "").startswith("input_"):
            inputs.setdefault(found["name"], found.get("value", ""))
    for usage_key in problems:
        _answer(client, inputs, usage_key)
    states = Store().read(user, problems)
    answered = [key for key in problems if key in states and states[key].fields.get("student_answers")]
    if len(answered) != 20:
        raise NotAnsweredError(f"{len(answered)} of 20 problems of the unit {UNIT} took their answers.")


def _answer(client: Client, inputs: dict[str, str], usage_key: UsageKey) -> None:
    """Submit the problem with something in each of its inputs; whether it is right does not matter."""
    answers = {name: value or "1" for name, value in inputs.items() if f"_{usage_key.block_id}_" in name}
    url = reverse("workbench:handlers", args=[str(usage_key)]) + "xmodule_handler/problem_check"
    response = client.post(url, answers)
    if response.status_code != HTTPStatus.OK:
        raise NotAnsweredError(f"{usage_key} answered {response.status_code} to a submission.")


def _queries(work: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)

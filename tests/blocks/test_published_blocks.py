"""Published blocks, used through the browser: what a learner does is kept, for that learner alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Request, StorageState, expect

from tests.blocks.exercise import COURSE, BlockExercise
from tests.blocks.registry import EXERCISES
from tests.blocks.stored import stored_fields
from tests.browser.conftest import Visit
from tests.browser.server import Workbench
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser
SPEAKS_FOR_MANY = "xmodule_handler"
"""A handler whose suffix says what is asked of it."""
SECONDS = 10
TRIES = 4


@pytest.mark.parametrize("name", EXERCISES)
def test_what_a_learner_does_is_there_again_for_them_and_for_nobody_else(
    name: str, blocks: Workbench, visit: Visit, new_name: Callable[[str], str]
) -> None:
    exercise, visitor = EXERCISES[name], visit(blocks.url, COURSE)
    card = visitor.card(exercise.title)
    ada = answered(name, blocks, visitor, new_name)
    visitor.reload()
    exercise.assert_answered(card)

    visitor.start_as(new_name("grace"))
    exercise.assert_untouched(card)
    visitor.switch_to(ada)
    exercise.assert_answered(card)
    assert_no_trouble(visitor, exercise)
    sessions[name] = visitor.page.context.storage_state()


@pytest.mark.parametrize("name", EXERCISES)
def test_what_a_learner_did_survives_a_killed_server(
    name: str, blocks: Workbench, visit: Visit, new_name: Callable[[str], str]
) -> None:
    exercise = EXERCISES[name]
    visitor = visit(blocks.url, COURSE, storage_state=sessions.get(name))
    if name not in sessions:
        answered(name, blocks, visitor, new_name)
    if name in answered_since_start:  # one restart is enough for all that were answered before it
        blocks.kill()
        blocks.start()
        answered_since_start.clear()
    visitor.open_unit(exercise.unit)
    exercise.assert_answered(visitor.card(exercise.title))
    assert_no_trouble(visitor, exercise)


sessions: dict[str, StorageState] = {}
"""The cookies of a learner who has answered an exercise, by its name in the registry."""
answered_since_start: set[str] = set()


def answered(name: str, blocks: Workbench, visitor: Visitor, new_name: Callable[[str], str]) -> str:
    """A new learner opens the unit and answers; what the exercise says of handlers and fields is true."""
    exercise, ada = EXERCISES[name], new_name("ada")
    visitor.join(ada)
    called = handlers_called_by(visitor)
    card = visitor.card(exercise.title)
    exercise.before(visitor)
    visitor.open_unit(exercise.unit)
    exercise.assert_untouched(card)
    exercise.answer(visitor, card)
    exercise.assert_answered(card)
    wait_until(lambda: called >= exercise.handlers, visitor)
    for _ in range(TRIES):  # a frame may have failed before its block listened: then nobody tells it
        if called >= exercise.handlers:
            break
        visitor.reload()
        wait_until(lambda: called >= exercise.handlers, visitor)
    visitor.page.wait_for_load_state("networkidle")
    assert called == exercise.handlers
    assert stored_fields(blocks, ada) == exercise.stored
    answered_since_start.add(name)
    return ada


def wait_until(is_true: Callable[[], bool], visitor: Visitor) -> None:
    """Some blocks call when a frame has loaded, or has failed to, in its own time."""
    give_up = monotonic() + SECONDS
    while not is_true() and monotonic() < give_up:
        visitor.page.wait_for_timeout(20)  # the browser's events are only seen while one waits for it


def handlers_called_by(visitor: Visitor) -> set[str]:
    """The handlers that the visitor's page posts to from now on."""
    called: set[str] = set()

    def note(request: Request) -> None:
        _, found, handler = unquote(urlsplit(request.url).path).partition("/handler/")
        if found and request.method == "POST":
            name = handler.partition("/")[0]
            called.add(handler if name == SPEAKS_FOR_MANY else name)

    visitor.page.on("request", note)
    return called


def assert_no_trouble(visitor: Visitor, exercise: BlockExercise) -> None:
    """No error card, no notice, no error in the console but those that the exercise gives a reason for."""
    visitor.page.wait_for_load_state("networkidle")
    expect(visitor.page.locator(".block-error")).to_have_count(0 if exercise.renders else 1)
    shown = visitor.page.get_by_role("log", name="Notices").locator(".site-notice").all_inner_texts()
    assert not unexcused(shown, exercise.notices)
    assert not unexcused(visitor.troubles, exercise.excused)


def unexcused(troubles: Iterable[str], excused: Mapping[str, str]) -> list[str]:
    return [trouble for trouble in troubles if not any(re.search(pattern, trouble) for pattern in excused)]

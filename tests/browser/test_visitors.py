"""Somebody without an account: what they do is there, for them alone, and theirs when they become a learner."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.exercises import Done, DragAndDrop, Exercise, MultipleChoice, Poll, WrongNumber
from tests.browser.server import Workbench
from tests.browser.visitor import Visitor, unit_path

pytestmark = pytest.mark.browser

ALL = [MultipleChoice(), WrongNumber(), Poll(), Done(), DragAndDrop()]
"""An answer, a wrong one, a vote, a mark and an item that is drawn."""


@pytest.fixture(scope="module")
def lasting(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """The example course where the region of visitors is a table of the database."""
    workbench = Workbench(tmp_path_factory.mktemp("lasting"), settings="tests.browser.region_settings")
    workbench.start()
    yield workbench
    workbench.kill()


def expect_visitor(page: Page) -> None:
    expect(page.get_by_role("banner").get_by_role("link", name="Choose a learner")).to_be_visible()
    expect(page.get_by_text("You are a visitor")).to_be_visible()


def answer_all(visitor: Visitor) -> None:
    for exercise in ALL:
        visitor.open_unit(exercise.unit)
        exercise.answer(visitor, visitor.card(exercise.title))


def assert_all_answered(visitor: Visitor) -> None:
    for exercise in ALL:
        visitor.open_unit(exercise.unit)
        exercise.assert_answered(visitor.card(exercise.title))


def restart(workbench: Workbench) -> None:
    """Kill it, and start it again."""
    workbench.kill()
    workbench.start()


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: type(exercise).__name__)
def test_what_a_visitor_does_is_there_after_a_reload_and_for_no_other_visitor(
    exercise: Exercise, visitor: Visitor, visit: Visit
) -> None:
    other, card = visit(visitor.origin), visitor.card(exercise.title)
    other.open_unit(exercise.unit)
    visitor.open_unit(exercise.unit)
    expect_visitor(visitor.page)
    exercise.assert_untouched(card)
    exercise.answer(visitor, card)
    visitor.reload()
    exercise.assert_answered(card)

    expect_visitor(other.page)
    other.reload()
    exercise.assert_untouched(other.card(exercise.title))
    assert not visitor.troubles
    assert not other.troubles


def test_a_visitor_who_becomes_a_learner_finds_all_they_did(
    visitor: Visitor, visit: Visit, new_name: Callable[[str], str]
) -> None:
    page, name = visitor.page, new_name("visitor")
    answer_all(visitor)
    page.get_by_role("main").get_by_role("link", name="Become a learner").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Name").press("Enter")
    expect(page).to_have_url(visitor.origin + unit_path(ALL[-1].unit))
    visitor.expect_learner(name)
    expect(page.get_by_text("You are a visitor")).to_be_hidden()
    assert_all_answered(visitor)

    # It is the learner's, not the session's.
    elsewhere = visit(visitor.origin)
    elsewhere.open("/")
    elsewhere.switch_to(name)
    assert_all_answered(elsewhere)
    assert not visitor.troubles


def test_history_begins_when_a_visitor_becomes_a_learner(visitor: Visitor, new_name: Callable[[str], str]) -> None:
    exercise = MultipleChoice()
    card = visitor.card(exercise.title)
    visitor.open_unit(exercise.unit)
    exercise.answer(visitor, card)
    card.get_by_text("Stored state").click()
    attempts = card.get_by_role("row").filter(has=visitor.page.get_by_role("rowheader", name="attempts"))
    expect(attempts.get_by_role("cell")).to_have_text("1")
    expect(card.get_by_role("heading", name="History")).to_be_hidden()

    visitor.start_as(new_name("visitor"))
    card.get_by_text("Stored state").click()
    expect(card.get_by_text(re.compile("grade 1 of 1"))).to_be_visible()
    revisions = card.get_by_role("listitem").filter(has_text="Revision")
    expect(revisions).to_have_count(1)
    expect(revisions).to_contain_text("claim")
    expect(attempts.get_by_role("cell")).to_have_text(["1", "1"])  # the state, and the revision


def test_a_learner_who_was_there_before_does_not_get_what_a_visitor_did(
    visitor: Visitor, visit: Visit, learner: str, new_name: Callable[[str], str]
) -> None:
    exercise = Poll()
    other = visit(visitor.origin)
    other.open_unit(exercise.unit)
    exercise.answer(other, other.card(exercise.title))
    other.switch_to(learner)  # an account that is there already
    exercise.assert_untouched(other.card(exercise.title))
    other.start_as(new_name("grace"))  # nor does one who comes later
    exercise.assert_untouched(other.card(exercise.title))


def test_where_visitors_are_kept_in_memory_they_begin_again_after_a_restart(
    visitor: Visitor, workbench: Workbench
) -> None:
    before, after = MultipleChoice(), WrongNumber()
    assert before.unit == after.unit
    visitor.open_unit(before.unit)
    before.answer(visitor, visitor.card(before.title))
    restart(workbench)
    after.answer(visitor, visitor.card(after.title))  # on the page that was open all the while
    visitor.reload()
    expect_visitor(visitor.page)
    before.assert_untouched(visitor.card(before.title))
    after.assert_answered(visitor.card(after.title))
    before.answer(visitor, visitor.card(before.title))
    before.assert_answered(visitor.card(before.title))
    assert not visitor.troubles


def test_where_visitors_are_kept_in_the_database_a_killed_server_loses_nothing(
    visit: Visit, lasting: Workbench, new_name: Callable[[str], str]
) -> None:
    visitor = visit(lasting.url)
    answer_all(visitor)
    visitor.open("/")  # away from the unit, whose blocks may be in the middle of telling what was done
    restart(lasting)
    assert_all_answered(visitor)
    expect_visitor(visitor.page)
    visitor.start_as(new_name("visitor"))
    visitor.open("/")
    restart(lasting)
    assert_all_answered(visitor)
    assert not visitor.troubles

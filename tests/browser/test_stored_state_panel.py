"""The panel under each block that shows what is stored."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.exercises import Poll, WrongNumber
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


def opened(card: Locator) -> Locator:
    card.get_by_text("Stored state").click()
    panel = card.get_by_role("group").filter(has_text="Stored state")
    expect(panel.get_by_role("heading", name="Of this learner")).to_be_visible()
    return panel


def rows(panel: Locator, field: str) -> Locator:
    """Where the panel names a field: the state itself first, then the history, latest first."""
    header = panel.page.get_by_role("rowheader", name=field, exact=True)
    return panel.get_by_role("row").filter(has=header)


def test_the_panel_fills_by_itself_while_it_is_open(visitor: Visitor, learner: str) -> None:
    poll = Poll()
    visitor.open_unit(poll.unit)
    card = visitor.card(poll.title)
    panel = opened(card)
    expect(panel.get_by_text("Nothing is stored yet")).to_be_visible()
    poll.answer(visitor, card)
    expect(rows(panel, "choice").first.get_by_role("cell")).to_have_text('"recall"')
    expect(rows(panel, "submissions_count").first.get_by_role("cell")).to_have_text("1")
    expect(panel.get_by_text("Nothing is stored yet")).to_be_hidden()
    expect(panel.get_by_role("heading", name="user_state_summary")).to_be_visible()
    expect(rows(panel, "tally").get_by_role("cell")).to_have_text(re.compile(r'"recall": [1-9]'))
    expect(panel.get_by_role("heading", name="History")).to_be_visible()
    expect(panel.get_by_role("listitem").first).to_contain_text("handler:vote")


def test_the_panel_shows_the_state_as_json_and_each_revision_with_what_changed(
    visitor: Visitor, learner: str
) -> None:
    exercise = WrongNumber()
    visitor.open_unit(exercise.unit)
    card = visitor.card(exercise.title)
    exercise.answer(visitor, card)
    panel = opened(card)
    revisions = panel.get_by_role("listitem")
    expect(revisions).to_contain_text(["Revision 2", "Revision 1"])
    expect(rows(panel, "attempts").first.get_by_role("cell")).to_have_text("1")
    answers = rows(panel, "student_answers").first.get_by_role("cell")
    expect(answers).to_have_text('{"cowan-limit_2_1": "7"}')
    expect(rows(panel, "done").first.get_by_role("cell")).to_have_text("true")

    card.get_by_role("textbox").fill("4")
    with visitor.answering("xmodule_handler/problem_check"):
        card.get_by_role("button", name="Submit").click()
    expect(revisions).to_contain_text(["Revision 3", "Revision 2", "Revision 1"])
    expect(answers).to_have_text('{"cowan-limit_2_1": "4"}')
    expect(rows(panel, "attempts").get_by_role("cell")).to_have_text(["2", "2", "1"])
    expect(revisions.first).to_contain_text("handler:xmodule_handler/problem_check")
    expect(revisions.last).to_contain_text("view:student_view")
    expect(rows(revisions.first, "seed")).to_have_count(0)  # the seed was the first view's, and has not changed


def test_panels_of_other_blocks_and_closed_ones_stay_as_they_are(visitor: Visitor, learner: str) -> None:
    poll = Poll()
    visitor.open_unit(poll.unit)
    panel = opened(visitor.card("Welcome"))
    poll.answer(visitor, visitor.card(poll.title))
    poll.assert_answered(visitor.card(poll.title))
    expect(panel.get_by_text("Nothing is stored yet")).to_be_visible()
    expect(visitor.card(poll.title).get_by_role("heading", name="Of this learner")).to_be_hidden()

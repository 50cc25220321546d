"""An author's views of a block: what is done and edited there is theirs, and nobody's course."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.exercises import DragAndDrop, Exercise, MultipleChoice, Poll
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

VIEWS = ["student_view", "author_view", "studio_view"]
POLL = "/block/block-v1:Fieldstone+Memory+2026+type@poll+block@study-habit/"
QUESTION, EDITED = "When you study for a test, what do you do most?", "What helps „most“ & why?"


def open_view(visitor: Visitor, exercise: Exercise, view: str) -> Locator:
    """Go from the block's card to one of its views; the card there."""
    visitor.open_unit(exercise.unit)
    card = visitor.card(exercise.title)
    card.get_by_role("link", name=f"Author’s views of {exercise.title}").click()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text(exercise.title)
    visitor.page.get_by_role("navigation", name="Views").get_by_role("link", name=view, exact=True).click()
    return card


def edit_question(visitor: Visitor, text: str) -> None:
    editor = open_view(visitor, Poll(), "studio_view").get_by_label("Question/Prompt")
    editor.fill(text)
    with visitor.answering("studio_submit"):
        visitor.page.get_by_role("button", name="Save").click()
    expect(visitor.page.get_by_role("log", name="Notices")).to_contain_text("Saved.")


def test_every_view_of_a_block_is_a_page_that_names_itself(visitor: Visitor, learner: str) -> None:
    views = visitor.page.get_by_role("navigation", name="Views").get_by_role("link")
    for view in VIEWS:
        card = open_view(visitor, Poll(), view)
        expect(visitor.page).to_have_url(visitor.origin + POLL + view + "/")
        expect(views).to_have_text(VIEWS)
        current = visitor.page.get_by_role("navigation", name="Views").locator("[aria-current=page]")
        expect(current).to_have_text(view)
        shown = "Question/Prompt" if view == "studio_view" else QUESTION
        expect(card.get_by_text(shown).first).to_be_visible()
    assert not visitor.troubles


@pytest.mark.parametrize("exercise", [MultipleChoice(), Poll(), DragAndDrop()], ids=lambda e: type(e).__name__)
def test_an_author_answers_in_the_preview_and_has_answered_nothing_as_a_learner(
    exercise: Exercise, visitor: Visitor, learner: str
) -> None:
    card = open_view(visitor, exercise, "student_view")
    exercise.assert_untouched(card)
    exercise.answer(visitor, card)
    visitor.reload()
    exercise.assert_answered(card)
    visitor.open_unit(exercise.unit)
    exercise.assert_untouched(card)
    assert not visitor.troubles


def test_what_an_author_answered_as_a_learner_is_not_in_the_preview(visitor: Visitor, learner: str) -> None:
    exercise = MultipleChoice()
    visitor.open_unit(exercise.unit)
    exercise.answer(visitor, visitor.card(exercise.title))
    exercise.assert_untouched(open_view(visitor, exercise, "student_view"))
    visitor.open_unit(exercise.unit)
    exercise.assert_answered(visitor.card(exercise.title))


def test_an_edit_shows_in_its_authors_preview_and_in_nobodys_course(
    visitor: Visitor, learner: str, visit: Visit, new_name: Callable[[str], str]
) -> None:
    poll = Poll()
    edit_question(visitor, EDITED)
    card = open_view(visitor, poll, "student_view")
    expect(card.get_by_text(EDITED)).to_be_visible()
    expect(card.get_by_text(QUESTION)).to_be_hidden()
    poll.answer(visitor, card)  # the rest of the block is as it was

    visitor.open_unit(poll.unit)
    expect(card.get_by_text(QUESTION)).to_be_visible()
    expect(card.get_by_text(EDITED)).to_be_hidden()
    other = visit(visitor.origin)
    other.open_unit(poll.unit)
    expect(other.card(poll.title).get_by_text(QUESTION)).to_be_visible()
    other.start_as(new_name("grace"))
    expect(open_view(other, poll, "student_view").get_by_text(QUESTION)).to_be_visible()
    assert not visitor.troubles
    assert not other.troubles


def test_an_edit_is_edited_again(visitor: Visitor, learner: str) -> None:
    edit_question(visitor, EDITED)
    edit_question(visitor, "And now?")
    expect(open_view(visitor, Poll(), "studio_view").get_by_label("Question/Prompt")).to_have_value("And now?")
    expect(open_view(visitor, Poll(), "author_view").get_by_text("And now?")).to_be_visible()


def test_visitors_have_no_previews(visitor: Visitor) -> None:
    visitor.open_unit("welcome")
    expect(visitor.card(Poll().title)).to_be_visible()
    expect(visitor.page.get_by_role("link", name="Author’s views")).to_have_count(0)
    visitor.open(f"{POLL}studio_view/")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Forbidden")
    expect(visitor.page.get_by_text("Previews are for authors")).to_be_visible()

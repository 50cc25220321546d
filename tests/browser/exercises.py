"""What a learner does at each type of block of the example course, and what they see before and after."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.browser.visitor import Visitor


class Exercise:
    """A block to answer. The two checks wait until the card looks as they say, and look at nothing else."""

    unit: str
    title: str

    def answer(self, visitor: Visitor, card: Locator) -> None:
        """Answer, and wait until the server has acknowledged it."""
        raise NotImplementedError

    def assert_answered(self, card: Locator) -> None:
        raise NotImplementedError

    def assert_untouched(self, card: Locator) -> None:
        raise NotImplementedError


class MultipleChoice(Exercise):
    """The right answer."""

    unit, title = "working-memory", "The chess master’s secret"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("radio", name="The master sees groups of pieces").check()
        with visitor.answering("xmodule_handler/problem_check"):
            card.get_by_role("button", name="Submit").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("radio", name="The master sees groups of pieces")).to_be_checked()
        expect(card.get_by_text("correct", exact=True)).to_be_visible()
        expect(card.get_by_text("1.0/1.0 point (graded)")).to_be_visible()
        expect(card.get_by_text("You have used 1 of 2 attempts")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_text("unanswered", exact=True)).to_be_visible()
        expect(card.get_by_text("You have used 0 of 2 attempts")).to_be_visible()
        assert_none_checked(card)


class Number(Exercise):
    """The right number."""

    unit, title = "practice-numbers", "How much was saved?"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("textbox").fill("40")
        with visitor.answering("xmodule_handler/problem_check"):
            card.get_by_role("button", name="Submit").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("40")
        expect(card.get_by_text("correct", exact=True)).to_be_visible()
        expect(card.get_by_text("1.0/1.0 point (graded)")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("")
        expect(card.get_by_text("unanswered", exact=True)).to_be_visible()


class WrongNumber(Exercise):
    """A wrong number: an attempt is used up."""

    unit, title = "working-memory", "How many chunks?"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("textbox").fill("7")
        with visitor.answering("xmodule_handler/problem_check"):
            card.get_by_role("button", name="Submit").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("7")
        expect(card.get_by_text("incorrect", exact=True)).to_be_visible()
        expect(card.get_by_text("You have used 1 of 3 attempts")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("")
        expect(card.get_by_text("You have used 0 of 3 attempts")).to_be_visible()


class SavedForLater(Exercise):
    """A choice that is saved and not submitted."""

    unit, title = "testing-effect", "A week later"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("radio").first.check()
        with visitor.answering("xmodule_handler/problem_save"):
            card.get_by_role("button", name="Save").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("radio").first).to_be_checked()
        expect(card.get_by_text(re.compile("Your answers (have been|were previously) saved"))).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("radio").first).to_be_visible()
        assert_none_checked(card)


class Poll(Exercise):
    unit, title = "welcome", "Your usual way"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("radio", name="I close the book and test myself").check()
        with visitor.answering("vote"):
            card.get_by_role("button", name="Submit").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("heading", name="Results")).to_be_visible()
        expect(card.get_by_role("radio", name="I close the book and test myself")).to_be_checked()
        expect(card.get_by_text("When Karpicke, Butler and Roediger asked")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("button", name="Submit")).to_be_visible()
        expect(card.get_by_role("heading", name="Results")).to_be_hidden()
        assert_none_checked(card)


class Survey(Exercise):
    unit, title = "how-you-study", "Your habits"
    habits = {
        "I test myself before I feel ready.": "Often",
        "I come back to a subject after some days.": "Sometimes",
        "I mix different kinds of problem.": "Never",
        "I sleep properly the night after learning.": "Often",
    }

    def answer(self, visitor: Visitor, card: Locator) -> None:
        for question, habit in self.habits.items():
            card.locator("tr", has_text=question).get_by_role("radio", name=habit).check()
        with visitor.answering("vote"):
            card.get_by_role("button", name="Submit").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("heading", name="Results")).to_be_visible()
        for question, habit in self.habits.items():
            # The learner's own choice is the cell with a background.
            own = card.locator("tr", has_text=question).locator(".survey-choice")
            expect(own).to_have_count(1)
            expect(own).to_contain_text(habit)
        expect(card.get_by_text("Thank you. Sleep is in the list for a reason")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("button", name="Submit")).to_be_visible()
        expect(card.get_by_role("heading", name="Results")).to_be_hidden()
        assert_none_checked(card)


class DragAndDrop(Exercise):
    """An item drawn by the mouse into its box."""

    unit, title = "three-memories", "Which memory holds it?"
    item, zone = "How to ride a bicycle", "Long-term memory"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        item = card.get_by_role("group", name="Item Bank").get_by_role("button", name=self.item)
        with visitor.answering("drop_item"):
            item.drag_to(self.box(card))

    def assert_answered(self, card: Locator) -> None:
        assert_lies_in(self.visible(card), self.box(card))
        expect(card.get_by_text(re.compile(r"^1\.6/4 points"))).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        assert_lies_in(self.visible(card), card.get_by_role("group", name="Item Bank"))
        expect(card.get_by_text("4 points possible (graded)")).to_be_visible()

    def visible(self, card: Locator) -> Locator:
        """The item, not the invisible one that keeps its place in the bank."""
        return card.locator(".option", has_text=self.item).filter(visible=True)

    def box(self, card: Locator) -> Locator:
        return card.locator(".zone", has_text=self.zone)


class Done(Exercise):
    unit, title = "your-plan", "My plan is made"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        with visitor.answering("toggle_button"):
            card.get_by_text("Mark as complete").click()

    def assert_answered(self, card: Locator) -> None:
        self.assert_reads(card, "Unmark", instead_of="Mark as complete")

    def assert_untouched(self, card: Locator) -> None:
        self.assert_reads(card, "Mark as complete", instead_of="Unmark")

    @staticmethod
    def assert_reads(card: Locator, text: str, instead_of: str) -> None:
        card.scroll_into_view_if_needed()
        # Both texts are there; the one slides out of the button as the other slides in.
        expect(card.get_by_text(text, exact=True)).to_be_in_viewport(ratio=0.9)
        expect(card.get_by_text(instead_of, exact=True)).not_to_be_in_viewport()


class Feedback(Exercise):
    """A rating and a text."""

    unit, title = "your-plan", "What you take with you"
    text = "I will test myself, on „Montag“ at 8 & not <later> 🧠"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_text("Somewhat useful").click()
        card.get_by_role("textbox").fill(self.text)
        with visitor.answering("feedback"):
            card.get_by_role("button", name="Submit Feedback").click()
        expect(card.get_by_text("Thank you. It helps us to make the course better.")).to_be_visible()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("radio", name="Somewhat useful")).to_be_checked()
        expect(card.get_by_role("textbox")).to_have_value(self.text)

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("")
        assert_none_checked(card)


class WordCloud(Exercise):
    unit, title = "how-you-study", "What stayed with you?"
    words = ["ebbinghaus", "savings", "größe"]

    def answer(self, visitor: Visitor, card: Locator) -> None:
        for number, word in enumerate(self.words):
            card.get_by_role("textbox").nth(number).fill(word)
        with visitor.answering("handle_submit_state"):
            card.get_by_role("button", name="Save").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_text("Your words were:")).to_be_visible()
        expect(card.locator(".your_words").get_by_role("listitem")).to_have_text(self.words)
        expect(card.get_by_role("button", name="Save")).to_be_hidden()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_count(3)
        for field in card.get_by_role("textbox").all():
            expect(field).to_have_value("")
        expect(card.get_by_text("Your words were:")).to_be_hidden()


EXERCISES: list[Exercise] = [
    MultipleChoice(),
    Number(),
    WrongNumber(),
    SavedForLater(),
    Poll(),
    Survey(),
    DragAndDrop(),
    Done(),
    Feedback(),
    WordCloud(),
]


def assert_none_checked(card: Locator) -> None:
    expect(card.get_by_role("radio", checked=True)).to_have_count(0)


def assert_lies_in(inner: Locator, outer: Locator) -> None:
    """One box is inside the other on the screen; waits until it is."""
    expect(inner).to_have_count(1)
    expect(inner).to_be_visible()
    inner.page.wait_for_function(
        """([inner, outer]) => {
            const a = inner.getBoundingClientRect(), b = outer.getBoundingClientRect();
            return a.width > 0 && a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
        }""",
        arg=[inner.element_handle(), outer.element_handle()],
    )

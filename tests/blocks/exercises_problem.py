"""Exercises at problems: the kinds of response, and what a learner can do beside answering."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.blocks.exercise import COMPLETION, BlockExercise
from tests.browser.exercises import assert_none_checked
from tests.browser.visitor import Visitor

SAVED = frozenset(
    f"problem.{name}" for name in ("has_saved_answers", "input_state", "score", "seed", "student_answers")
)
ANSWERED = (
    (SAVED - {"problem.has_saved_answers"})
    | {COMPLETION}
    | frozenset(
        f"problem.{name}"
        for name in (
            "attempts",
            "correct_map",
            "correct_map_history",
            "done",
            "last_submission_time",
            "score_history",
            "student_answers_history",
        )
    )
)


class Problem(BlockExercise):
    """A problem that is answered rightly and submitted."""

    handlers = frozenset({"xmodule_handler/problem_check"})
    stored = ANSWERED
    needs = "the Django app `xblocks_contrib.problem.capa`"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        self.fill(card)
        submit(visitor, card)

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_text(re.compile(r"^1(\.0)?/1(\.0)? point \(graded\)$"))).to_be_visible()
        self.assert_filled(card)

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_text("1 point possible (graded)")).to_be_visible()
        self.assert_empty(card)

    def fill(self, card: Locator) -> None:
        raise NotImplementedError

    def assert_filled(self, card: Locator) -> None:
        raise NotImplementedError

    def assert_empty(self, card: Locator) -> None:
        raise NotImplementedError


class MultipleChoice(Problem):
    unit, title = "problem-multiple-choice", "One of several"

    def fill(self, card: Locator) -> None:
        card.get_by_role("radio", name="The master sees groups of pieces").check()

    def assert_filled(self, card: Locator) -> None:
        expect(card.get_by_role("radio", name="The master sees groups of pieces")).to_be_checked()
        expect(card.get_by_text("Chunks, as Chase and Simon called them.")).to_be_visible()
        expect(card.get_by_text("You have used 1 of 2 attempts")).to_be_visible()

    def assert_empty(self, card: Locator) -> None:
        expect(card.get_by_text("You have used 0 of 2 attempts")).to_be_visible()
        assert_none_checked(card)


class Checkboxes(Problem):
    unit, title = "problem-checkboxes", "Several of several"

    def fill(self, card: Locator) -> None:
        for name in ("Testing", "Spacing"):
            card.get_by_role("checkbox", name=name).check()

    def assert_filled(self, card: Locator) -> None:
        for name, is_checked in {"Testing": True, "Highlighting": False, "Spacing": True}.items():
            expect(card.get_by_role("checkbox", name=name)).to_be_checked(checked=is_checked)

    def assert_empty(self, card: Locator) -> None:
        expect(card.get_by_role("checkbox")).to_have_count(3)
        expect(card.get_by_role("checkbox", checked=True)).to_have_count(0)


class Dropdown(Problem):
    unit, title = "problem-dropdown", "One from a list"

    def fill(self, card: Locator) -> None:
        card.get_by_role("combobox").select_option("Long-term memory")

    def assert_filled(self, card: Locator) -> None:
        expect(card.get_by_role("combobox").locator("option:checked")).to_have_text("Long-term memory")

    def assert_empty(self, card: Locator) -> None:
        expect(card.get_by_role("combobox").locator("option:checked")).to_have_text("Select an option")


class Text(Problem):
    """A wrong word, which has its hint, and then the right one."""

    unit, title = "problem-text", "A word"
    word = "Savings"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("textbox").fill("retention")
        submit(visitor, card)
        expect(card.get_by_text("That is the general word.")).to_be_visible()
        super().answer(visitor, card)

    def fill(self, card: Locator) -> None:
        card.get_by_role("textbox").fill(self.word)

    def assert_filled(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value(self.word)
        expect(card.get_by_text("You have used 2 of 3 attempts")).to_be_visible()

    def assert_empty(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("")
        expect(card.get_by_text("You have used 0 of 3 attempts")).to_be_visible()


class Number(Problem):
    """A number within the tolerance; the page shows at once how it was understood."""

    unit, title = "problem-number", "A number"
    handlers = frozenset({"xmodule_handler/input_ajax", "xmodule_handler/problem_check"})
    entry = "39.5"

    def fill(self, card: Locator) -> None:
        card.get_by_role("textbox").fill(self.entry)

    def assert_filled(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value(self.entry)
        expect(card.get_by_text("correct", exact=True)).to_be_visible()

    def assert_empty(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("")


class Formula(Number):
    """A formula, written differently from the author's."""

    unit, title = "problem-formula", "A formula"
    entry = "R/exp(t)"


class Hints(Problem):
    """Both hints, a wrong answer, the answer shown, a reset, and the right answer saved."""

    unit, title = "problem-hints", "With help"
    handlers = frozenset(
        f"xmodule_handler/{name}"
        for name in ("hint_button", "problem_check", "problem_reset", "problem_save", "problem_show")
    )
    stored = ANSWERED | SAVED

    def answer(self, visitor: Visitor, card: Locator) -> None:
        for hint in ("Fewer than Miller thought.", "As many as a hand has without the thumb."):
            with visitor.answering("xmodule_handler/hint_button"):
                card.get_by_role("button", name="Hint", exact=True).click()
            expect(card.get_by_text(hint)).to_be_visible()
        card.get_by_role("radio", name="Seven").check()
        submit(visitor, card)
        with visitor.answering("xmodule_handler/problem_show"):
            card.get_by_role("button", name="Show answer").click()
        expect(card.get_by_text("Cowan counted again in 2001.")).to_be_visible()
        with visitor.answering("xmodule_handler/problem_reset"):
            card.get_by_role("button", name="Reset").click()
        assert_none_checked(card)
        card.get_by_role("radio", name="About four").check()
        with visitor.answering("xmodule_handler/problem_save"):
            card.get_by_role("button", name="Save").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("radio", name="About four")).to_be_checked()
        expect(card.get_by_text("You have used 1 of 5 attempts")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_text("You have used 0 of 5 attempts")).to_be_visible()
        assert_none_checked(card)


class Saved(BlockExercise):
    """A choice that is saved and not submitted."""

    unit, title = "problem-saved", "For later"
    handlers = frozenset({"xmodule_handler/problem_save"})
    stored = SAVED

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("radio", name="The egg").check()
        with visitor.answering("xmodule_handler/problem_save"):
            card.get_by_role("button", name="Save").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("radio", name="The egg")).to_be_checked()
        expect(card.get_by_text(re.compile("Your answers (have been|were previously) saved"))).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("radio")).to_have_count(2)
        assert_none_checked(card)


def submit(visitor: Visitor, card: Locator) -> None:
    with visitor.answering("xmodule_handler/problem_check"):
        card.get_by_role("button", name="Submit").click()


EXERCISES: dict[str, BlockExercise] = {
    "problem: multiple choice": MultipleChoice(),
    "problem: checkboxes": Checkboxes(),
    "problem: dropdown": Dropdown(),
    "problem: text": Text(),
    "problem: number": Number(),
    "problem: formula": Formula(),
    "problem: hints, show answer, reset and save": Hints(),
    "problem: saved for later": Saved(),
}

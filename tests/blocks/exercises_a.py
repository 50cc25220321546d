"""Exercises at the everyday blocks. Problems have a module of their own."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.blocks import exercises_problem
from tests.blocks.exercise import COMPLETION, BlockExercise, Shown
from tests.browser import exercises
from tests.browser.visitor import Visitor

OTHER_HOST = {
    r"google\.com": "What it shows is on Google's servers, and a test must not depend on them.",
    r"^console: Failed to load resource: net::ERR": "The same, in the console's words.",
}


class Done(BlockExercise, exercises.Done):
    unit, title = "done", "A thing to finish"
    handlers = frozenset({"toggle_button"})
    stored = frozenset({"done.done", COMPLETION})


class Poll(BlockExercise, exercises.Poll):
    unit, title = "poll", "A question to all"
    handlers = frozenset({"vote", "student_voted", "get_results"})
    stored = frozenset({"poll.choice", "poll.submissions_count", "poll.tally", COMPLETION})


class Survey(BlockExercise, exercises.Survey):
    unit, title = "survey", "Four questions to all"
    handlers = frozenset({"vote", "student_voted", "get_results"})
    stored = frozenset({"survey.choices", "survey.submissions_count", "survey.tally", COMPLETION})


class DragAndDrop(BlockExercise, exercises.DragAndDrop):
    unit, title = "drag-and-drop-v2", "Things and their boxes"
    handlers = frozenset({"drop_item", "publish_event"})
    stored = frozenset(
        {"drag-and-drop-v2.item_state", "drag-and-drop-v2.raw_earned", "drag-and-drop-v2.raw_possible", COMPLETION}
    )


class Feedback(BlockExercise, exercises.Feedback):
    unit, title = "feedback", "What you take with you"
    handlers = frozenset({"feedback"})
    stored = frozenset(
        {
            "feedback.p_user",
            "feedback.prompt_choice",
            "feedback.user_freeform",
            "feedback.user_vote",
            "feedback.vote_aggregate",
        }
    )


class WordCloud(BlockExercise, exercises.WordCloud):
    unit, title = "word_cloud", "Words of all"
    handlers = frozenset({"handle_get_state", "handle_submit_state"})
    stored = frozenset(
        {
            "word_cloud.all_words",
            "word_cloud.student_words",
            "word_cloud.submitted",
            "word_cloud.top_words",
        }
    )


class ImageExplorer(BlockExercise):
    """One of two places looked into, and closed again."""

    unit, title = "image-explorer", "A picture to look into"
    handlers = frozenset({"publish_event"})
    stored = frozenset({"image-explorer.opened_hotspots", COMPLETION})

    def answer(self, visitor: Visitor, card: Locator) -> None:
        with visitor.answering("publish_event"):
            card.locator("[data-item-id=first] .image-explorer-hotspot").click()
        expect(card.get_by_text("What lasts a second.")).to_be_visible()
        with visitor.answering("publish_event"):
            card.get_by_role("button", name="Close").filter(visible=True).click()
        expect(card.get_by_text("What lasts a second.")).to_be_hidden()

    def assert_answered(self, card: Locator) -> None:
        self.assert_shows(card, {"first": True, "second": False})

    def assert_untouched(self, card: Locator) -> None:
        self.assert_shows(card, {"first": False, "second": False})

    @staticmethod
    def assert_shows(card: Locator, visited: dict[str, bool]) -> None:
        for place, was in visited.items():
            hotspot = card.locator(f"[data-item-id={place}] .image-explorer-hotspot")
            expect(hotspot).to_be_visible()
            seen = expect(hotspot)
            (seen.to_have_class if was else seen.not_to_have_class)(re.compile(r"\bvisited\b"))


class FreeTextResponse(BlockExercise):
    """An answer for full credit."""

    unit, title = "freetextresponse", "In your own words"
    handlers = frozenset({"submit"})
    stored = frozenset(
        {
            "freetextresponse.count_attempts",
            "freetextresponse.displayable_answers",
            "freetextresponse.score",
            "freetextresponse.student_answer",
            COMPLETION,
        }
    )
    excused = {
        r"^404: .*/images/(un|in)?\w*-icon\.png$": "Its style sheet names pictures as if beside the page.",
        r"^console: Failed to load resource: .*404": "The same, in the console's words.",
    }
    text = "Because retrieval is practice, ≠ <reading>"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("textbox").fill(self.text)
        with visitor.answering("submit"):
            card.get_by_role("button", name="Submit").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value(self.text)
        expect(card.locator(".user_input.correct")).to_be_visible()
        expect(card.get_by_text("(2/2 points)")).to_be_visible()
        expect(card.get_by_text("You have used 1 of 3 submissions")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("")
        expect(card.get_by_text("(2 points possible)")).to_be_visible()
        expect(card.get_by_text("You have used 0 of 3 submissions")).to_be_visible()


class GoogleDocument(Shown):
    """A frame with the document's address; the document is elsewhere."""

    unit, title = "google-document", "A document from elsewhere"
    handlers = frozenset({"publish_event"})
    needs = "Google's servers, asked by the browser"
    excused = OTHER_HOST
    address = "https://docs.google.com/document/d/e/fieldstone/pub?embedded=true"

    def assert_shown(self, card: Locator) -> None:
        expect(card.locator("iframe")).to_have_attribute("src", self.address)
        expect(card.locator("iframe")).to_have_attribute("title", self.title)


class GoogleDocumentPicture(Shown):
    """A picture in the place of the document: the same block, with nothing from elsewhere."""

    unit, title = "google-document-picture", "A picture in a document's place"

    def assert_shown(self, card: Locator) -> None:
        picture = card.get_by_role("img", name="Three boxes side by side")
        expect(picture).to_be_visible()
        assert_loaded(picture)


class GoogleCalendar(Shown):
    unit, title = "google-calendar", "Dates from elsewhere"
    handlers = frozenset({"publish_event"})
    needs = "Google's servers, asked by the browser"
    excused = OTHER_HOST
    address = (
        "https://www.google.com/calendar/embed?mode=Agenda&src=fieldstone@group.calendar.google.com"
        "&showCalendars=0&hl=en-us"
    )

    def assert_shown(self, card: Locator) -> None:
        expect(card.locator("iframe")).to_have_attribute("src", self.address)


class Pdf(Shown):
    """The sheet's address in a frame, and the sheet itself downloaded."""

    unit, title = "pdf", "A sheet to keep"
    handlers = frozenset({"on_download"})
    excused = {r"^off-site: chrome(-extension)?:": "The browser shows PDF by an extension of its own."}

    def answer(self, visitor: Visitor, card: Locator) -> None:
        with visitor.answering("on_download"), visitor.page.expect_download() as download:
            card.get_by_role("link", name="Download the PDF").click()
        assert download.value.path().read_bytes().startswith(b"%PDF-")

    def assert_shown(self, card: Locator) -> None:
        expect(card.locator("iframe")).to_have_attribute("src", re.compile(r"/xblock/.*sheet\.pdf$"))
        expect(card.get_by_role("link", name="Download the picture of the sheet")).to_be_visible()


class Html(Shown):
    unit, title = "html", "A text"

    def assert_shown(self, card: Locator) -> None:
        expect(card.get_by_text("A paragraph with emphasis")).to_be_visible()
        assert_loaded(card.get_by_role("img", name="Three boxes"))
        expect(card.get_by_role("link", name="a link to another unit")).to_have_attribute(
            "href", re.compile(r"/unit/.*\+block@done/$")
        )


class Annotatable(Shown):
    """Notes that are read, hidden and shown again; whether they are hidden is the page's own affair."""

    unit, title = "annotatable", "A text with notes"
    remark = "A note shows as the browser's own tooltip, without the link to reply to it."

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_text("Hide Annotations").click()
        expect(card.get_by_text("Show Annotations")).to_be_visible()
        card.get_by_text("Show Annotations").click()

    def assert_shown(self, card: Locator) -> None:
        expect(card.get_by_text("Move over the marked words.")).to_be_visible()
        expect(card.get_by_text("published", exact=True)).to_have_attribute("title", "When: In 1885.")
        expect(card.get_by_text("Ebbinghaus", exact=True)).to_have_attribute(
            "title", re.compile("He was his own only subject")
        )
        expect(card.get_by_text("Hide Annotations")).to_be_visible()


def assert_loaded(picture: Locator) -> None:
    """The picture's file came, and is one."""
    expect(picture).to_be_visible()
    picture.page.wait_for_function("picture => picture.naturalWidth > 0", arg=picture.element_handle())


EXERCISES: dict[str, BlockExercise] = {
    "done": Done(),
    "poll": Poll(),
    "survey": Survey(),
    "drag-and-drop-v2": DragAndDrop(),
    "feedback": Feedback(),
    "image-explorer": ImageExplorer(),
    "freetextresponse": FreeTextResponse(),
    "google-document": GoogleDocument(),
    "google-document: picture": GoogleDocumentPicture(),
    "google-calendar": GoogleCalendar(),
    "pdf": Pdf(),
    "html": Html(),
    **exercises_problem.EXERCISES,
    "word_cloud": WordCloud(),
    "annotatable": Annotatable(),
}

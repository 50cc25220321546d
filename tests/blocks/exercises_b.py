"""Exercises at the larger blocks: those that bring programs, files or other servers with them."""

from __future__ import annotations

import base64
import re

from playwright.sync_api import FrameLocator, Locator, expect

from tests.blocks.exercise import COMPLETION, BlockExercise, Shown
from tests.blocks.exercises_problem import ANSWERED
from tests.blocks.tools import lti_tool
from tests.browser.exercises import assert_none_checked
from tests.browser.visitor import Visitor

OWN_TABLE = "`problem_builder` in `INSTALLED_APPS`: long answers are in a table of its own, with no history"
PICTURE = base64.b64decode(  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class ProblemBuilder(BlockExercise):
    """One wrong answer among six kinds of question, then the right one."""

    unit, title = "problem-builder", "Every kind of question"
    handlers = frozenset({"answer_value", "get_results", "publish_event", "submit"})
    stored = frozenset(
        {
            "pb-completion.student_value",
            "pb-mcq.student_choice",
            "pb-mrq.student_choices",
            "pb-rating.student_choice",
            "pb-slider.student_value",
            "problem-builder.attempted",
            "problem-builder.completed",
            "problem-builder.num_attempts",
            COMPLETION,
            "problem-builder.student_results",
        }
    )
    needs = OWN_TABLE

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("textbox", name="What is your goal?").fill("To learn & <not> forget")
        card.get_by_role("radio", name="Bergen").check()
        card.get_by_role("checkbox", name="Two").check()
        card.get_by_role("checkbox", name="Three").check()
        card.get_by_role("radio", name="5 - Very").check()
        card.get_by_role("slider").fill("80")
        card.get_by_role("checkbox", name="Yes, I was there").check()
        with visitor.answering("submit"):
            card.get_by_role("button", name="Submit").click()
        expect(card.get_by_text("Something is not right yet.")).to_be_visible()
        expect(card.get_by_text("You have used 1 of 3 submissions.")).to_be_visible()
        card.get_by_role("radio", name="Oslo").check()
        with visitor.answering("submit"):
            card.get_by_role("button", name="Submit").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("textbox", name="What is your goal?")).to_have_value("To learn & <not> forget")
        expect(card.get_by_role("radio", name="Oslo")).to_be_checked()
        expect(card.get_by_role("checkbox", name="Two")).to_be_checked()
        expect(card.get_by_role("checkbox", name="Three")).to_be_checked()
        expect(card.get_by_role("checkbox", name="Four")).not_to_be_checked()
        expect(card.get_by_role("radio", name="5 - Very")).to_be_checked()
        expect(card.get_by_role("slider")).to_have_value("80")
        expect(card.get_by_role("checkbox", name="Yes, I was there")).to_be_checked()
        expect(card.get_by_text("Everything is right.")).to_be_visible()
        expect(card.get_by_text("You have used 2 of 3 submissions.")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("textbox", name="What is your goal?")).to_have_value("")
        expect(card.get_by_text("You have used 0 of 3 submissions.")).to_be_visible()
        expect(card.get_by_role("slider")).to_have_value("50")
        assert_none_checked(card)
        expect(card.get_by_role("checkbox", checked=True)).to_have_count(0)


class AnswerRecap(BlockExercise):
    """A long answer, shown again by another block of the page, as text and in a table."""

    unit, title = "problem-builder-recap", "A plan"
    handlers = frozenset(
        {
            "answer_value",
            "get_results",
            "get_shared_list",
            "publish_event",
            "refresh_html",
            "submit",
            "table_render",
        }
    )
    stored = frozenset(
        {
            "problem-builder.attempted",
            "problem-builder.completed",
            COMPLETION,
            "problem-builder.student_results",
        }
    )
    needs = OWN_TABLE
    plan = "To read one page"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("textbox").press_sequentially(self.plan)  # the block listens to keys
        with visitor.answering("submit"):
            card.get_by_role("button", name="Submit").click()
        visitor.reload()  # the other block asks for the answer when it starts

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value(self.plan)
        expect(self.recap(card).get_by_text(self.plan)).to_have_count(2)

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("textbox")).to_have_value("")
        expect(self.recap(card).get_by_text("No answer yet.").first).to_be_visible()
        expect(self.recap(card).get_by_text(self.plan)).to_have_count(0)

    @staticmethod
    def recap(card: Locator) -> Locator:
        return card.page.get_by_role("region", name="What you planned", exact=True)


class Swipe(Shown):
    """A statement to agree to; only Open edX's mobile app gives a way to."""

    unit, title = "pb-swipe", "Left or right"
    handlers = frozenset({"get_results", "publish_event"})
    needs = OWN_TABLE
    remark = "It is shown, but web pages have no way to answer it: only Open edX's mobile app has."

    def assert_shown(self, card: Locator) -> None:
        expect(card.get_by_text("Sugar is sweet")).to_be_visible()
        expect(card.get_by_role("img")).to_have_attribute("src", re.compile(r"/boxes\.svg$"))


class StepBuilder(BlockExercise):
    """The first of two steps, and on to the second."""

    unit, title = "step-builder", "Two steps"
    handlers = frozenset({"get_num_attempts", "submit"})
    stored = frozenset({"pb-mcq.student_choice", "sb-step.student_results", "step-builder.active_step"})
    needs = OWN_TABLE

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("radio", name="Elbe").check()
        with visitor.answering("submit"):
            card.get_by_role("button", name="Submit").click()
        card.get_by_role("button", name="Next Step").click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_role("heading", name="The second step")).to_be_visible()
        expect(card.get_by_role("heading", name="The first step")).to_be_hidden()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_role("heading", name="The first step")).to_be_visible()
        assert_none_checked(card)


class CrowdsourceHinter(BlockExercise):
    """A wrong answer to the problem beside it brings a hint; after the right one comes a hint for others."""

    unit, title = "crowdsourcehinter", "Hints from others"
    handlers = frozenset(
        {
            "add_new_hint",
            "get_hint",
            "get_used_hint_answer_data",
            "rate_hint",
            "xmodule_handler/problem_check",
        }
    )
    stored = ANSWERED | frozenset(
        f"crowdsourcehinter.{name}" for name in ("hint_database", "incorrect_answers", "used")
    )
    needs = "a `problem` in its unit: it listens to the events of that block's script"
    remark = "It stores ratings and hints for all; what one learner was shown it forgets with the right answer."

    def answer(self, visitor: Visitor, card: Locator) -> None:
        problem = visitor.card("The machine")
        with visitor.answering("get_hint"):
            problem.get_by_role("textbox").fill("computerr")
            problem.get_by_role("button", name="Submit").click()
        expect(card.get_by_text("Hint: One r is enough.")).to_be_visible()
        with visitor.answering("rate_hint"):
            card.get_by_role("button", name="Helpful", exact=True).click()
        with visitor.answering("get_used_hint_answer_data"):
            problem.get_by_role("textbox").fill("computer")
            problem.get_by_role("button", name="Submit").click()
        card.get_by_role("button", name="Contribute a New Hint").click()
        card.locator(".csh_student_text_input").fill("Count the letters")
        with visitor.answering("add_new_hint"):
            card.get_by_role("button", name="Submit Hint").click()

    def assert_answered(self, card: Locator) -> None:
        problem = card.page.get_by_role("region", name="The machine", exact=True)
        expect(problem.get_by_role("textbox").first).to_have_value("computer")
        expect(problem.get_by_text("correct", exact=True)).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_text("Hint:")).to_be_hidden()
        problem = card.page.get_by_role("region", name="The machine", exact=True)
        expect(problem.get_by_role("textbox").first).to_have_value("")


class Recommender(BlockExercise):
    """A vote, a flag with its reason, a change, and a resource of one's own with a picture."""

    unit, title = "recommender", "Further reading"
    handlers = frozenset({"add_resource", "edit_resource", "flag_resource", "handle_vote", "upload_screenshot"})
    stored = frozenset(
        {
            "recommender.flagged_accum_resources",
            "recommender.flagged_ids",
            "recommender.flagged_reasons",
            "recommender.recommendations",
            "recommender.upvoted_ids",
            "user_info.seen",
        }
    )
    needs = "`MEDIA_ROOT` and a URL for it: learners upload pictures"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        self.unfold(card)
        trends, bonds = (self.resource(card, title) for title in ("Periodic trends", "Covalent bonds"))
        with visitor.answering("handle_vote"):
            trends.get_by_role("button", name="upvote").click()
        bonds.get_by_role("button", name="flag resource").click()
        with visitor.answering("flag_resource"):
            card.get_by_role("textbox", name="Reason").locator("visible=true").fill("Too short")
            card.get_by_role("button", name="Flag resource").click()
        bonds.get_by_role("button", name="edit resource").click()
        with visitor.answering("edit_resource"):
            card.locator(".recommender_editDescriptionText").fill("Two atoms share two electrons.")
            card.get_by_role("button", name="Save change").click()
        card.get_by_role("button", name="Add new resource").click()
        card.locator(".recommender_inTitle").fill("Ebbinghaus")
        card.locator(".recommender_inUrl").fill("https://example.org/ebbinghaus")
        picture = {"name": "dot.png", "mimeType": "image/png", "buffer": PICTURE}
        card.locator(".addResourceScreenshot").set_input_files([picture])  # type: ignore[list-item]
        with visitor.answering("add_resource"):
            card.get_by_role("button", name="Add resource").click()

    def assert_answered(self, card: Locator) -> None:
        self.unfold(card)
        trends = self.resource(card, "Periodic trends")
        expect(trends.get_by_role("button", name="undo upvote")).to_be_visible()
        expect(trends.locator(".recommenderVoteScore")).to_have_text("3")
        flag = self.resource(card, "Covalent bonds").get_by_role("button", name="problematic resource")
        expect(flag).to_have_class(re.compile("recommender_problematic"))

    def assert_untouched(self, card: Locator) -> None:
        """Others' resources and votes are everybody's; the vote and the flag are not this learner's."""
        self.unfold(card)
        trends = self.resource(card, "Periodic trends")
        expect(trends.get_by_role("button", name="upvote", exact=True)).to_be_visible()
        flag = self.resource(card, "Covalent bonds").get_by_role("button", name="flag resource")
        expect(flag).not_to_have_class(re.compile("recommender_problematic"))

    @staticmethod
    def unfold(card: Locator) -> None:
        folded = card.get_by_role("button", name="Show related resources")
        open_already = card.get_by_role("button", name="Hide related resources")
        expect(folded.or_(open_already)).to_be_visible()
        if folded.is_visible():
            folded.click()

    @staticmethod
    def resource(card: Locator, title: str) -> Locator:
        return card.get_by_role("region", name=f"Resource: {title}", exact=True)


class Scorm(BlockExercise):
    """Two pages on, a note, and the end of a lesson that calls the API of SCORM 1.2."""

    unit, title = "scorm", "Why there are seasons"
    handlers = frozenset({"scorm_initialize", "scorm_set_values", "scorm_terminate"})
    stored = frozenset(
        {
            COMPLETION,
            "scorm.lesson_score",
            "scorm.lesson_status",
            "scorm.scorm_data",
            "scorm.session_started_at",
            "scorm.success_status",
        }
    )
    needs = (
        "`MEDIA_ROOT`, with names that may be overwritten: packages are unpacked there as the course is read; "
        "the package's digest in `package_meta`"
    )

    def answer(self, visitor: Visitor, card: Locator) -> None:
        lesson = self.lesson(card)
        for _ in range(2):
            with visitor.answering("scorm_set_values"):
                lesson.get_by_role("button", name="Next page").click()
        with visitor.answering("scorm_set_values"):
            lesson.get_by_role("textbox", name="Note").fill("The axis, not the distance")
            lesson.get_by_role("button", name="Save the note").click()
        lesson.get_by_role("button", name="Finish with 80 points").click()

    def assert_answered(self, card: Locator) -> None:
        lesson = self.lesson(card)
        expect(lesson.locator("#page")).to_have_text("3")
        expect(lesson.get_by_role("textbox", name="Note")).to_have_value("The axis, not the distance")
        expect(card.locator(".grade")).to_have_text("8")

    def assert_untouched(self, card: Locator) -> None:
        lesson = self.lesson(card)
        expect(lesson.locator("#status")).to_have_text("Started")
        expect(lesson.locator("#page")).to_have_text("1")
        expect(lesson.get_by_role("textbox", name="Note")).to_have_value("")
        expect(card.locator(".grade")).to_have_text("0")
        expect(card.get_by_text("not attempted")).to_be_visible()

    @staticmethod
    def lesson(card: Locator) -> FrameLocator:
        return card.frame_locator("iframe.scorm-embedded")


class Scorm2004(Scorm):
    """The same with SCORM 2004, whose lesson tells how far one is, and passes."""

    unit, title = "scorm-2004", "Why there are tides"

    def answer(self, visitor: Visitor, card: Locator) -> None:
        lesson = self.lesson(card)
        with visitor.answering("scorm_set_values"):
            lesson.get_by_role("button", name="Next step").click()
        with visitor.answering("scorm_set_values"):
            lesson.get_by_role("button", name="Finish with 0.9").click()

    def assert_answered(self, card: Locator) -> None:
        expect(self.lesson(card).locator("#step")).to_have_text("1")
        expect(card.locator(".grade")).to_have_text("0.9")

    def assert_untouched(self, card: Locator) -> None:
        expect(self.lesson(card).locator("#status")).to_have_text("Started")
        expect(self.lesson(card).locator("#step")).to_have_text("0")
        expect(card.locator(".grade")).to_have_text("0")


class Lti(BlockExercise):
    """A launch in a window of its own, whose signature the tool checks; the tool sends a result back."""

    unit, title = "lti", "A tool elsewhere"
    stored = frozenset({COMPLETION, "lti.module_score", "lti.score_comment"})
    needs = "`lti_passports` in the course's policy: key and secret of each tool; `LMS_BASE` in the settings"

    def before(self, visitor: Visitor) -> None:
        lti_tool.start()

    def answer(self, visitor: Visitor, card: Locator) -> None:
        with visitor.page.context.expect_page() as opened:
            card.get_by_role("link", name="Open the tool").click()
        tool = opened.value
        expect(tool.locator("#learner")).to_have_text(re.compile("^[0-9a-f]{32}$"))
        expect(tool.locator("#page")).to_have_text("7")
        tool.get_by_role("button", name="Send the result").click()
        expect(tool.get_by_role("status")).to_have_text(re.compile("^200 success: Score for .* is now 0.8$"))
        tool.close()
        visitor.reload()

    def assert_answered(self, card: Locator) -> None:
        expect(card.get_by_text("(1.6 / 2.0 points)")).to_be_visible()

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_text("(2.0 total_points possible)")).to_be_visible()


class Video(BlockExercise):
    """A few seconds of a video, and the transcript beside it."""

    unit, title = "video", "A ticking second"
    handlers = frozenset({"ajax_handler"})
    stored = frozenset({"video.saved_video_position"})
    needs = "settings of Open edX (`example/project/open_edx.py`); `edxval` it does without"
    excused = {
        r"learning\.edx\.org": "The logo on its poster is on a server of Open edX's; the page does without.",
        r"^console: Failed to load resource: net::ERR_NAME_NOT_RESOLVED": "The same, in the console's words.",
    }

    def answer(self, visitor: Visitor, card: Locator) -> None:
        card.get_by_role("button", name="Play", exact=True).click()
        expect(self.position(card)).to_have_text(re.compile(r"^0:0[3-9] / 0:12$"))
        with visitor.answering("ajax_handler/save_user_state"):
            card.get_by_role("button", name="Pause", exact=True).click()

    def assert_answered(self, card: Locator) -> None:
        expect(self.position(card)).to_have_text(re.compile(r"^0:0[3-9] / 0:12$"))
        self.assert_shows_transcript(card)

    def assert_untouched(self, card: Locator) -> None:
        expect(self.position(card)).to_have_text("0:00 / 0:12")
        self.assert_shows_transcript(card)

    @staticmethod
    def position(card: Locator) -> Locator:
        return card.locator(".vidtime")

    @staticmethod
    def assert_shows_transcript(card: Locator) -> None:
        expect(card.get_by_role("link", name="Another second and a half.")).to_be_visible()


class PollQuestion(BlockExercise):
    """A vote; the stripes show those of all."""

    unit, title = "poll_question", "A question to all"
    handlers = frozenset({"handle_get_state", "handle_submit_state"})
    stored = frozenset({"poll_question.poll_answer", "poll_question.poll_answers", "poll_question.voted"})

    def answer(self, visitor: Visitor, card: Locator) -> None:
        with visitor.answering("handle_submit_state"):
            card.get_by_text("Yes", exact=True).click()

    def assert_answered(self, card: Locator) -> None:
        expect(card.locator(".poll_answer", has_text="Yes").locator(".button.answered")).to_be_visible()
        expect(card.locator(".number").first).to_have_text(re.compile(r"^\d+ \(\d+(\.\d)?%\)$"))

    def assert_untouched(self, card: Locator) -> None:
        expect(card.get_by_text("Yes", exact=True)).to_be_visible()
        expect(card.locator(".answered")).to_have_count(0)


EXERCISES: dict[str, BlockExercise] = {
    "problem-builder": ProblemBuilder(),
    "problem-builder: recap": AnswerRecap(),
    "pb-swipe": Swipe(),
    "step-builder": StepBuilder(),
    "crowdsourcehinter": CrowdsourceHinter(),
    "recommender": Recommender(),
    "scorm": Scorm(),
    "scorm: 2004": Scorm2004(),
    "lti": Lti(),
    "video": Video(),
    "poll_question": PollQuestion(),
}

"""A block that fails says so in its own place, and the others on its page work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import Visit
from tests.browser.exercises import Done, Exercise
from tests.browser.server import Workbench
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

COURSE = """\
<course org="Org" course="Broken" url_name="run" display_name="A broken course">
  <chapter url_name="chapter" display_name="Chapter">
    <sequential url_name="section" display_name="Section">
      <vertical url_name="server" display_name="Broken on the server">
        <no_such_block url_name="x" display_name="No package"/>
        <poll url_name="not-json" display_name="Not JSON" answers="[oops"/>
        <poll url_name="not-answers" display_name="Not answers" answers='["a", 1]'/>
        <done url_name="works" display_name="Works" align="left"/>
      </vertical>
      <vertical url_name="script" display_name="Broken in the browser">
        <problem url_name="problem" display_name="Problem">
          <multiplechoiceresponse>
            <label>Which?</label>
            <choicegroup type="MultipleChoice">
              <choice correct="true">This</choice>
              <choice correct="false">That</choice>
            </choicegroup>
          </multiplechoiceresponse>
        </problem>
        <done url_name="works-too" display_name="Works too" align="left"/>
      </vertical>
    </sequential>
  </chapter>
</course>
"""


@pytest.fixture(scope="module")
def broken_course(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("broken-course")
    (folder / "course.xml").write_text(COURSE)
    workbench = Workbench(tmp_path_factory.mktemp("broken-workbench"), course=folder)
    workbench.start()
    yield workbench
    workbench.kill()


@pytest.fixture
def visitor(visit: Visit, broken_course: Workbench, new_name: Callable[[str], str]) -> Visitor:
    broken_course.check()
    visitor = visit(broken_course.url, course="Org+Broken+run")
    visitor.join(new_name("ada"))
    return visitor


def error_in(visitor: Visitor, title: str) -> Locator:
    return visitor.card(title).get_by_role("alert")


def assert_works(visitor: Visitor, title: str, exercise: Exercise) -> None:
    card = visitor.card(title)
    exercise.assert_untouched(card)
    exercise.answer(visitor, card)
    exercise.assert_answered(card)
    visitor.reload()
    exercise.assert_answered(card)


def test_blocks_that_the_server_cannot_show_are_error_cards_that_say_why(visitor: Visitor) -> None:
    visitor.open_unit("server")
    missing = error_in(visitor, "No package")
    expect(missing).to_contain_text("This block cannot be shown")
    expect(missing).to_contain_text("no_such_block")
    expect(missing).to_contain_text("block-v1:Org+Broken+run+type@no_such_block+block@x")
    expect(error_in(visitor, "Not JSON")).to_contain_text("This block cannot be shown")
    raised = error_in(visitor, "Not answers")
    expect(raised).to_contain_text("It raised an error. The rest of the page is not affected.")
    traceback = raised.get_by_text("Traceback (most recent call last)")
    expect(traceback).to_be_hidden()
    raised.get_by_text("Details").click()
    expect(traceback).to_be_visible()
    assert_works(visitor, "Works", Done())


def test_the_panel_of_a_block_that_cannot_be_shown_opens(visitor: Visitor) -> None:
    visitor.open_unit("server")
    for title in ["No package", "Not JSON", "Not answers"]:
        card = visitor.card(title)
        card.get_by_text("Stored state").click()
        expect(card.get_by_text("Nothing is stored yet")).to_be_visible()
    assert not visitor.troubles


def test_the_outline_tells_which_blocks_could_not_be_loaded_and_where(visitor: Visitor) -> None:
    visitor.open("/")
    problems = visitor.page.get_by_role("group").filter(has_text="of this course could not be loaded")
    expect(problems.get_by_role("listitem").first).to_be_hidden()
    problems.get_by_text("of this course could not be loaded").click()
    expect(problems.get_by_role("listitem").first).to_be_visible()
    expect(problems).to_contain_text(re.compile(r"course\.xml, line 5: .*no_such_block"))


SCRIPTS = {
    "throws as it loads": "throw new Error('a bug in the script');",
    "defines no init function": "/* nothing */",
    "throws as the block starts": "function Problem() { throw new Error('a bug in init'); }",
    "is not JavaScript": "function Problem( {",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_block_whose_script_is_broken_says_so_and_the_others_work(script: str, visitor: Visitor) -> None:
    def answer(route: Route) -> None:
        route.fulfill(body=script, content_type="text/javascript")

    visitor.page.route("**/ProblemBlockDisplay.js", answer)
    visitor.open_unit("script")
    card = error_in(visitor, "Problem")
    expect(card).to_contain_text("This block could not start")
    expect(card).to_contain_text("the rest of the page works")
    card.get_by_text("Details").click()
    expect(card).to_contain_text(
        "a bug in init" if "init'" in script else "No script on this page defines Problem"
    )
    notices = visitor.page.get_by_role("log", name="Notices")
    if "load" in script or "bug in the script" in script or "( {" in script:
        expect(notices).to_contain_text("A script on this page failed:")
        notices.get_by_role("button", name="Dismiss").click()
        expect(notices).to_be_empty()
    assert_works(visitor, "Works too", Done())


def test_a_script_that_does_not_load_is_named(visitor: Visitor) -> None:
    visitor.page.route("**/ProblemBlockDisplay.js", lambda route: route.abort())
    visitor.open_unit("script")
    notices = visitor.page.get_by_role("log", name="Notices")
    expect(notices).to_contain_text(re.compile("A script could not be loaded: .*ProblemBlockDisplay.js"))
    expect(error_in(visitor, "Problem")).to_contain_text("This block could not start")
    assert_works(visitor, "Works too", Done())


def test_an_answer_that_does_not_reach_the_server_is_said_to_be_not_saved(visitor: Visitor) -> None:
    visitor.open_unit("script")
    card = visitor.card("Works too")
    notices = visitor.page.get_by_role("log", name="Notices")
    visitor.page.route("**/toggle_button", lambda route: route.abort())
    card.get_by_text("Mark as complete").click()
    expect(notices).to_contain_text("Not saved: the server could not be reached")
    visitor.page.unroute("**/toggle_button")
    visitor.reload()
    Done().assert_untouched(card)

"""acid, the XBlock that tests its host: in every view each mark that a host can turn green is green."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Response, Route

from tests.browser.acid import COURSE_KEY, Cell, acid_workbench, cells, marks
from tests.browser.conftest import Visit
from tests.browser.server import Workbench
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

LEARNER = ("user_state", "user_state_summary", "preferences", "user_info")
AUTHORED = ("content", "settings")
# The author's view tries twelve more, of each combination of user and block that has no name: no field data keeps
# them, acid leaves out the row of a scope that it cannot use, and so they have no cells here.


@pytest.fixture(scope="module")
def acid(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    yield from acid_workbench(tmp_path_factory.mktemp("acid"))


@pytest.fixture
def visitor(visit: Visit, acid: Workbench, new_name: Callable[[str], str]) -> Visitor:
    acid.check()
    visitor = visit(acid.url, course=COURSE_KEY)
    visitor.join(new_name("ada"))
    return visitor


def block_path(block_type: str, name: str, view: str) -> str:
    return f"/block/block-v1:{COURSE_KEY}+type@{block_type}+block@{name}/{view}/"


def family(*scopes: str) -> dict[Cell, str]:
    """The marks of the parent and of its children."""
    parent = cells("parent", scopes, "child-counts-match", "child-values-match")
    return parent | cells("left", scopes) | cells("right", scopes)


def asides_of_family() -> dict[Cell, str]:
    """The marks of the asides, which acid has in the student view only."""
    green: dict[Cell, str] = {}
    for name in ["parent", "left", "right", "words"]:
        green |= cells(f"aside of {name}", LEARNER, "acid-dom")
    # Beside an acid_parent too it tests whether it sees its block, and then looks for the type `acid`.
    return green | {Cell("aside of parent", "", "acid-dom"): "fail"} | aside_of_words()


def aside_of_words() -> dict[Cell, str]:
    """Beside a block that is no acid it does not test whether it sees its block."""
    return cells("aside of words", LEARNER, "acid-dom") | {Cell("aside of words", "", "acid-dom"): "unknown"}


def alone() -> dict[Cell, str]:
    return cells("alone", LEARNER) | cells("aside of alone", LEARNER, "acid-dom")


PAGES = {
    "a learner's unit": (
        f"/unit/block-v1:{COURSE_KEY}+type@vertical+block@unit/",
        family(*LEARNER) | asides_of_family() | alone(),
    ),
    "student_view of one": (block_path("acid", "alone", "student_view"), alone()),
    "student_view of a family": (
        block_path("acid_parent", "parent", "student_view"),
        family(*LEARNER) | asides_of_family(),
    ),
    "author_view of one": (block_path("acid", "alone", "author_view"), cells("alone", AUTHORED + LEARNER)),
    "author_view of a family": (
        block_path("acid_parent", "parent", "author_view"),
        family(*AUTHORED, *LEARNER) | aside_of_words(),  # html has no author_view: it is seen as learners see it
    ),
    "studio_view of one": (block_path("acid", "alone", "studio_view"), cells("alone", AUTHORED)),
    "studio_view of a family": (block_path("acid_parent", "parent", "studio_view"), family(*AUTHORED)),
}


@pytest.mark.parametrize(("path", "expected"), PAGES.values(), ids=PAGES.keys())
def test_every_mark_that_a_host_can_turn_green_is_green(
    path: str, expected: dict[Cell, str], visitor: Visitor
) -> None:
    """Twice, since the second time it finds what the first one stored."""
    answers: list[Response] = []
    visitor.page.on("response", lambda answer: answers.append(answer))  # Playwright marks what it is given
    visitor.open(path)
    for _ in range(2):
        found = marks(visitor.page)
        if found != expected:
            print("refused:", *sorted(set(refusals(answers))), sep="\n")
        assert found == expected
        visitor.reload()
    assert not visitor.troubles


def refusals(answers: list[Response]) -> Iterator[str]:
    """What acid's handler said to storage that it did not find right."""
    for answer in answers:
        if "/handler/check_storage" in answer.url:
            said = answer.json() if answer.ok else {"message": answer.status_text}
            if "message" in said:
                yield f"{answer.url}: {said['message']}"


def test_the_mark_that_fails_is_acids_own(visitor: Visitor) -> None:
    """With acid's script taking an acid_parent for an acid it passes, and only that one changes."""
    path, expected = PAGES["a learner's unit"]
    asked = "this.block_element.data('block-type') === 'acid'"

    def mended(route: Route) -> None:
        page = route.fetch()
        text = page.text()
        assert text.count(asked) == 1
        changed = text.replace(asked, "/^acid(_parent)?$/.test(this.block_element.data('block-type'))")
        route.fulfill(response=page, body=changed)

    visitor.page.route(f"**{path}", mended)
    visitor.open(path)
    assert marks(visitor.page) == expected | {Cell("aside of parent", "", "acid-dom"): "pass"}

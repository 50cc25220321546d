"""The pages on a phone's screen, and in the dark."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.exercises import DragAndDrop, MultipleChoice, Survey
from tests.browser.server import Workbench
from tests.browser.visitor import Visitor, unit_path

pytestmark = pytest.mark.browser

PAGES = {
    "outline": "/",
    "learners": "/learners/",
    "problems": unit_path("working-memory"),
    "survey": unit_path("how-you-study"),
    "drag and drop": unit_path("three-memories"),
    "formulas": unit_path("practice-numbers"),
    "done and feedback": unit_path("your-plan"),
}


@pytest.fixture
def phone(visit: Visit, workbench: Workbench, new_name: Callable[[str], str]) -> Visitor:
    workbench.check()
    visitor = visit(
        workbench.url,
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
    )
    visitor.join(new_name("a-name-of-thirty-letters"))
    return visitor


@pytest.fixture
def in_the_dark(visit: Visit, workbench: Workbench, new_name: Callable[[str], str]) -> Visitor:
    workbench.check()
    visitor = visit(workbench.url, color_scheme="dark")
    visitor.join(new_name("ada"))
    return visitor


def assert_no_sideways_scrolling(page: Page, name: str) -> None:
    width, shown = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width <= shown == 390, f"{name}: {width} pixels wide"


def test_a_phone_shows_the_whole_width_of_each_page(phone: Visitor) -> None:
    for name, path in PAGES.items():
        phone.open(path)
        phone.page.wait_for_load_state("networkidle")
        expect(phone.page.get_by_role("heading", level=1)).to_be_in_viewport()
        assert_no_sideways_scrolling(phone.page, name)


@pytest.mark.parametrize("exercise", [MultipleChoice(), Survey()], ids=["MultipleChoice", "Survey"])
def test_on_a_phone_an_answer_and_its_stored_state_fit_too(
    exercise: MultipleChoice | Survey, phone: Visitor
) -> None:
    phone.open_unit(exercise.unit)
    card = phone.card(exercise.title)
    exercise.answer(phone, card)
    exercise.assert_answered(card)
    card.get_by_text("Stored state").tap()
    expect(card.get_by_role("heading", name="History")).to_be_visible()
    assert_no_sideways_scrolling(phone.page, exercise.title)


def test_an_item_can_be_dropped_by_the_keyboard_alone(visitor: Visitor, learner: str) -> None:
    exercise = DragAndDrop()
    visitor.open_unit(exercise.unit)
    card = visitor.card(exercise.title)
    card.get_by_role("group", name="Item Bank").get_by_role("button", name=exercise.item).press("Enter")
    with visitor.answering("drop_item"):
        exercise.box(card).press("Enter")
    exercise.assert_answered(card)


CONTRAST = """(element) => {
    const parse = (color) => {
        const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
        return {rgb: [r, g, b], a};
    };
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((value) => value / 255)
            .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let ground = element;
    while (ground.parentElement && parse(getComputedStyle(ground).backgroundColor).a === 0) {
        ground = ground.parentElement;
    }
    const ink = luminance(parse(getComputedStyle(element).color).rgb);
    const paper = luminance(parse(getComputedStyle(ground).backgroundColor).rgb);
    return {paper, contrast: (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)};
}"""


def test_in_the_dark_pages_are_dark_and_their_headings_and_links_are_readable(in_the_dark: Visitor) -> None:
    page = in_the_dark.page
    for name, path in PAGES.items():
        in_the_dark.open(path)
        assert page.locator("body").evaluate(CONTRAST)["paper"] < 0.05, name
        words = page.locator("h1, h2, h3, h4, main a, header a, summary, label").filter(visible=True)
        expect(words.first).to_be_visible()
        faint = [
            f"{name}: {text!r} has a contrast of {contrast:.1f}"
            for text, contrast in words.evaluate_all(
                f"(words) => words.map((word) => [word.innerText, ({CONTRAST})(word).contrast])"
            )
            if contrast < 4.5
        ]
        assert not faint

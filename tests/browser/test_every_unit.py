"""Each unit of the example course, whole and without a word of complaint from the browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.server import ROOT
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

UNITS = sorted(path.stem for path in (ROOT / "example" / "course" / "vertical").glob("*.xml"))


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_loads_whole_and_from_here_alone(unit: str, visitor: Visitor, learner: str) -> None:
    """No error card, no notice, no error in the console, no request that fails, none to another host."""
    visitor.open_unit(unit)
    visitor.page.wait_for_load_state("networkidle")
    blocks = visitor.page.get_by_role("region")
    assert blocks.count() > 0
    for block in blocks.all():
        expect(block).not_to_be_empty()
    expect(visitor.page.get_by_role("alert").filter(visible=True)).to_have_count(0)
    expect(visitor.page.get_by_role("log", name="Notices")).to_be_empty()
    assert not visitor.troubles


def test_formulas_are_typeset(visitor: Visitor, learner: str) -> None:
    visitor.open_unit("practice-numbers")
    formulas = visitor.page.locator("mjx-container svg")
    expect(formulas.first).to_be_visible()
    expect(visitor.page.get_by_role("main")).not_to_contain_text("\\(")


def test_every_mark_of_the_acid_test_is_a_tick(visitor: Visitor, learner: str) -> None:
    """The block of XBlock's own authors that checks a runtime: storage in each scope, handlers, resources."""
    visitor.open_unit("acid-test")
    marks = visitor.page.locator(".acid-block i, .acid-parent-block i")
    waiting = visitor.page.locator("i.unknown")
    expect(waiting).to_have_count(0)
    assert marks.count() >= 4 * 18, "four blocks with 18 marks each, and those for the children"
    expect(visitor.page.locator("i.pass").filter(visible=True)).to_have_count(marks.count())
    assert not visitor.troubles

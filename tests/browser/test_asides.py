"""Asides in the browser: beside their blocks, with handlers of their own, and harmless when they fail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Route, expect

from tests.browser.acid import COURSE_KEY, acid_workbench, marks
from tests.browser.conftest import Visit
from tests.browser.server import Workbench
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def acid(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    yield from acid_workbench(tmp_path_factory.mktemp("asides"))


@pytest.fixture
def visitor(visit: Visit, acid: Workbench, new_name: Callable[[str], str]) -> Visitor:
    acid.check()
    visitor = visit(acid.url, course=COURSE_KEY)
    visitor.join(new_name("ada"))
    return visitor


def test_an_aside_whose_script_fails_says_so_and_the_blocks_work(visitor: Visitor) -> None:
    visitor.open_unit("unit")
    whole = marks(visitor.page)

    def broken(route: Route) -> None:
        page = route.fetch()
        start = "function AcidAsideBlock(runtime, element, block_element, init_args) {"
        assert start in page.text()
        route.fulfill(response=page, body=page.text().replace(start, start + "throw new Error('a bug in it');"))

    visitor.page.route("**/unit/**", broken)
    visitor.open_unit("unit")
    cards = visitor.page.get_by_role("alert")
    expect(cards).to_have_count(5)  # alone, parent, left, right and the words
    expect(cards.first).to_contain_text("This aside could not start")
    expect(cards.first).to_contain_text("The browser script of the acid_aside aside failed; the rest")
    cards.first.get_by_text("Details").click()
    expect(cards.first).to_contain_text("a bug in it")
    assert marks(visitor.page) == {cell: mark for cell, mark in whole.items() if "aside" not in cell.where}


def test_an_aside_is_beside_its_block_and_no_child_of_anybody(visitor: Visitor) -> None:
    visitor.open_unit("unit")
    marks(visitor.page)
    aside = visitor.page.locator(".xblock_asides-v1[data-block-id$='block@left']")
    beside = aside.evaluate("(aside) => aside.previousElementSibling.dataset.usageId")
    assert beside == aside.get_attribute("data-block-id")
    found = visitor.page.locator(".xblock[data-usage-id$='block@parent']").evaluate(
        """(element) => {
            const {runtime} = XBlock.initializeBlock(element); // started already: this finds it
            return runtime.children(element).map((child) => child.type);
        }"""
    )
    assert found == ["acid", "acid", "html"]


def test_what_an_aside_could_not_save_is_said(visitor: Visitor) -> None:
    visitor.page.route(re.compile("/xblock/aside.*SCOPE=user_info"), lambda route: route.abort())
    visitor.open_unit("unit")
    notices = visitor.page.get_by_role("log", name="Notices")
    expect(notices).to_contain_text("Not saved: the server could not be reached")

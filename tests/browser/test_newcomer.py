"""Somebody who comes for the first time."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import Visitor, unit_path

pytestmark = pytest.mark.browser


def test_a_newcomer_finds_the_course_makes_up_a_learner_and_is_back_at_the_unit(
    visitor: Visitor, new_name: Callable[[str], str]
) -> None:
    page, name = visitor.page, new_name("newcomer")
    visitor.open("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("How memory works")
    chapters = ["What memory holds", "How we forget", "Making it last"]
    expect(page.get_by_role("heading", level=2)).to_have_text(chapters)
    expect(page.get_by_role("banner").get_by_role("link", name="Choose a learner")).to_be_visible()

    page.get_by_role("main").get_by_role("link", name="Working memory").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Working memory")
    expect(page.get_by_text("You are a visitor")).to_be_visible()
    expect(visitor.card("The chess master’s secret").get_by_role("radio")).to_have_count(4)

    page.get_by_role("main").get_by_role("link", name="Become a learner").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Name").press("Enter")
    expect(page).to_have_url(visitor.origin + unit_path("working-memory"))
    visitor.expect_learner(name)
    expect(page.get_by_text("You are a visitor")).to_have_count(0)
    expect(visitor.card("The chess master’s secret").get_by_role("radio")).to_have_count(4)
    assert not visitor.troubles


def test_a_name_that_is_taken_or_has_a_space_is_refused_with_the_reason(
    visitor: Visitor, new_name: Callable[[str], str]
) -> None:
    page, name = visitor.page, new_name("taken")
    visitor.start_as(name)
    for refused, reason in [(name.upper(), "There is an account of this name already"), ("a b", "no spaces")]:
        visitor.open("/learners/")
        page.get_by_label("Name").fill(refused)
        page.get_by_role("button", name="Start as this learner").click()
        expect(page.get_by_text(reason)).to_be_visible()
        expect(page.get_by_label("Name")).to_have_value(refused)
    visitor.open("/")
    visitor.expect_learner(name)


def test_the_units_are_joined_by_links_and_the_outline_counts_what_is_stored(
    visitor: Visitor, learner: str
) -> None:
    page = visitor.page
    row = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="Welcome", exact=True))
    visitor.open("/")
    expect(row).to_contain_text("2 blocks")
    page.get_by_role("link", name="Welcome", exact=True).click()
    visitor.card("Your usual way").get_by_role("radio").first.check()
    with visitor.answering("vote"):
        visitor.card("Your usual way").get_by_role("button", name="Submit").click()
    page.get_by_role("link", name=re.compile("Next.*Three memories")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Three memories")
    page.get_by_role("link", name=re.compile("Previous.*Welcome")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome")
    page.get_by_role("link", name="Outline").click()
    expect(row).to_contain_text("1 of 2 stored")

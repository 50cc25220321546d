"""Pools, such as ``library_content``: each learner is given some of the blocks."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fieldstone.runtime.wiring import Mode, Viewer
from fieldstone.store import Store
from fieldstone.workbench.courses import cards_of, outline, unit_url, unit_with, units_of
from fieldstone.workbench.pages import runtime_for
from tests.runtime.courses import course_of, key_in, runtime, unit_of


def texts(numbers):
    return "".join(f'<html url_name="h{number}">text {number}.</html>' for number in numbers)


def pool_of(folder, numbers, attributes='max_count="3"', tag="library_content"):
    return unit_of(folder, f'<{tag} url_name="pool" {attributes}>{texts(numbers)}</{tag}>')


def shown(course, user, tag="library_content", view="student_view"):
    """The numbers of the texts that a learner's page shows."""
    page = (
        runtime(course, user)
        if view == "student_view"
        else runtime_for(course, Viewer(user, mode=Mode.PREVIEW), "")
    )
    with page.saving():
        html = page.get_block(key_in(course, tag, "pool")).render(view).content
    return {number for number in range(100) if f"text {number}." in html}


@pytest.mark.parametrize(
    ("tag", "attributes", "count"),
    [
        ("library_content", 'max_count="3" source_library_id="library-v1:Org+Lib"', 3),
        ("library_content", "", 1),
        ("itembank", 'max_count="2"', 2),
        ("randomize", "", 1),
        ("itembank", 'max_count="-1"', 20),
        ("itembank", 'max_count="50"', 20),
        ("itembank", 'max_count="0"', 0),
        ("itembank", 'max_count=""', 1),
        ("itembank", 'max_count="null"', 1),
    ],
)
def test_a_learner_is_given_so_many(tmp_path, ada, tag, attributes, count):
    course = pool_of(tmp_path, range(20), attributes, tag)
    assert course.problems == []
    assert len(shown(course, ada, tag)) == count
    assert shown(course, ada, tag) == shown(course, ada, tag)


def test_learners_are_given_different_blocks(tmp_path, db):
    course = pool_of(tmp_path, range(20))
    learners = [get_user_model().objects.create_user(f"learner{number}") for number in range(8)]
    assert len({frozenset(shown(course, learner)) for learner in learners}) > 1


def test_what_was_given_is_stored_as_open_edx_stores_it(tmp_path, ada):
    course = pool_of(tmp_path, range(20))
    given = shown(course, ada)
    pool = key_in(course, "library_content", "pool")
    stored = Store().read(ada, [pool])[pool].fields["selected"]
    assert all(block_type == "html" for block_type, _ in stored)
    assert {int(block_id.removeprefix("h")) for _, block_id in stored} == given


def test_what_was_given_stays_when_the_pool_grows_or_is_put_in_another_order(tmp_path, ada):
    given = shown(pool_of(tmp_path, range(10)), ada)
    assert shown(pool_of(tmp_path, range(40)), ada) == given
    assert shown(pool_of(tmp_path, range(9, -1, -1)), ada) == given


def test_what_is_taken_out_of_the_pool_is_replaced(tmp_path, ada):
    given = shown(pool_of(tmp_path, range(10)), ada)
    gone = min(given)
    left = [number for number in range(10) if number != gone]
    after = shown(pool_of(tmp_path, left), ada)
    assert len(after) == 3
    assert given - {gone} < after


def test_a_changed_count_adds_or_takes_away(tmp_path, ada):
    three = shown(pool_of(tmp_path, range(10)), ada)
    five = shown(pool_of(tmp_path, range(10), 'max_count="5"'), ada)
    two = shown(pool_of(tmp_path, range(10), 'max_count="2"'), ada)
    assert two < three < five


def test_two_first_requests_at_once_give_the_same(tmp_path, ada):
    """Neither sees what the other has chosen."""
    course = pool_of(tmp_path, range(40))
    pool = key_in(course, "library_content", "pool")
    first, second = (runtime(course, ada).get_block(pool) for _ in range(2))
    assert first.given() == second.given()


def test_only_what_the_learner_was_given_is_fetched(tmp_path, ada):
    """A pool of a thousand problems costs no more than the few that are given."""
    problems = "".join(f'<done url_name="d{number}"/>' for number in range(50))
    course = unit_of(tmp_path, f'<html>A</html><itembank url_name="pool" max_count="2">{problems}</itembank>')
    unit = key_in(course, "vertical", "unit")
    page = runtime(course, ada)
    page.prefetch(unit)
    given = page.get_block(key_in(course, "itembank", "pool")).given()
    assert len(given) == 2
    fetched = {key for key in (block.usage_key for block in course.blocks.values()) if _known(page, key)}
    assert fetched & {key_in(course, "done", f"d{number}") for number in range(50)} == set(given)


def _known(page, usage_key):
    """Would reading it cost no query?"""
    with CaptureQueriesContext(connection) as queries:
        page.get_block(usage_key)
    return not queries


def test_an_author_sees_all(tmp_path, ada):
    assert shown(pool_of(tmp_path, range(20)), ada, view="author_view") == set(range(20))


@pytest.mark.parametrize(
    ("tag", "reason"),
    [("split_test", "by the group of an experiment"), ("conditional", "has done in other blocks")],
)
def test_what_only_the_platform_can_choose_is_not_shown_to_learners(tmp_path, ada, tag, reason):
    course = pool_of(tmp_path, range(3), "", tag)
    html = runtime(course, ada).get_block(key_in(course, tag, "pool")).render("student_view").content
    assert reason in html
    assert shown(course, ada, tag) == set()
    assert shown(course, ada, tag, view="author_view") == {0, 1, 2}


@pytest.mark.parametrize("tag", ["conditional", "split_test", "library_content", "randomize", "acid_parent"])
@pytest.mark.parametrize("level", ["chapter", "section", "unit"])
def test_what_a_container_hides_has_no_page_of_its_own(tmp_path, tag, level):
    """It may stand in the place of a chapter, of a section or of a unit."""
    body = f'<{tag} url_name="pool"><vertical url_name="in"><html url_name="h">text</html></vertical></{tag}>'
    if level == "unit":
        body = f'<sequential url_name="s">{body}</sequential>'
    if level != "chapter":
        body = f'<chapter url_name="c">{body}</chapter>'
    course = course_of(tmp_path, body)
    pool = course.block(key_in(course, tag, "pool"))
    assert list(units_of(course)) == [pool]
    assert unit_with(course, str(key_in(course, "html", "h"))) is pool
    assert cards_of(pool) == [pool]
    (unit,) = (unit for chapter in outline(course, AnonymousUser()) for s in chapter.sections for unit in s.units)
    assert unit.url == unit_url(pool)

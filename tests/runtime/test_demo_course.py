"""Open edX's own demo course, for a registered learner. It is no part of this project, so it may be absent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils.html import escape

from fieldstone.runtime.olx import read_course
from fieldstone.runtime.runtime import CourseRuntime
from fieldstone.runtime.structure import BlockUnavailableError
from fieldstone.runtime.wiring import Viewer
from fieldstone.workbench.courses import cards_of, outline, units_of
from fieldstone.workbench.pages import WorkbenchUrls, error_card, runtime_for
from tests.runtime.courses import runtime

DEMO_COURSE = Path(__file__).parents[3] / "shared" / "courses" / "openedx-demo-course"
CONTAINERS = ("course", "chapter", "sequential", "vertical")
NOT_INSTALLED = {"openassessment": 2, "edx_sga": 1, "staffgradedxblock": 1}
"""Blocks of which there is no package among the project's: Open edX's platform is their home."""

pytestmark = pytest.mark.skipif(not DEMO_COURSE.is_dir(), reason="Open edX's demo course is not here")


@pytest.fixture(scope="module")
def course():
    return read_course(DEMO_COURSE)


def leaves(course):
    """All blocks but the course, its chapters, sequentials and verticals: a pool counts, and each block in it."""
    return [block for block in course.blocks.values() if block.block_type not in CONTAINERS]


class Reasons:
    """The error cards of a runtime, by block; all else about them is the workbench's."""

    def __init__(self):
        self.reasons = {}

    def __call__(self, block, error):
        self.reasons[str(block.scope_ids.usage_id)] = error
        return error_card(block, error)


def test_all_of_its_blocks_are_there(course):
    assert len(course.blocks) == 401
    assert len(leaves(course)) == 319
    assert Counter(block.block_type for block in leaves(course)).most_common(3) == [
        ("html", 266),
        ("problem", 29),
        ("video", 11),
    ]
    assert course.grading_policy["GRADE_CUTOFFS"] == {"Pass": 0.5}
    assert (
        sum(len(section.units) for chapter in outline(course, AnonymousUser()) for section in chapter.sections)
        > 50
    )


def test_its_problems_name_what_is_not_installed_and_nothing_else(course):
    unavailable = [block for block in course.blocks.values() if block.unavailable]
    assert Counter(block.block_type for block in unavailable) == NOT_INSTALLED
    assert all("No installed package provides" in block.unavailable for block in unavailable)
    assert len(course.problems) == len(unavailable)


@pytest.fixture
def python_problems(settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": True}


def render_leaves(course, learner):
    """The HTML of each leaf by itself, those in a pool too, and the errors of those that are cards."""
    reasons = Reasons()
    page = CourseRuntime(course, Viewer(learner), WorkbenchUrls(course), error_card=reasons, origin="test")
    page.prefetch(course.root.usage_key)
    html = {}
    with page.saving():
        for block in leaves(course):
            key = str(block.usage_key)
            html[key] = page.get_block(block.usage_key).render("student_view").content
    return html, reasons.reasons


def test_at_least_311_of_its_319_leaves_render_and_the_rest_say_why(course, ada, python_problems):
    html, reasons = render_leaves(course, ada)
    rendered = html.keys() - reasons.keys()
    assert len(rendered) >= 311
    assert all("data-block-type" in html[key] for key in rendered)
    assert all(isinstance(error, BlockUnavailableError) for error in reasons.values()), reasons
    assert all(escape(str(error)) in html[key] for key, error in reasons.items())
    assert Counter(course.block(key).block_type for key in reasons) == NOT_INSTALLED


def test_every_unit_is_built(course, ada):
    units = list(units_of(course))
    for unit in units:
        page = runtime_for(course, Viewer(ada), "test")
        page.prefetch(unit.usage_key)
        with page.saving():
            for block in cards_of(unit):
                assert page.get_block(block.usage_key).render("student_view").content.strip()
    assert len(units) >= 58


def test_a_learner_is_given_two_of_its_pool_of_six(course, ada):
    (pool,) = [block for block in course.blocks.values() if block.block_type == "library_content"]
    assert len(pool.children) == 6
    page = runtime(course, ada)
    with page.saving():
        html = page.get_block(pool.usage_key).render("student_view").content
    shown = [child for child in pool.children if f'data-usage="{child.usage_key}"' in html]
    assert len(shown) == 2

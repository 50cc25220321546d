"""docs/blocks.md says of each block what the suite found."""

from __future__ import annotations

import re
from pathlib import Path

from fieldstone.runtime.olx import read_course
from tests.blocks.exercise import COURSE
from tests.blocks.registry import EXERCISES, block_type
from tests.blocks.table import PAGE, TABLE, table

COURSE_FOLDER = Path(__file__).parent / "course"
NAMED = {
    "annotatable", "crowdsourcehinter", "done", "drag-and-drop-v2", "feedback", "freetextresponse",
    "google-calendar", "google-document", "html", "image-explorer", "lti", "pdf", "poll", "poll_question",
    "problem", "problem-builder", "recommender", "scorm", "survey", "video", "word_cloud",
}  # fmt: skip
"""The blocks that Fieldstone promises to run."""


def test_the_table_of_the_page_says_what_the_suite_says():
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found, f"{PAGE.name} has no table"
    assert found[0].splitlines() == table().splitlines(), "python -m tests.blocks.table writes it anew"


def test_every_promised_block_has_an_exercise():
    assert {block_type(name) for name in EXERCISES} >= NAMED


def test_every_exercise_is_at_a_block_of_the_course_that_could_be_read():
    course = read_course(COURSE_FOLDER)
    assert course.problems == []
    assert str(course.key) == f"course-v1:{COURSE}"
    units = {block.usage_key.block_id: block for block in course.blocks.values() if block.block_type == "vertical"}
    for name, exercise in EXERCISES.items():
        unit = units[exercise.unit]
        assert exercise.title in {card.title for card in unit.children}, name
        assert block_type(name) in {block.block_type for block in unit.descendants()}, name


def test_every_excuse_has_a_reason():
    for name, exercise in EXERCISES.items():
        for pattern, reason in {**exercise.excused, **exercise.notices}.items():
            assert re.compile(pattern) and reason.endswith("."), f"{name}: {pattern}"

"""Libraries of blocks, as Open edX exports them: a learning context of their own."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from fieldstone.errors import CourseError
from fieldstone.runtime.olx import read_course
from fieldstone.store import Store
from fieldstone.workbench.courses import outline, unit_with, units_of
from tests.runtime.courses import check_problem, course_files, runtime

PROBLEM = (
    '<problem display_name="Breath"><multiplechoiceresponse><choicegroup>'
    '<choice correct="true">Yes</choice><choice correct="false">No</choice>'
    "</choicegroup></multiplechoiceresponse></problem>"
)


@pytest.fixture
def library(tmp_path):
    return read_course(
        course_files(
            tmp_path,
            {
                "library/library.xml": '<library display_name="Lungs" org="Org" library="Lib">'
                '<problem url_name="p"/><html url_name="h">Air</html></library>',
                "library/problem/p.xml": PROBLEM,
                "library/policies/library/policy.json": '{"problem/p": {"max_attempts": 4}}',
            },
        )
    )


def test_a_library_has_keys_of_its_own(library):
    assert library.problems == []
    assert library.is_library
    assert library.root.title == "Lungs"
    assert [str(block.usage_key) for block in library.blocks.values()] == [
        "lib-block-v1:Org+Lib+type@library+block@library",
        "lib-block-v1:Org+Lib+type@problem+block@p",
        "lib-block-v1:Org+Lib+type@html+block@h",
    ]


def test_learners_state_is_kept_under_them(library, ada):
    key = library.root.children[0].usage_key
    check_problem(library, ada, key, "choice_0")
    assert Store().read(ada, [key])[key].grade == 1
    problem = runtime(library, ada).get_block(key)
    assert (problem.attempts, problem.max_attempts) == (1, 4)


def test_each_of_its_blocks_is_a_unit(library):
    assert list(units_of(library)) == library.root.children
    (chapter,) = outline(library, AnonymousUser())
    assert [unit.title for section in chapter.sections for unit in section.units] == ["Breath", "Html"]
    problem = library.root.children[0]
    assert unit_with(library, str(problem.usage_key)) is problem


@pytest.mark.parametrize("root", ["<course/>", '<library org="Org"/>', '<library org="O O" library="Lib"/>'])
def test_a_library_without_its_names_is_an_error(tmp_path, root):
    with pytest.raises(CourseError, match=r"library\.xml, line 1: .*library"):
        read_course(course_files(tmp_path, {"library.xml": root}))

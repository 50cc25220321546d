"""Where a learner's state is kept while an author works on the course: blocks come, go and change places."""

from __future__ import annotations

import pytest

from fieldstone.runtime.olx import read_course
from tests.runtime.courses import check_problem, course_files, course_of, runtime, unit_of

NO = '<choice correct="false">No</choice>'
QUESTION = (
    '<problem{}><multiplechoiceresponse><label>{}</label><choicegroup><choice correct="true">Yes</choice>'
    f"{NO}</choicegroup></multiplechoiceresponse></problem>"
)


def problem(label, attributes=""):
    return QUESTION.format(attributes, label)


def keys(course, block_type="problem"):
    return [block.usage_key for block in course.root.descendants() if block.block_type == block_type]


A, B, C = problem("A"), problem("B"), problem("C")
PUT_OFF = problem("A", ' due="2030-01-01T00:00:00Z" max_attempts="9"')


@pytest.mark.parametrize(
    "edited",
    [
        f"{C}{A}{B}",
        f"{A}{C}{B}",
        f"<html>Before</html>{A}<video/>{B}",
        f"{B}{A}",
        f"{A}",
        f"<wrapper>{C}{A}</wrapper>{B}",
        f"\n   {A.replace('><', '>   <')}\n{B}",
        f"{PUT_OFF}{B}",
    ],
    ids=["inserted", "between", "other types", "reordered", "removed", "wrapped", "indented", "put off"],
)
def test_what_an_author_does_beside_a_block_moves_no_state(tmp_path, ada, edited):
    """None of these blocks has a ``url_name``."""
    before = unit_of(tmp_path, f"{A}{B}")
    answered = keys(before)[0]
    check_problem(before, ada, answered, "choice_0")
    after = unit_of(tmp_path, edited)
    for key in keys(after):
        assert runtime(after, ada).get_block(key).attempts == (1 if key == answered else 0)
    assert [answered] == [key for key in keys(after) if "<label>A<" in _squeezed(after, key)]


def _squeezed(course, key):
    return "".join(course.block(key).authored["data"].split())


def test_a_whole_unit_may_be_inserted(tmp_path):
    """Its blocks are under another name than those that say the same elsewhere."""
    unit = '<vertical url_name="{}"><done/><poll question="Same?"/></vertical>'
    two = f"<chapter><sequential>{unit.format('one')}{unit.format('two')}</sequential></chapter>"
    before = course_of(tmp_path, two)
    more = f"<chapter><sequential>{unit.format('new')}</sequential></chapter>"
    after = course_of(tmp_path, more + two)
    for block_type in ("done", "poll"):
        assert len(set(keys(before, block_type))) == 2
        assert keys(after, block_type)[1:] == keys(before, block_type)


def test_blocks_come_and_go_within_a_nameless_container(tmp_path):
    """Its own state stays too: what is in a container is no part of what names it."""
    before = unit_of(tmp_path, '<acid_parent display_name="P"><html>A</html></acid_parent>')
    after = unit_of(tmp_path, '<acid_parent display_name="P"><html>new</html><html>A</html></acid_parent>')
    assert keys(after, "acid_parent") == keys(before, "acid_parent")
    assert keys(after, "html")[1:] == keys(before, "html")


def test_blocks_that_say_the_same_are_told_apart_by_their_order(tmp_path):
    """There is nothing else that could; the author is told so."""
    course = unit_of(tmp_path, "<done/><html>between</html><done/><done/>")
    assert len(set(keys(course, "done"))) == 3
    assert keys(read_course(tmp_path), "done") == keys(course, "done")
    assert ["which only their order tells apart" in problem for problem in course.problems] == [False, True, True]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("named", [0, 1, 2])
def test_a_twin_that_follows_the_advice_takes_nothing_from_the_others(tmp_path, named, place):
    """Whichever of them gets a name, and wherever it is moved to then."""
    before = keys(unit_of(tmp_path, "<done/>" * 3), "done")
    twins = ["<done/>"] * 2
    twins.insert(place, f'<done url_name="{before[named].block_id}"/>')
    after = unit_of(tmp_path, "".join(twins))
    found = keys(after, "done")
    assert found.pop(place) == before.pop(named)
    assert found == before
    assert not any("already" in problem for problem in after.problems)


def test_a_twin_in_a_file_that_is_pointed_to_counts_too(tmp_path):
    """Such a file may be read after the block that has no name."""
    before = keys(unit_of(tmp_path, "<done/><done/>"), "done")
    files = {"vertical/later.xml": f'<vertical><done url_name="{before[0].block_id}"/></vertical>'}
    after = unit_of(course_files(tmp_path, files), '<done/><vertical url_name="later"/>')
    assert keys(after, "done") == [before[1], before[0]]


def test_a_container_that_follows_the_advice_changes_nothing_in_it(tmp_path):
    """The ids of nameless blocks are made of the name above them too."""
    pool = f"<library_content{{}}>{A}<wrapper><done/></wrapper></library_content>"
    before = unit_of(tmp_path, pool.format("") * 2)
    first, second = keys(before, "library_content")
    for name in (first, second):
        one, other = (f' url_name="{name.block_id}"' if name == key else "" for key in (first, second))
        after = unit_of(tmp_path, pool.format(one) + pool.format(other))
        assert list(after.blocks) == list(before.blocks)


def test_the_author_is_told_which_name_keeps_the_state(tmp_path, ada):
    before = unit_of(tmp_path, f"\n{A}")
    check_problem(before, ada, keys(before)[0], "choice_0")
    (told,) = before.problems
    assert told.startswith(f"{tmp_path / 'course.xml'}, line 2: <problem> has no url_name")
    name = told.partition('url_name="')[2].partition('"')[0]
    after = unit_of(tmp_path, problem("A, mended", f' url_name="{name}"'))
    assert after.problems == []
    assert runtime(after, ada).get_block(keys(after)[0]).attempts == 1


def test_nothing_is_said_of_blocks_that_keep_no_state(tmp_path):
    assert unit_of(tmp_path, "<html>A</html><html>A</html>").problems == []


def test_a_change_of_the_content_leaves_the_state_behind(tmp_path):
    """The price of it, said in the docs and in the problem's text."""
    assert keys(unit_of(tmp_path, A)) != keys(unit_of(tmp_path, problem("A, mended")))

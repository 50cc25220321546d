"""Reading courses in OLX: what becomes of good files, and what is said of bad ones."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils.html import escape

from fieldstone.errors import CourseError, NoSuchBlockError
from fieldstone.runtime.olx import read_course
from fieldstone.runtime.olx_files import MAX_XML
from fieldstone.workbench.courses import current_course
from tests.runtime.courses import COURSE_XML, course_files, course_of, key_in, runtime, unit_of

PROBLEM = (
    "<multiplechoiceresponse><choicegroup>"
    '<choice correct="true">Yes</choice><choice correct="false">No</choice>'
    "</choicegroup></multiplechoiceresponse>"
)


def names(course):
    return [f"{block.block_type}/{block.usage_key.block_id}" for block in course.root.descendants()]


def block_of(course, block_type, block_id):
    """The block as its class sees it; nobody is looking."""
    return runtime(course, AnonymousUser()).get_block(key_in(course, block_type, block_id))


# Where blocks are defined


def test_pointers_and_inline_blocks_make_one_tree_in_the_files_order(tmp_path):
    course = read_course(
        course_files(
            tmp_path,
            {
                "course.xml": '<course org="Org" course="Course" url_name="run"/>',
                "course/run.xml": '<course display_name="A course"><chapter url_name="one"/>'
                '<chapter url_name="two" display_name="Two"><sequential url_name="inside"/></chapter></course>',
                "chapter/one.xml": '<chapter display_name="One"><sequential url_name="s"/></chapter>',
                "sequential/s.xml": '<sequential><vertical url_name="v">'
                '<html url_name="text"><p>Words</p></html></vertical></sequential>',
                "sequential/inside.xml": "<sequential/>",
            },
        )
    )
    assert str(course.key) == "course-v1:Org+Course+run"
    assert course.root.title == "A course"
    assert names(course) == [
        "chapter/one", "sequential/s", "vertical/v", "html/text", "chapter/two", "sequential/inside",
    ]  # fmt: skip
    assert [chapter.title for chapter in course.root.children] == ["One", "Two"]
    assert block_of(course, "html", "text").data == "<p>Words</p>"
    assert course.problems == []


def test_a_colon_in_a_name_is_a_slash_in_the_path(tmp_path):
    course = course_of(
        tmp_path, '<chapter url_name="week:one"/>', {"chapter/week/one.xml": '<chapter display_name="Week one"/>'}
    )
    assert names(course) == ["chapter/week:one"]
    assert course.root.children[0].title == "Week one"


def test_children_and_parents_know_each_other(tmp_path):
    course = unit_of(tmp_path, '<html url_name="a">A</html><html url_name="b">B</html>')
    unit = block_of(course, "vertical", "unit")
    assert unit.children == [key_in(course, "html", "a"), key_in(course, "html", "b")]
    assert [child.get_parent().scope_ids.usage_id for child in unit.get_children()] == [
        unit.scope_ids.usage_id
    ] * 2


def test_what_is_no_block_is_left_out(tmp_path):
    body = (
        '<!-- a comment --><wiki slug="w"/><textbook title="t"/><pdf_textbook/><html_textbook/><?pi x?>'
        '<chapter url_name="c"><!-- another --><sequential/></chapter>text'
    )
    course = course_of(tmp_path, body)
    assert [block.block_type for block in course.root.descendants()] == ["chapter", "sequential"]
    assert course.problems == []


def test_the_second_of_two_blocks_of_one_name_is_left_out_and_named(tmp_path):
    course = unit_of(tmp_path, '\n<html url_name="h">first</html>\n<html url_name="h">second</html>')
    assert names(course)[-1] == "html/h"
    assert names(course).count("html/h") == 1
    assert block_of(course, "html", "h").data == "first"
    (problem,) = course.problems
    assert f"{tmp_path / 'course.xml'}, line 3: " in problem
    assert "'h' is in the course already" in problem


def test_a_block_that_holds_itself_is_read_once(tmp_path):
    course = course_of(
        tmp_path,
        '<chapter url_name="c"/>',
        {
            "chapter/c.xml": '<chapter><sequential url_name="s"/></chapter>',
            "sequential/s.xml": '<sequential><chapter url_name="c"/></sequential>',
        },
    )
    assert names(course) == ["chapter/c", "sequential/s"]
    assert len(course.problems) == 1


def test_a_block_that_the_course_does_not_have_is_an_error(tmp_path):
    course = course_of(tmp_path, "<chapter/>")
    with pytest.raises(NoSuchBlockError, match="The course has no block block-v1:Org"):
        course.block(key_in(course, "html", "h"))


# Settings


@pytest.mark.parametrize("where", ["attributes", "policy.json"])
def test_settings_of_a_chapter_reach_the_problems_below_it(tmp_path, where):
    settings = {"max_attempts": 3, "showanswer": "never", "graded": True, "show_reset_button": True}
    attributes = " ".join(f'{name}="{str(value).lower()}"' for name, value in settings.items())
    inside = (
        f'<sequential url_name="s"><vertical><problem url_name="p">{PROBLEM}</problem></vertical></sequential>'
    )
    if where == "attributes":
        course = course_of(tmp_path, f'<chapter url_name="c" {attributes}>{inside}</chapter>')
    else:
        policy = {"policies/run/policy.json": json.dumps({"chapter/c": settings})}
        course = course_of(tmp_path, f'<chapter url_name="c">{inside}</chapter>', policy)
    problem = block_of(course, "problem", "p")
    assert {name: getattr(problem, name) for name in settings} == settings


def test_the_nearest_setting_wins_and_a_blocks_own_over_all(tmp_path):
    course = course_of(
        tmp_path,
        f'<chapter max_attempts="3" showanswer="never"><sequential max_attempts="4"><vertical>'
        f'<problem url_name="near">{PROBLEM}</problem>'
        f'<problem url_name="own" max_attempts="5">{PROBLEM}</problem></vertical></sequential></chapter>'
        f'<chapter><sequential><vertical><problem url_name="beside">{PROBLEM}</problem></vertical></sequential>'
        "</chapter>",
    )
    assert block_of(course, "problem", "near").max_attempts == 4
    assert block_of(course, "problem", "near").showanswer == "never"
    assert block_of(course, "problem", "own").max_attempts == 5
    assert block_of(course, "problem", "beside").max_attempts is None
    assert block_of(course, "problem", "beside").showanswer == "finished"


def test_a_blocks_own_policy_wins_over_its_attributes(tmp_path):
    """Open edX reads it so."""
    policy = {"problem/p": {"max_attempts": 7, "display_name": "From policy"}}
    course = course_of(
        tmp_path,
        f'<chapter><sequential><vertical><problem url_name="p" max_attempts="2">{PROBLEM}</problem>'
        "</vertical></sequential></chapter>",
        {"policies/run/policy.json": json.dumps(policy)},
    )
    problem = block_of(course, "problem", "p")
    assert (problem.max_attempts, problem.display_name) == (7, "From policy")


@pytest.mark.parametrize("block_type", ["course", "chapter"])
def test_the_policy_of_a_container_names_it(tmp_path, block_type):
    """Older exports have a course's name there alone."""
    block_id = {"course": "run", "chapter": "c"}[block_type]
    policy = {"policies/run/policy.json": json.dumps({f"{block_type}/{block_id}": {"display_name": "Named"}})}
    course = course_of(tmp_path, '<chapter url_name="c"><sequential/></chapter>', policy)
    assert course.block(key_in(course, block_type, block_id)).title == "Named"
    assert block_of(course, block_type, block_id).display_name == "Named"


@pytest.mark.parametrize("block_type", ["video", "scorm", "done", "html", "problem"])
def test_the_policy_wins_however_a_block_reads_its_xml(tmp_path, block_type, settings):
    settings.MEDIA_ROOT = str(tmp_path / "media")
    policy = {"policies/run/policy.json": json.dumps({f"{block_type}/x": {"display_name": "From policy"}})}
    inside = f'<{block_type} url_name="x" display_name="From XML"/>'
    course = course_of(tmp_path / "course", f"<chapter><sequential>{inside}</sequential></chapter>", policy)
    assert course.block(key_in(course, block_type, "x")).authored["display_name"] == "From policy"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("format", "2024", "2024"),
        ("format", "&quot;2024&quot;", "2024"),
        ("format", "true", "true"),
        ("format", "null", None),
        ("rerandomize", "true", "true"),
        ("due", "2030-02-01", datetime(2030, 2, 1, tzinfo=UTC)),
        ("due", "&quot;2030-02-01T00:00:00Z&quot;", datetime(2030, 2, 1, tzinfo=UTC)),
        ("due", "null", None),
        ("graceperiod", "5 hours", timedelta(hours=5)),
        ("graceperiod", "5", None),
        ("max_attempts", "5", 5),
        ("graded", "true", True),
    ],
)
@pytest.mark.parametrize("block_type", ["chapter", "html"])
def test_a_setting_is_read_the_same_where_it_stands_and_below(tmp_path, block_type, name, text, value):
    inside = '<sequential><vertical><html url_name="x">A</html></vertical></sequential>'
    course = course_of(tmp_path, f'<chapter url_name="x" {name}="{text}">{inside}</chapter>')
    assert course.problems == []
    assert getattr(block_of(course, block_type, "x"), name) == value


@pytest.mark.parametrize("where", ["attributes", "policy.json"])
@pytest.mark.parametrize(("name", "value"), [("due", "someday"), ("max_attempts", "many"), ("due", [1])])
def test_a_setting_that_nothing_can_read_is_named_and_left_out(tmp_path, where, name, value):
    inside = '<sequential><html url_name="h">A</html></sequential>'
    attribute = f'{name}="{value}"' if where == "attributes" else ""
    policy = {} if attribute else {"policies/run/policy.json": json.dumps({"chapter/c": {name: value}})}
    course = course_of(tmp_path, f'\n<chapter url_name="c" {attribute}>{inside}</chapter>', policy)
    assert getattr(block_of(course, "html", "h"), name) is None
    assert not course.root.children[0].unavailable
    assert course.problems[0].startswith(f"{tmp_path / 'course.xml'}, line 2: {name}=")
    assert "cannot be read" in course.problems[0]


def test_what_stands_beside_a_pointer_is_named(tmp_path):
    """Only the file counts, as in Open edX."""
    course = unit_of(
        course_files(tmp_path, {"problem/p.xml": f"<problem>{PROBLEM}</problem>"}),
        '\n<problem url_name="p" max_attempts="1" display_name="P"/>',
    )
    (problem,) = course.problems
    assert problem.startswith(f"{tmp_path / 'course.xml'}, line 2: beside the url_name")
    assert "display_name, max_attempts" in problem


# What is wrong with a course


@pytest.mark.parametrize(
    ("files", "where", "words"),
    [
        ({}, "course.xml", "missing"),
        ({"course.xml": "<course>\n<chapter>\n</course>"}, "course.xml, line 3", "chapter"),
        ({"course.xml": ""}, "course.xml, line 1", "empty"),
        ({"course.xml": "<library/>"}, "course.xml, line 1", "the root must be <course"),
        ({"course.xml": '<course org="O" course="C"/>'}, "course.xml, line 1", "url_name"),
        ({"course.xml": '<course org="O O" course="C" url_name="r"/>'}, "course.xml, line 1", "course key"),
        (
            {"course.xml": '<course org="O" course="C" url_name="run"/>', "course/run.xml": "<course>\n<oops"},
            "course/run.xml, line 2",
            "",
        ),
        (
            {"course.xml": COURSE_XML.format(""), "policies/run/policy.json": '{\n"a": nonsense}'},
            "policies/run/policy.json, line 2",
            "not JSON",
        ),
        (
            {"course.xml": COURSE_XML.format(""), "policies/run/policy.json": "[1]"},
            "policies/run/policy.json",
            "an object of objects is expected",
        ),
        (
            {"course.xml": COURSE_XML.format(""), "policies/run/grading_policy.json": "{"},
            "policies/run/grading_policy.json, line 1",
            "not JSON",
        ),
        (
            {"course.xml": f'<!DOCTYPE course [<!ENTITY nb "x">]>\n{COURSE_XML.format("&nb;")}'},
            "course.xml, line 2",
            "the entity &nb; is not expanded",
        ),
        (
            {
                "course.xml": COURSE_XML.format(""),
                "policies/run/policy.json": '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
            },
            "policies/run/policy.json",
            "nested too deeply",
        ),
        ({"a/course.xml": "<course/>", "b/library.xml": "<library/>"}, "", "several courses (a, b)"),
    ],
)
def test_the_error_names_the_file_the_line_and_what_is_wrong(tmp_path, files, where, words):
    course_files(tmp_path, files)
    with pytest.raises(CourseError) as raised:
        read_course(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / where}: ")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        (None, "course.xml, line 2", "points to sequential/s.xml, which is missing"),
        ("\n\n<vertical/>", "sequential/s.xml, line 3", "<sequential> is expected here, not <vertical>"),
        ("<sequential>\n<oops", "sequential/s.xml, line 2", ""),
    ],
    ids=["missing", "another block's", "broken"],
)
def test_a_file_that_cannot_be_read_takes_nothing_else_with_it(tmp_path, ada, text, where, reason):
    """A card stands in its place."""
    inside = '<sequential url_name="s"/><sequential><html url_name="h">A</html></sequential>'
    body = f"<chapter>\n{inside}</chapter>"
    course = course_of(tmp_path, body, {} if text is None else {"sequential/s.xml": text})
    (problem,) = course.problems
    assert problem.startswith(f"{tmp_path / where}: ")
    assert reason in problem
    key = key_in(course, "sequential", "s")
    card = runtime(course, ada).get_block(key).render("student_view").content
    assert escape(reason) in card
    assert where in card
    assert str(tmp_path) not in card
    assert block_of(course, "html", "h").data == "A"


@pytest.mark.parametrize(
    ("content", "where", "reason"),
    [
        ("<html>\n\u00e9</html>".encode("latin-1"), ", line 2", "Invalid bytes in character encoding"),
        (gzip.compress(b"<html>A</html>"), ", line 1", "Start tag expected"),
        (b"<html>" + b"a" * MAX_XML + b"</html>", "", "it is larger than 10 MiB"),
    ],
    ids=["not UTF-8", "compressed", "large"],
)
def test_a_file_of_other_bytes_than_xml_says_what_is_wrong(tmp_path, content, where, reason):
    course_files(tmp_path, {"html/h.xml": ""})
    (tmp_path / "html" / "h.xml").write_bytes(content)
    (problem,) = unit_of(tmp_path, '<html url_name="h"/>').problems
    assert problem.startswith(f"{tmp_path / 'html' / 'h.xml'}{where}: {reason}")


def test_a_policy_that_cannot_be_opened_is_an_error(tmp_path, monkeypatch):
    course_files(tmp_path, {"course.xml": COURSE_XML.format(""), "policies/run/policy.json": "{}"})

    def refuse(path, *args, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(CourseError, match=r"policy\.json: the file cannot be read \(Permission denied\)"):
        read_course(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CourseError, match=f"{tmp_path / 'nowhere'}: there is no such folder"):
        read_course(tmp_path / "nowhere")


@pytest.mark.parametrize("block", ["chapter", "problem"])
def test_a_pointer_does_not_leave_the_folder(tmp_path, block):
    (tmp_path / "secret.xml").write_text(f'<{block} display_name="SECRET"/>')
    inside = f'<{block} url_name="..:..:secret"/>'
    course = course_of(tmp_path / "course", f"<chapter><sequential>{inside}</sequential></chapter>")
    (problem,) = course.problems
    assert "points outside the course's folder" in problem
    assert "SECRET" not in repr([vars(found) for found in course.root.descendants()])


@pytest.mark.parametrize("block_type", ["html", "problem"])
def test_a_file_that_a_block_names_is_not_read_outside_the_folder(tmp_path, block_type):
    for ending in ("html", "xml"):
        (tmp_path / f"secret.{ending}").write_text(f"<{block_type}>SECRET</{block_type}>")
    course = unit_of(tmp_path / "course", f'<{block_type} url_name="h" filename="../secret"/>')
    block = course.block(key_in(course, block_type, "h"))
    assert block.unavailable
    assert "SECRET" not in repr(block)


@pytest.mark.parametrize("block_type", ["html", "problem", "poll", "vertical"])
@pytest.mark.parametrize("entity", ["out", "in"])
def test_entities_are_refused_and_named(tmp_path, block_type, entity):
    """Expanded, they would read any file; left out, a text would lack words, and ids would change."""
    (tmp_path / "secret.txt").write_text("SECRET")
    out = f'<!ENTITY out SYSTEM "{(tmp_path / "secret.txt").as_uri()}">'
    head = f'<!DOCTYPE {block_type} [{out}<!ENTITY in "EXPANDED">]>'
    text = f"{head}\n<{block_type}><p>\n&{entity};</p></{block_type}>"
    inside = f'<{block_type} url_name="e"/><html url_name="h">A</html>'
    body = f"<chapter><sequential><vertical>{inside}</vertical></sequential></chapter>"
    course = course_of(tmp_path / "course", body, {f"{block_type}/e.xml": text})
    assert course.block(key_in(course, block_type, "e")).authored == {}
    (problem,) = course.problems
    assert f"{block_type}/e.xml, line 3: the entity &{entity}; is not expanded" in problem
    assert block_of(course, "html", "h").data == "A"


@pytest.mark.parametrize("body", ['<chapter display_name="&a9;"/>', "<chapter>&a9;</chapter>"])
def test_a_bomb_of_entities_is_an_error(tmp_path, body):
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    text = f'<!DOCTYPE course [<!ENTITY a0 "boom">{entities}]>{COURSE_XML.format(body)}'
    with pytest.raises(CourseError, match="amplification"):
        read_course(course_files(tmp_path, {"course.xml": text}))


# Blocks that cannot be loaded


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("no-such-block", "No installed package provides <no-such-block>"),
        ("test-not-importable", "The package of <test-not-importable> cannot be imported: ModuleNotFoundError"),
        ("test-unparsable", "could not read its OLX: ValueError: no <question> in it"),
    ],
)
def test_a_block_that_cannot_be_loaded_does_not_stop_the_others(tmp_path, odd_blocks, tag, reason):
    course = unit_of(tmp_path, f'<html url_name="a">A</html>\n<{tag} url_name="x"/>\n<html url_name="b">B</html>')
    assert names(course)[-3:] == ["html/a", f"{tag}/x", "html/b"]
    assert reason in course.block(key_in(course, tag, "x")).unavailable
    (problem,) = course.problems
    assert problem.startswith(f"{tmp_path / 'course.xml'}, line 2: ")
    assert reason in problem
    assert block_of(course, "html", "b").data == "B"


@pytest.mark.parametrize("name", ["a b", "a/b", "a+b", "n" * 300], ids=["space", "slash", "plus", "too long"])
def test_a_name_that_makes_no_key_leaves_out_that_block_only(tmp_path, name):
    """Keys of more than 255 characters cannot be stored."""
    course = unit_of(tmp_path, f'<html url_name="a">A</html>\n<html url_name="{name}">B</html><html>C</html>')
    assert names(course)[:4] == ["chapter/chapter", "sequential/section", "vertical/unit", "html/a"]
    assert len(names(course)) == 5
    (problem,) = course.problems
    assert problem.startswith(f"{tmp_path / 'course.xml'}, line 2: ")


# Whole courses


def test_the_example_course_has_no_problems():
    course = current_course()
    assert course.problems == []
    assert len(course.blocks) == 75
    assert course.root.title == "How memory works"


def test_a_block_does_not_show_its_whole_course(tmp_path):
    """Django's error page writes out every local: with a course in them it took minutes."""
    course = course_of(tmp_path, "<chapter><sequential><html url_name='h'/></sequential></chapter>")
    assert len(repr(course)) < 100
    assert len(repr(course.block(key_in(course, "html", "h")))) < 100

"""Courses in memory, in snapshots and in files: which of them a process gets, and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.utils.html import escape
from opaque_keys.edx.keys import CourseKey
from xblock.fields import Scope

from fieldstone.errors import CourseError
from fieldstone.runtime.courses import source as sources
from fieldstone.runtime.courses import version as versions
from fieldstone.runtime.courses.cache_folder import KEPT, CacheFolder
from fieldstone.runtime.courses.snapshot import NotStorableError, as_text
from fieldstone.runtime.courses.source import LOOK_AGAIN, TRIES, CourseSource
from fieldstone.workbench.courses import current_course
from tests.runtime.courses import COURSE_XML, course_files, key_in, runtime
from tests.runtime.test_demo_course import DEMO_COURSE

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "example" / "course"


def body(text):
    return COURSE_XML.format(
        '<chapter url_name="c" max_attempts="3"><sequential><vertical url_name="v">'
        f'<html url_name="h">{text}</html><problem url_name="p"><p/></problem><no-such-block url_name="x"/>'
        '<library_content url_name="pool" max_count="1"><html url_name="in"/></library_content>'
        "</vertical></sequential></chapter>"
    )


@pytest.fixture
def cache(tmp_path):
    return CacheFolder(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path):
    policies = {"policies/run/grading_policy.json": '{"GRADE_CUTOFFS": {"Pass": 0.5}}'}
    return course_files(tmp_path / "course", {"course.xml": body("first"), **policies})


@pytest.fixture
def readings(monkeypatch):
    """The courses that were read from their files, by the reader itself."""
    read = []
    reader = sources.read_course

    def counted(*args):
        read.append(args)
        return reader(*args)

    monkeypatch.setattr(sources, "read_course", counted)
    return read


def edit(folder, text):
    """A change of the course; the times of files tell versions apart, however fast a test is."""
    path = folder / "course.xml"
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 1, before + 1))


def words(course):
    return course.block(key_in(course, "html", "h")).authored["data"]


def facts(course):
    """All that a course holds."""
    return [
        (
            str(course.key),
            course.folder,
            course.problems,
            course.policy,
            course.grading_policy,
            course.keeps_files,
        ),
        [
            (key, str(block.usage_key), block.title, block.authored, block.inheritable, block.unavailable)
            for key, block in course.blocks.items()
        ],
        [
            (str(block.usage_key), block.parent and str(block.parent.usage_key))
            for block in course.root.descendants()
        ],
    ]


def kept(name):
    with default_storage.open(f"kept/{name}") as file:
        return file.read()


# Between processes


def test_a_course_out_of_a_snapshot_is_the_course_that_was_read(folder, cache, readings):
    first = CourseSource(folder, cache).course()
    second = CourseSource(folder, cache).course()
    assert len(readings) == 1
    assert facts(second) == facts(first)
    assert facts(sources.read_course(folder)) == facts(first)
    assert first.grading_policy == {"GRADE_CUTOFFS": {"Pass": 0.5}}


def test_its_blocks_work(folder, cache, ada):
    for _ in range(2):
        course = CourseSource(folder, cache).course()
        page = runtime(course, ada)
        problem = page.get_block(key_in(course, "problem", "p"))
        assert problem.max_attempts == 3
        assert problem.get_parent().scope_ids.usage_id == key_in(course, "vertical", "v")
        pool = page.get_block(key_in(course, "library_content", "pool"))
        assert [child.scope_ids.usage_id for child in pool.get_children()] == [key_in(course, "html", "in")]
        assert "first" in page.get_block(key_in(course, "vertical", "v")).render("student_view").content


def test_of_processes_that_start_together_one_reads_the_course(folder, cache):
    """The others wait for it, and take what it has left."""
    script = (
        "import sys, django; django.setup()\n"
        "from pathlib import Path\n"
        "from fieldstone.runtime.courses import source\n"
        "from fieldstone.runtime.courses.cache_folder import CacheFolder\n"
        "read = source.read_course\n"
        "source.read_course = lambda *args: (print('read'), read(*args))[1]\n"
        "sys.stdin.readline()\n"  # all are ready before the first begins
        "course = source.CourseSource(Path(sys.argv[1]), CacheFolder(Path(sys.argv[2]))).course()\n"
        "print(len(course.blocks))\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONWARNINGS": "ignore"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), str(cache.path)],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = [process.communicate()[0].split() for process in processes]
    assert sorted(map(len, lines)) == [1, 1, 2], lines
    assert {line[-1] for line in lines} == {str(len(CourseSource(folder, cache).course().blocks))}


@pytest.mark.parametrize("damage", ["torn", "changed", "another format", "no course", "empty"])
def test_a_damaged_snapshot_is_made_anew(folder, cache, readings, damage):
    course = CourseSource(folder, cache).course()
    (path,) = cache.path.glob("*.json")
    content = path.read_bytes()
    text = content.partition(b"\n")[2].decode()
    if damage == "torn":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        path.write_bytes(content.replace(b"first", b"other"))
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        data = json.loads(text)
        cache.write(path.name, json.dumps({**data, "format": 0} if damage == "another format" else [1]))
    again = CourseSource(folder, cache).course()
    assert len(readings) == 2
    assert facts(again) == facts(course)
    assert path.read_bytes() == content


def test_a_snapshot_is_not_pickled(folder, cache):
    CourseSource(folder, cache).course()
    (path,) = cache.path.glob("*.json")
    assert json.loads(path.read_bytes().partition(b"\n")[2])["key"] == "course-v1:Org+Course+run"


def test_nobody_else_can_write_to_the_cache(folder, cache):
    CourseSource(folder, cache).course()
    assert cache.path.stat().st_mode & 0o077 == 0


def test_a_cache_that_others_can_write_to_is_not_used(folder, cache, readings, caplog):
    cache.path.mkdir()
    cache.path.chmod(0o777)
    for _ in range(2):
        assert words(CourseSource(folder, cache).course()) == "first"
    assert len(readings) == 2
    assert list(cache.path.iterdir()) == []
    assert "COURSE_CACHE" in caplog.text


def test_a_cache_behind_a_link_is_not_used(tmp_path, folder, caplog):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert words(CourseSource(folder, CacheFolder(tmp_path / "link")).course()) == "first"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "COURSE_CACHE" in caplog.text


def test_other_settings_make_another_version(folder, cache, readings, settings):
    CourseSource(folder, cache).course()
    settings.FIELDSTONE = {**settings.FIELDSTONE, "BLOCK_ALIASES": {"another": "html"}}
    CourseSource(folder, cache).course()
    assert len(readings) == 2


def test_old_snapshots_are_deleted(folder, cache):
    for number in range(KEPT + 3):
        edit(folder, body(f"version {number}"))
        assert words(CourseSource(folder, cache).course()) == f"version {number}"
    assert len(list(cache.path.glob("*.json"))) == KEPT


# Changes


def test_a_process_keeps_its_course_until_it_is_told_otherwise(folder, cache):
    source = CourseSource(folder, cache)
    old = source.course()
    edit(folder, body("second"))
    assert source.course() is old
    new = source.reload()
    assert source.course() is new
    assert (words(old), words(new)) == ("first", "second"), "a request goes on with the course it has"


def test_a_change_is_seen_at_the_next_look(folder, cache):
    now = [0.0]
    source = CourseSource(folder, cache, clock=lambda: now[0])
    old = source.current()
    edit(folder, body("second"))
    now[0] += LOOK_AGAIN / 2
    assert source.current() is old, "it does not look at each request"
    now[0] += LOOK_AGAIN
    assert words(source.current()) == "second"


def test_a_change_of_the_same_size_and_time_is_seen(folder, cache):
    """As of a copy that keeps times. The version of an archive is its content."""
    path = folder / "course.xml"
    source = CourseSource(folder, cache)
    source.course()
    before = path.stat().st_mtime_ns
    path.write_text(body("again"))
    os.utime(path, ns=(before, before))
    assert words(source.reload()) == "again"


def test_what_an_editor_puts_into_the_folder_and_takes_away_is_no_error(folder, cache, monkeypatch):
    """It vanishes between the listing of the folder and the look at it."""
    course_files(folder, {"static/a.txt": "A"})
    scandir = os.scandir

    class Vanishing:
        def __init__(self, place):
            self.entries = [*scandir(place), *self.gone(place)]

        def gone(self, place):
            (Path(place) / ".swp").touch()
            (Path(place) / ".lock").mkdir()
            entries = [entry for entry in scandir(place) if entry.name in (".swp", ".lock")]
            (Path(place) / ".swp").unlink()
            (Path(place) / ".lock").rmdir()
            return entries

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *error):
            pass

    version = versions.version_of(folder)
    monkeypatch.setattr(
        versions.os, "scandir", lambda place: Vanishing(place) if Path(place).is_dir() else scandir(place)
    )
    assert versions.version_of(folder) == version


def test_a_course_that_changes_while_it_is_read_is_read_again(folder, cache, monkeypatch):
    """Else it is half of each: the first file is the old one, the last the new."""
    reader = sources.read_course

    def read(*args):
        monkeypatch.setattr(sources, "read_course", reader)
        course = reader(*args)
        edit(folder, body("second"))
        return course

    monkeypatch.setattr(sources, "read_course", read)
    assert words(CourseSource(folder, cache).course()) == "second"


def test_a_course_that_never_rests_is_read_at_each_look(folder, cache, monkeypatch, readings):
    reader = sources.read_course
    numbers = iter(range(100))

    def read(*args):
        course = reader(*args)
        edit(folder, body(f"change {next(numbers)}"))
        return course

    monkeypatch.setattr(sources, "read_course", read)
    source = CourseSource(folder, cache)
    assert words(source.course()) == f"change {TRIES - 2}", "the best that there is"
    assert len(readings) == TRIES
    monkeypatch.setattr(sources, "read_course", reader)
    assert words(source.reload()) == f"change {TRIES - 1}"


def test_an_unexpected_error_is_told_at_each_look_too(folder, cache, monkeypatch):
    source = CourseSource(folder, cache)
    old = source.course()
    edit(folder, body("second"))
    with monkeypatch.context() as broken:
        broken.setattr(sources, "read_course", lambda *args: 1 / 0)
        for look in (source.reload, source.current, source.current):
            with pytest.raises(ZeroDivisionError):
                look()
        assert source.course() is old
    assert words(source.current()) == "second"


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_files_that_come_and_go_are_changes(folder, cache, change):
    course_files(folder, {"static/a.txt": "A"})
    source = CourseSource(folder, cache)
    old = source.course()
    path = folder / "static" / "a.txt"
    if change == "added":
        course_files(folder, {"static/b.txt": "B"})
    elif change == "removed":
        path.unlink()
    else:
        path.rename(folder / "static" / "c.txt")
    assert source.reload() is not old


def test_what_has_not_changed_is_not_read_again(folder, cache, readings):
    source = CourseSource(folder, cache)
    assert source.course() is source.reload() is source.course()
    assert len(readings) == 1


def test_a_broken_change_is_told_and_the_old_course_stays(folder, cache, readings):
    source = CourseSource(folder, cache)
    old = source.course()
    edit(folder, "<course>")
    for _ in range(2):
        with pytest.raises(CourseError, match=r"course\.xml, line 1"):
            source.reload()
        with pytest.raises(CourseError, match=r"course\.xml, line 1"):
            source.current()
    assert source.course() is old
    assert len(readings) == 2, "the broken version is read once"
    edit(folder, body("mended"))
    assert words(source.reload()) == "mended"


def test_a_missing_folder_says_so_each_time_and_may_appear(tmp_path, folder, cache):
    source = CourseSource(tmp_path / "later", cache)
    for _ in range(2):
        with pytest.raises(CourseError, match="there is no such folder"):
            source.current()
    folder.rename(tmp_path / "later")
    assert words(source.current()) == "first"


def test_another_release_behind_the_same_link_is_another_course(tmp_path, folder, cache):
    other = course_files(tmp_path / "other", {"course.xml": body("other")})
    link = tmp_path / "current"
    link.symlink_to(folder)
    source = CourseSource(link, cache)
    old = source.course()
    link.unlink()
    link.symlink_to(other)
    assert words(source.reload()) == "other"
    assert old.folder == folder


@pytest.mark.parametrize("debug", [True, False])
def test_the_workbench_notices_changes_in_development_alone(folder, tmp_path, settings, debug, monkeypatch):
    settings.DEBUG = debug
    settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE": folder, "COURSE_CACHE": tmp_path / "cache"}
    assert words(current_course()) == "first"
    edit(folder, body("second"))
    monkeypatch.setattr(sources, "LOOK_AGAIN", 0)
    assert words(current_course()) == ("second" if debug else "first")


# Files that blocks keep


def test_the_files_that_blocks_keep_are_there_with_a_snapshot_too(
    folder, cache, readings, odd_blocks, settings, tmp_path
):
    """It puts them there as it reads its OLX, as SCORM does with its package; a snapshot alone would lack them."""
    settings.MEDIA_ROOT = str(tmp_path / "media")
    edit(folder, COURSE_XML.format('<chapter><sequential><test-keeps-files url_name="k"/></sequential></chapter>'))
    for _ in range(2):
        assert CourseSource(folder, cache).course().keeps_files
        assert kept("k") == b"a package"
    assert len(readings) == 1
    settings.MEDIA_ROOT = str(tmp_path / "another")
    CourseSource(folder, cache).course()
    assert len(readings) == 2
    assert kept("k") == b"a package"


def test_nothing_is_stored_for_courses_whose_blocks_keep_no_files(folder, cache, settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path / "media")
    CourseSource(folder, cache).course()
    assert not (tmp_path / "media").exists()


@pytest.mark.parametrize(
    "data",
    [
        '{"$usage_key": 5}',
        '{"$usage_key": ["html", "x"]}',
        "{1: one, 2: {3: x}}",
        "{null: a}",
        '{1: a, "1": b}',
    ],
    ids=["looks like a key", "is like a key", "numbers", "null", "two that would be one"],
)
def test_a_value_that_json_would_change_is_read_by_each_process(folder, cache, readings, data):
    """``drag-and-drop-v2`` takes any YAML."""
    block = f'<drag-and-drop-v2 url_name="d" data="{escape(data)}"/>'
    edit(folder, COURSE_XML.format(f"<chapter><sequential>{block}</sequential></chapter>"))
    fresh, first, second = sources.read_course(folder), *(CourseSource(folder, cache).course() for _ in range(2))
    assert len(readings) == 3
    assert list(cache.path.glob("*.json")) == []
    for course in (first, second):
        assert repr(facts(course)) == repr(facts(fresh))


def test_numbers_that_are_none_are_kept(folder, cache, readings):
    block = '<drag-and-drop-v2 url_name="d" data="{a: .nan, b: [.inf, 1.0, 1, true]}"/>'
    edit(folder, COURSE_XML.format(f"<chapter><sequential>{block}</sequential></chapter>"))
    first, second = (CourseSource(folder, cache).course() for _ in range(2))
    assert len(readings) == 1
    assert repr(facts(second)) == repr(facts(first))


def test_the_keys_of_another_course_are_not_taken_for_its_own(folder):
    course = sources.read_course(folder)
    foreign = CourseKey.from_string("course-v1:Other+Course+run").make_usage_key("html", "h")
    course.block(key_in(course, "html", "h")).authored["data"] = [foreign]
    with pytest.raises(NotStorableError, match="block@h"):
        as_text(course)


@pytest.mark.parametrize("place", [EXAMPLE, DEMO_COURSE], ids=["example", "demo"])
def test_every_field_is_the_same_with_a_snapshot(place, cache, ada, readings):
    if not place.is_dir():
        pytest.skip("Open edX's demo course is not here")
    fresh = sources.read_course(place)
    _, kept = (CourseSource(place, cache).course() for _ in range(2))
    assert len(readings) == 2
    assert facts(kept) == facts(fresh)
    values, others = (_values(course, ada) for course in (fresh, kept))
    assert len(values) > 1000
    assert values == others


def _values(course, learner):
    """Type and value of all that an author wrote, or did not write, in each block."""
    page = runtime(course, learner)
    blocks = [page.get_block(block.usage_key) for block in course.blocks.values()]
    return {
        (str(block.scope_ids.usage_id), name): repr((type(getattr(block, name)), getattr(block, name)))
        for block in blocks
        for name, field in block.fields.items()
        if field.scope in (Scope.content, Scope.settings, Scope.children, Scope.parent)
    }


def test_a_value_that_json_does_not_have_is_read_by_each_process(folder, cache, readings, odd_blocks, caplog):
    edit(folder, COURSE_XML.format('<chapter><sequential><test-not-json url_name="j"/></sequential></chapter>'))
    for _ in range(2):
        course = CourseSource(folder, cache).course()
        assert course.problems == []
        assert course.block(key_in(course, "test-not-json", "j")).authored["data"] == {1, 2}
    assert len(readings) == 2
    assert "block@j" in caplog.text

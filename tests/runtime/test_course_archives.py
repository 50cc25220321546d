"""Courses in archives, ``course.tar.gz``: somebody's upload."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from fieldstone.errors import CourseError
from fieldstone.runtime.courses import archive as archives
from fieldstone.runtime.courses.cache_folder import KEPT, CacheFolder
from fieldstone.runtime.courses.source import CourseSource
from tests.runtime.courses import COURSE_XML, course_files, key_in

HTML = COURSE_XML.format('<chapter><sequential url_name="s"><html url_name="h">{}</html></sequential></chapter>')


@pytest.fixture
def cache(tmp_path):
    return CacheFolder(tmp_path / "cache")


def packed(folder, files, mode="w:gz"):
    """An archive as Open edX exports it: one folder ``course`` with all."""
    path = folder / "course.tar.gz"
    with tarfile.open(path, mode) as archive:
        archive.add(course_files(folder / "files", files), "course")
    return path


def packed_members(folder, *members):
    path = folder / "course.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def member(name, content=b"", **more):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in more.items():
        setattr(info, attribute, value)
    return info, content


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:xz"])
def test_an_archive_is_read_as_its_folder_is(tmp_path, cache, mode):
    path = packed(tmp_path, {"course.xml": HTML.format("Words"), "static/notes.txt": "kept"}, mode)
    course = CourseSource(path, cache).course()
    assert course.problems == []
    assert course.block(key_in(course, "html", "h")).authored["data"] == "Words"
    assert (course.folder / "static" / "notes.txt").read_text() == "kept"


def test_an_archive_is_unpacked_once(tmp_path, cache):
    path = packed(tmp_path, {"course.xml": HTML.format("Words")})
    first = CourseSource(path, cache).course().folder
    (first / "mark").touch()
    again = CourseSource(path, cache).course().folder
    assert again == first
    assert (again / "mark").exists()


def test_another_content_under_the_same_name_is_another_course(tmp_path, cache):
    source = CourseSource(packed(tmp_path, {"course.xml": HTML.format("old")}), cache)
    old = source.course()
    packed(tmp_path, {"course.xml": HTML.format("new and longer")})
    assert source.course() is old
    new = source.reload()
    assert new.folder != old.folder
    assert (old.folder / "course.xml").exists(), "requests still have the old course"
    assert new.block(key_in(new, "html", "h")).authored["data"] == "new and longer"


def test_only_the_newest_versions_stay_unpacked(tmp_path, cache):
    for number in range(KEPT + 3):
        CourseSource(packed(tmp_path, {"course.xml": HTML.format(number)}), cache).course()
    assert len(list(cache.path.glob("*.course"))) == KEPT
    assert len(list(cache.path.glob("*.json"))) == KEPT


def test_problems_name_the_archive(tmp_path, cache):
    path = packed(tmp_path, {"course.xml": COURSE_XML.format('\n<chapter url_name="gone"/>')})
    (problem,) = CourseSource(path, cache).course().problems
    assert problem.startswith(f"{path / 'course' / 'course.xml'}, line 2: ")


@pytest.mark.parametrize(
    "evil",
    [
        member("../outside", b"EVIL"),
        member("/tmp/outside", b"EVIL", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member("course/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("course/link", type=tarfile.SYMTYPE, linkname="../../../outside"),
        member("course/device", type=tarfile.CHRTYPE),
    ],
    ids=["path", "hard link", "link", "relative link", "device"],
)
def test_an_archive_cannot_reach_out_of_its_folder(tmp_path, cache, evil):
    path = packed_members(tmp_path, member("course/course.xml", HTML.encode()), evil)
    with pytest.raises(CourseError, match=r"course\.tar\.gz: it holds something that is not safe"):
        CourseSource(path, cache).course()
    _assert_nothing_is_left(cache)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_BYTES"])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, cache, monkeypatch, limit):
    monkeypatch.setattr(archives, limit, {"MAX_FILES": 3, "MAX_BYTES": 1000}[limit])
    zeros = [member(f"course/{number}", b"0" * 400) for number in range(4)]
    with pytest.raises(CourseError, match="it unpacks to more than"):
        CourseSource(packed_members(tmp_path, *zeros), cache).course()
    _assert_nothing_is_left(cache)


@pytest.mark.parametrize("cut", [0, 10, 200, -20])
def test_a_damaged_archive_is_an_error(tmp_path, cache, cut):
    path = packed(tmp_path, {"course.xml": HTML.format(os.urandom(2000).hex())})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CourseError, match=r"damaged|no archive"):
        CourseSource(path, cache).course()
    _assert_nothing_is_left(cache)


def test_a_changed_byte_is_noticed(tmp_path, cache):
    path = packed(tmp_path, {"course.xml": HTML.format(os.urandom(2000).hex())})
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum of gzip
    path.write_bytes(content)
    with pytest.raises(CourseError, match="damaged"):
        CourseSource(path, cache).course()


def test_a_file_that_is_no_archive_says_what_to_name(tmp_path, cache):
    path = tmp_path / "course.xml"
    path.write_text(HTML)
    with pytest.raises(CourseError, match=r"name a folder with a course\.xml, or a \.tar\.gz of one"):
        CourseSource(path, cache).course()


def test_without_a_place_to_unpack_it_says_which_setting_to_change(tmp_path):
    (tmp_path / "file").touch()
    path = packed(tmp_path, {"course.xml": HTML})
    with pytest.raises(CourseError, match="COURSE_CACHE"):
        CourseSource(path, CacheFolder(tmp_path / "file" / "cache")).course()


def _assert_nothing_is_left(cache):
    assert [path.name for path in cache.path.iterdir() if path.suffix != ".lock"] == []

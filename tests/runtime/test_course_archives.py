"""Courses in archives, ``course.tar.gz``: somebody's upload."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from fieldstone.errors import CourseError
from fieldstone.runtime.courses import archive as archives
from fieldstone.runtime.courses.cache_folder import KEPT, CacheFolder
from fieldstone.runtime.courses.source import CourseSource
from tests.runtime.courses import COURSE_XML, course_files, key_in

ROOT = Path(__file__).parents[2]
HTML = COURSE_XML.format('<chapter><sequential url_name="s"><html url_name="h">{}</html></sequential></chapter>')


@pytest.fixture
def cache(tmp_path):
    return CacheFolder(tmp_path / "cache")


def packed(folder, files, mode="w:gz"):
    """An archive as Open edX exports it: one folder ``course`` with all."""
    path, course = folder / "course.tar.gz", course_files(folder / "files", files)
    with tarfile.open(path, mode) as archive:
        archive.add(course, "course")
    shutil.rmtree(folder / "files")
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


@pytest.mark.parametrize("in_place", [True, False])
def test_an_archive_of_the_same_size_and_time_is_told_apart(tmp_path, cache, in_place):
    path = packed(tmp_path, {"course.xml": HTML.format("first")}, "w")
    source, before = CourseSource(path, cache), path.stat()
    source.course()
    new = packed(tmp_path / "new", {"course.xml": HTML.format("again")}, "w")
    if in_place:
        path.write_bytes(new.read_bytes())
    else:
        new.replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert _words(source.reload()) == "again"


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
        member("course/link", type=tarfile.SYMTYPE, linkname="course.xml"),
        member("/tmp/outside", b"EVIL"),
        member("course/a", pax_headers={"path": "../outside"}),
        member("course/a", pax_headers={"path": "course/a\0b"}),
        member("course/" + "a/" * 1500),
        member("course/static/caf\udce9.txt"),
        member("course/a", pax_headers={"size": "-512"}),
    ],
    ids=[
        "path",
        "hard link",
        "link",
        "relative link",
        "device",
        "link inside",
        "absolute path",
        "path of a header",
        "path with a zero",
        "too deep",
        "not UTF-8",
        "negative size",
    ],
)
def test_an_archive_cannot_reach_out_of_its_folder(tmp_path, cache, monkeypatch, evil):
    path = packed_members(tmp_path, member("course/course.xml", HTML.encode()), evil)
    for guard in ({"filter": "data"}, {}):  # the first releases of Python 3.11 have no filter
        monkeypatch.setattr(archives, "_FILTER", guard)
        with pytest.raises(CourseError, match=r"course\.tar\.gz: it holds something that is not safe"):
            CourseSource(path, cache).course()
        _assert_nothing_is_left(cache)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    "headers",
    [{"GNU.sparse.map": "a,b"}, {"GNU.sparse.major": "0", "GNU.sparse.minor": "0", "GNU.sparse.size": "abc"}],
    ids=["map", "size"],
)
def test_garbage_in_headers_is_damage(tmp_path, cache, headers):
    path = packed_members(tmp_path, member("course/course.xml"), member("course/a", pax_headers=headers))
    with pytest.raises(CourseError, match="the archive is damaged"):
        CourseSource(path, cache).course()
    _assert_nothing_is_left(cache)


@pytest.mark.parametrize("time", ["nan", "1e30"])
def test_times_in_an_archive_do_not_matter(tmp_path, cache, time):
    evil = member("course/a", pax_headers={"mtime": time})
    path = packed_members(tmp_path, member("course/course.xml", HTML.encode()), evil)
    assert CourseSource(path, cache).course().problems == []


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "later"])
def test_a_long_header_is_not_read(tmp_path, cache, first):
    """It would be in memory whole, before its end shows what it is for."""
    size = 64 * 1024**2
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, size
    path = tmp_path / "course.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"" if first else tarfile.TarInfo("course").tobuf())
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(size))
    tracemalloc.start()
    try:
        with pytest.raises(CourseError, match="not safe to unpack: a header of"):
            CourseSource(path, cache).course()
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()


def test_folders_that_are_in_use_stay(tmp_path, cache):
    """By another process, or by a request that began before."""
    first = CourseSource(packed(tmp_path, {"course.xml": HTML.format("first")}), cache).course()
    for number in range(KEPT + 1):
        CourseSource(packed(tmp_path, {"course.xml": HTML.format(number)}), cache).course()
    assert (first.folder / "course.xml").exists()
    assert len(list(cache.path.glob("*.course"))) == KEPT + 1
    del first
    CourseSource(packed(tmp_path, {"course.xml": HTML.format("last")}), cache).course()
    assert len(list(cache.path.glob("*.course"))) == KEPT
    assert len(list(cache.path.glob("*.course.*"))) == 2 * KEPT, "nor is anything left beside them"


def test_an_old_version_that_is_used_again_is_a_new_one(tmp_path, cache):
    path = packed(tmp_path, {"course.xml": HTML.format("first")})
    content, first = path.read_bytes(), CourseSource(path, cache).course().folder
    for number in range(KEPT - 1):
        CourseSource(packed(tmp_path, {"course.xml": HTML.format(number)}), cache).course()
    path.write_bytes(content)
    assert CourseSource(path, cache).course().folder == first
    CourseSource(packed(tmp_path, {"course.xml": HTML.format("last")}), cache).course()
    assert first.exists()


def test_a_broken_version_takes_no_folder_away(tmp_path, cache):
    source = CourseSource(packed(tmp_path, {"course.xml": HTML.format("good")}), cache)
    good = source.course()
    for number in range(KEPT + 1):
        packed(tmp_path, {"course.xml": f"<course>{number}"})
        with pytest.raises(CourseError, match=r"course\.xml, line 1"):
            source.reload()
    assert source.course() is good
    assert (good.folder / "course.xml").exists()


@pytest.mark.parametrize("gone", ["course/static/a.txt", "course", "beside"])
def test_a_folder_that_lost_files_is_unpacked_anew(tmp_path, cache, gone):
    """Systems clean up their folders for temporary files, file by file."""
    path = packed(tmp_path, {"course.xml": HTML, "static/a.txt": "A"})
    (folder,) = {CourseSource(path, cache).course().folder.parent for _ in range(2)}
    lost = folder.with_name(f"{folder.name}.files") if gone == "beside" else folder / gone
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    course = CourseSource(path, cache).course()
    assert (course.folder / "static" / "a.txt").read_text() == "A"
    assert list(cache.path.glob(".new-*")) == []


def test_what_a_killed_process_left_is_cleared_away(tmp_path, cache):
    path = packed(tmp_path, {"course.xml": HTML, "static/a.txt": "A"})
    script = (
        "import os, sys, tarfile, django; django.setup()\n"
        "from pathlib import Path\n"
        "from fieldstone.runtime.courses.cache_folder import CacheFolder\n"
        "from fieldstone.runtime.courses.source import CourseSource\n"
        "extract = tarfile.TarFile.extract\n"
        "tarfile.TarFile.extract = lambda *args, **more: (extract(*args, **more), os._exit(9))\n"
        "CourseSource(Path(sys.argv[1]), CacheFolder(Path(sys.argv[2]))).course()\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", script, str(path), str(cache.path)]
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 9
    assert len(list(cache.path.glob(".new-*"))) == 1
    CourseSource(path, cache).course()
    assert list(cache.path.glob(".new-*")) == []


def test_an_archive_that_is_replaced_while_its_process_waits_is_the_new_course(tmp_path, cache, monkeypatch):
    """And nothing of it is kept as the old one."""
    path = packed(tmp_path, {"course.xml": HTML.format("old")})
    old = path.read_bytes()
    lock = CacheFolder.lock

    def lock_after_an_upload(self, name):
        monkeypatch.setattr(CacheFolder, "lock", lock)
        packed(tmp_path, {"course.xml": HTML.format("new")})
        return lock(self, name)

    monkeypatch.setattr(CacheFolder, "lock", lock_after_an_upload)
    source = CourseSource(path, cache)
    assert _words(source.course()) == "new"
    path.write_bytes(old)
    assert _words(CourseSource(path, cache).course()) == "old"


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


def _words(course):
    return course.block(key_in(course, "html", "h")).authored["data"]

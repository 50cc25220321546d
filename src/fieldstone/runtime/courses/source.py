"""Where a course is, and the version of it that this process has: read once, by one process of all."""

from __future__ import annotations

import hashlib
import logging
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from fieldstone.errors import CourseError
from fieldstone.runtime.course import Course
from fieldstone.runtime.courses.archive import digest_of, unpacked
from fieldstone.runtime.courses.cache_folder import CacheFolder, CacheUnusableError
from fieldstone.runtime.courses.snapshot import NotASnapshotError, NotStorableError, as_text, from_text
from fieldstone.runtime.courses.version import reader_version, version_of
from fieldstone.runtime.olx import read_course
from fieldstone.runtime.olx_files import course_folder

log = logging.getLogger(__name__)

LOOK_AGAIN = 1.0
"""So many seconds pass before ``current`` looks for changes again."""

TRIES = 3
"""So often a course is read when its files are changed meanwhile."""


class CourseSource:
    """A folder or an archive, and its course as it was when this process last looked.

    A ``Course`` that was given out stays as it is: a request ends with the course that it began with.
    """

    def __init__(self, path: Path, cache: CacheFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._cache = cache
        self._clock = clock
        self._lock = Lock()
        self._looked_at = float("-inf")
        self._version = ""
        self._course: Course | None = None
        self._error: CourseError | None = None  # of that version; the course is then an older one
        self._archive_digest: tuple[object, str] = (None, "")

    def course(self) -> Course:
        """The course as it was when it was first asked for, or last reloaded. Raises ``CourseError``."""
        with self._lock:
            return self._course or self._look()

    def current(self) -> Course:
        """The course as it is now; a change is seen within ``LOOK_AGAIN`` seconds. Raises ``CourseError``."""
        with self._lock:
            just_looked = self._clock() - self._looked_at < LOOK_AGAIN
            return self._course if just_looked and self._course and not self._error else self._look()

    def reload(self) -> Course:
        """The course as it is now, which ``course`` gives from now on.

        Raises ``CourseError``; then ``course`` goes on giving the old one.
        """
        with self._lock:
            return self._look()

    def _look(self) -> Course:
        """Read the course, unless its version is the one that was read last."""
        version = self._version_now()
        self._looked_at = self._clock()
        if version != self._version or (self._course is None and self._error is None):
            try:
                self._read_settled(version)
            except Exception:  # no version is known for good then: the next look reads again
                self._version, self._looked_at = "", float("-inf")
                raise
        if self._error is not None or self._course is None:
            raise (self._error or CourseError(self._path, "it was not read")).with_traceback(None)
        return self._course

    def _read_settled(self, version: str) -> None:
        """Read the course, and again when files were changed meanwhile: it may be half of each."""
        for _ in range(TRIES):
            course, error = self._course, None
            try:
                course = self._read(version)
            except CourseError as raised:
                error = raised
            read, version = version, self._version_now()
            if read == version:
                break
        else:
            version = ""  # the next look reads it again
        self._version, self._course, self._error = version, course, error

    def _version_now(self) -> str:
        if self._path.is_file():
            found = self._path.stat()
            facts = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if self._archive_digest[0] != facts:
                self._archive_digest = (facts, digest_of(self._path))
            text = self._archive_digest[1] + reader_version()
            return hashlib.sha256(text.encode()).hexdigest()[:32]
        try:
            return version_of(self._path.resolve())
        except FileNotFoundError as error:
            raise CourseError(self._path, "there is no such folder; name one that holds a course.xml") from error
        except OSError as error:
            raise CourseError(self._path, f"the folder cannot be listed ({error.strerror})") from error

    def _read(self, version: str) -> Course:
        """From the snapshot that a process has left, else from the files, leaving one."""
        # By the place that links lead to now: another release behind the same link is another course.
        name = hashlib.sha256(str(self._path.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
        try:
            with self._cache.lock(name):
                return self._read_alone(name, version)
        except CacheUnusableError as error:
            if self._path.is_file():
                raise CourseError(self._path, f"there is nowhere to unpack it: {error}") from error
            log.warning("Each process reads the course %s for itself: %s", self._path, error)
            return read_course(self._path.resolve(), self._path)

    def _read_alone(self, name: str, version: str) -> Course:
        folder = self._path.resolve()
        if not folder.is_file():
            return self._of_folder(folder, name, version)
        with ExitStack() as held:
            folder = unpacked(folder, self._archive_digest[1], self._cache, name)
            held.enter_context(self._cache.hold(folder))
            course = self._of_folder(folder, name, version)
            # Whoever has the course may ask for its files: they stay as long as it does.
            weakref.finalize(course, held.pop_all().close)
        self._cache.prune(f"{name}-*.course")
        return course

    def _of_folder(self, folder: Path, name: str, version: str) -> Course:
        snapshot, marker = f"{name}-{version}.json", f"fieldstone/courses/{name}"
        text = self._cache.read(snapshot)
        if text is not None:
            try:
                course = from_text(text, course_folder(folder))
                if not course.keeps_files or _marked(marker, version):
                    return course
            except NotASnapshotError as error:
                log.warning("The snapshot %s is damaged (%s); the course is read anew", snapshot, error)
        course = read_course(folder, self._path)
        if course.keeps_files:
            _mark(marker, version)
        return self._kept(course, name, snapshot, version)

    def _kept(self, course: Course, name: str, snapshot: str, version: str) -> Course:
        """The course as all processes have it: as it comes out of its snapshot."""
        try:
            text = as_text(course)
            kept = from_text(text, course.folder)
        except (NotStorableError, NotASnapshotError) as error:
            log.warning("Each process reads the course %s for itself: JSON cannot hold %s", self._path, error)
            return course
        if self._version_now() == version:  # else files were changed meanwhile, and this may be half of each
            self._cache.write(snapshot, text)
            self._cache.prune(f"{name}-*.json")
        return kept


def _marked(marker: str, version: str) -> bool:
    """Are the files of this version's blocks in the default storage?

    A block may put files there as it reads its OLX. A storage that was emptied or changed lacks the marker too.
    """
    if not default_storage.exists(marker):
        return False
    with default_storage.open(marker) as file:
        return bool(file.read() == version.encode())


def _mark(marker: str, version: str) -> None:
    default_storage.delete(marker)
    default_storage.save(marker, ContentFile(version.encode()))

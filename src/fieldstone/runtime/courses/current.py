"""The course that the settings name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from fieldstone import conf
from fieldstone.runtime.course import Course
from fieldstone.runtime.courses.cache_folder import CacheFolder
from fieldstone.runtime.courses.source import CourseSource


@lru_cache(maxsize=4)
def _source(path: Path, cache: Path | None) -> CourseSource:
    return CourseSource(path, CacheFolder(cache))


def course_source() -> CourseSource:
    """Where the course is that settings name. Raises ``ImproperlyConfigured`` when they name none."""
    path = conf.course_folder()
    if path is None:
        raise ImproperlyConfigured('No course is set: FIELDSTONE = {"COURSE": "path/to/olx"} in the settings.')
    return _source(path, conf.course_cache())


def current_course() -> Course:
    """The course that settings name, read once a process; with ``DEBUG``, read again when it has changed."""
    source = course_source()
    return source.current() if settings.DEBUG else source.course()


def reload_course() -> Course:
    """The course as it is now, which this process serves from now on.

    Raises ``CourseError`` when it cannot be read; then the process goes on with the course that it has.
    """
    return course_source().reload()

"""Runtimes for the tests of services."""

from __future__ import annotations

from typing import Any

from fieldstone.runtime.course import Course
from fieldstone.runtime.runtime import CourseRuntime
from fieldstone.runtime.wiring import Mode, Viewer
from fieldstone.workbench.pages import runtime_for


def page_of(course: Course, user: Any, *, is_author: bool = False) -> CourseRuntime:
    """The runtime of one request."""
    return runtime_for(course, Viewer(user, mode=Mode.PREVIEW if is_author else Mode.PERSISTED), "test")

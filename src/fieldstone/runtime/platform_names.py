"""What blocks know themselves and their course by in Open edX, under the names that it has there.

They are no part of XBlock's API; published blocks use them all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.core import XBlockMixin

from fieldstone.runtime.course import Course


class PlatformNames(XBlockMixin):  # type: ignore[misc]  # xblock publishes no types
    """Mixed into every block; one that defines such a name itself keeps its own."""

    @property
    def location(self) -> UsageKey:
        usage_key: UsageKey = self.scope_ids.usage_id
        return usage_key

    @property
    def url_name(self) -> str:
        return str(self.location.block_id)


@dataclass(frozen=True)
class CourseFacts:
    """The course as ``lti`` wants it: as an object with the settings that no block inherits."""

    lti_passports: list[str]
    """``id:key:secret`` for each tool."""


class CourseOfRuntime:
    """``runtime.modulestore``: it knows one course, that of the runtime."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def get_course(self, course_key: CourseKey, **options: Any) -> CourseFacts | None:
        """``None`` for another course."""
        if course_key != self._course.key:
            return None
        root = self._course.root
        policy = self._course.policy.get(f"{root.block_type}/{root.usage_key.block_id}", {})
        return CourseFacts(policy.get("lti_passports", []))

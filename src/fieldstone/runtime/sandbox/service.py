"""``sandbox``: what problems ask before they run the Python of a course's author."""

from __future__ import annotations

from fieldstone.runtime.course import Course
from fieldstone.runtime.sandbox.capa import confine_codejail

PYTHON_LIB = "python_lib.zip"


class SandboxService:
    """``sandbox``: authors' Python runs confined or not at all; a course may bring modules for it."""

    def __init__(self, course: Course) -> None:
        self._library = course.folder / "static" / PYTHON_LIB
        confine_codejail()

    def can_execute_unsafe_code(self) -> bool:
        """Never: no course is trusted with the server's own process."""
        return False

    def get_python_lib_zip(self) -> bytes | None:
        """``static/python_lib.zip`` of the course, whose modules its problems import; ``None`` without one."""
        try:
            return self._library.read_bytes()
        except FileNotFoundError:
            return None

"""``make serve``'s command, when the course cannot be read: it stops, and says which file and line. No browser."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.browser.server import COMMAND, environment

# A tier of its own, as the browser's tests: each starts the whole workbench.
pytestmark = pytest.mark.skipif("FIELDSTONE_CHROMIUM" not in os.environ, reason="`make test` tries the command")

BROKEN = '<course org="Org" course="Course" url_name="run">\n  <chapter url_name="one"/>\n</course'


def serve(course: Path, var: Path) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends, as it must."""
    command = [*COMMAND, "--course", str(course), "--address", "127.0.0.1:19999"]
    return subprocess.run(command, env=environment(var), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("files", "place"),
    [
        pytest.param(None, "there is no such folder", id="no folder"),
        pytest.param(
            {"course.xml": BROKEN},
            "course.xml, line 3: ",
            id="broken XML at its root",
        ),
    ],
)
def test_a_course_that_cannot_be_read_is_refused_with_the_place(
    files: dict[str, str] | None, place: str, tmp_path: Path
) -> None:
    course = tmp_path / "course"
    if files is not None:
        course.mkdir()
    for name, text in (files or {}).items():
        path = course / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ended = serve(course, tmp_path / "var")
    assert ended.returncode != 0
    assert "The course cannot be read." in ended.stderr
    assert str(course) in ended.stderr
    assert place in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Open http://" not in ended.stdout

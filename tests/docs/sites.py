"""Sites of pages: what a page shows as a project's files becomes one, in which something is tried."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.test_docs import ROOT

LISTING = re.compile(r"```(?:python|html)\n(?:#|<!--) ([\w./]+\.(?:py|html))(?: -->)?\n(.*?)```", re.S)


def listings(page: str) -> dict[str, str]:
    """The files that a page shows, by the names in their first lines."""
    return dict(LISTING.findall(page))


def start_project(folder: Path, files: Mapping[str, str]) -> None:
    """What ``startproject mysite`` makes, with these files; to the settings they are added."""
    python(
        folder,
        "-c",
        "from django.core.management import execute_from_command_line as run;"
        "run(['django-admin', 'startproject', 'mysite', '.'])",
    )
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.read_text() + text if name == "mysite/settings.py" else text)


def python(folder: Path, *arguments: str) -> str:
    """Run Python in the site's folder; what it printed."""
    path = os.pathsep.join([str(folder), str(ROOT / "src")])
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": path}
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout

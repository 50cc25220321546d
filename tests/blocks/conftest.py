"""The browser of the browser tests, and a workbench with a course of one unit for each published block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import (  # noqa: F401  # fixtures, and the hook that they need
    browser,
    chromium,
    new_name,
    pytest_runtest_makereport,
    visit,
)
from tests.browser.server import Workbench

COURSE_FOLDER = Path(__file__).parent / "course"


@pytest.fixture(scope="package")
def blocks(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:  # noqa: F811
    """A workbench that shows the course of the published blocks, on a database of its own."""
    workbench = Workbench(tmp_path_factory.mktemp("blocks"), COURSE_FOLDER)
    workbench.start()
    yield workbench
    workbench.kill()

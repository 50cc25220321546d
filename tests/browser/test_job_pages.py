"""The pages of jobs in a browser: a job is watched, paused, gone on with and taken back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.exercises import MultipleChoice
from tests.browser.server import ROOT, Workbench, environment
from tests.browser.test_phone_and_dark import assert_no_sideways_scrolling
from tests.browser.visitor import COURSE, Visitor

pytestmark = pytest.mark.browser

MANAGE = [sys.executable, str(ROOT / "example" / "manage.py")]


@pytest.fixture(scope="module")
def workbench(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """The example course on a database that has no other jobs."""
    workbench = Workbench(tmp_path_factory.mktemp("jobs"))
    workbench.start()
    yield workbench
    workbench.kill()


def manage(workbench: Workbench, *arguments: str) -> str:
    """A command beside the running server, on its database."""
    done = subprocess.run(
        [*MANAGE, "fieldstone_job", *arguments],
        env={**os.environ, **environment(workbench.var)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_a_job_is_watched_and_turned_from_its_page_also_on_a_phone(
    visitor: Visitor, visit: Visit, workbench: Workbench, new_name: Callable[[str], str]
) -> None:
    """One test: commands take their seconds to begin."""
    page, exercise = visitor.page, MultipleChoice()
    visitor.join(new_name("ada"))
    visitor.open_unit(exercise.unit)
    exercise.answer(visitor, visitor.card(exercise.title))

    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_text("There are no jobs")).to_be_visible()
    manage(workbench, "start", "reset-attempts", "--course", f"course-v1:{COURSE}", "--no-work")
    visitor.reload()
    row = page.get_by_role("listitem").filter(has_text="reset-attempts")
    expect(row).to_contain_text("manage.py fieldstone_job work 1")
    row.get_by_role("link").click()

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Job 1 is paused")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    manage(workbench, "work", "1")
    expect(page.get_by_text("1 reset")).to_be_visible()  # without a reload
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    assert download.value.suggested_filename == "job-1.json"

    page.get_by_text("Undo…").click()
    page.get_by_role("button", name="Undo job 1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Job 2: undo")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel job 2").click()
    expect(page.get_by_text("Job 2 is cancelled")).to_be_visible()
    assert not visitor.troubles

    phone = visit(
        workbench.url, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="dark"
    )
    phone.join(new_name("bob"))
    for path, title in (("/jobs/", "Jobs"), ("/jobs/1/", "Job 1: reset-attempts")):
        phone.open(path)
        expect(phone.page.get_by_role("heading", level=1)).to_have_text(title)
        assert_no_sideways_scrolling(phone.page, title)

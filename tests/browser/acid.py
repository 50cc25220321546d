"""The course of acid blocks, and what is read off their pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page

from tests.browser.server import Workbench

COURSE_KEY = "Org+Acid+run"
COURSE = """\
<course org="Org" course="Acid" url_name="run" display_name="Acid">
  <chapter url_name="chapter" display_name="Chapter">
    <sequential url_name="section" display_name="Section">
      <vertical url_name="unit" display_name="Unit">
        <acid url_name="alone" name="alone"/>
        <acid_parent url_name="parent" name="parent">
          <acid url_name="left" name="left"/>
          <acid url_name="right" name="right"/>
          <html url_name="words" display_name="Words">Words.</html>
        </acid_parent>
      </vertical>
    </sequential>
  </chapter>
</course>
"""


def acid_workbench(folder: Path) -> Iterator[Workbench]:
    """A workbench that shows the course, with acid's aside beside every block."""
    course = folder / "course"
    course.mkdir()
    (course / "course.xml").write_text(COURSE)
    workbench = Workbench(folder, course=course, settings="tests.browser.aside_settings")
    workbench.start()
    yield workbench
    workbench.kill()


class Cell(NamedTuple):
    """One mark on the page: of the block or aside ``where``, in the row of a scope or (``""``) above the table."""

    where: str
    scope: str
    name: str


_MARKS = """
() => Array.from(
    document.querySelectorAll('.acid-block i, .aside-block i, .acid-parent-block > p i'),
    (mark) => [
        mark.closest('[data-usage-id]').dataset.usageId,
        mark.closest('tr')?.dataset.scope ?? '',
        mark.parentElement.className,
        mark.className.split(' ').at(-1),
    ],
)
"""
# acid sends its requests one after the other, the next before the one is taken off the queue.
_IDLE = "() => jQuery.active === 0 && !document.ajaxq?.q['acid-queue']?.length"


def marks(page: Page) -> dict[Cell, str]:
    """Every mark when acid has done all it does: ``pass``, ``fail``, ``error``, or ``unknown``: not set."""
    page.wait_for_function(_IDLE, timeout=60_000)
    found = [(Cell(_where(key), scope, name), mark) for key, scope, name, mark in page.evaluate(_MARKS)]
    assert len(dict(found)) == len(found), "a cell has two marks"
    return dict(found)


def _where(usage_key: str) -> str:
    block_id = re.search(r"\+block@(\w+)", usage_key)
    assert block_id, usage_key
    return f"aside of {block_id[1]}" if usage_key.startswith("aside") else block_id[1]


def cells(where: str, scopes: tuple[str, ...], *more: str) -> dict[Cell, str]:
    """All cells of a block or an aside, green."""
    tests = [f"{side}-storage-test-{end}" for side in ("server", "client") for end in ("returned", "succeeded")]
    table = [Cell(where, scope, test) for scope in scopes for test in tests]
    return dict.fromkeys([*table, *(Cell(where, "", name) for name in (*_ABOVE, *more))], "pass")


_ABOVE = ("js-init-run", "local-resource-test")

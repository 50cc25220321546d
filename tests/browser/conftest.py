"""A browser, a workbench that it visits, and a visitor for each test."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.server import ROOT, Workbench
from tests.browser.visitor import Visitor

SCREENSHOTS = ROOT / "var" / "screenshots"
FAILED = pytest.StashKey[bool]()
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEFAULTS: dict[str, Any] = {"viewport": {"width": 1000, "height": 800}, "reduced_motion": "reduce"}
_numbers = count(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="package")
def chromium() -> str:
    """The path of the browser."""
    path = os.environ.get("FIELDSTONE_CHROMIUM")
    if not path:
        pytest.skip("no Chromium: FIELDSTONE_CHROMIUM is not set; `make test` gives one")
    return path


# Not longer than this package: Playwright keeps an event loop in the thread, and Django's ORM refuses to work
# in such a thread, which is every later test's too.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def workbench(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """The example course, on a database of its own."""
    workbench = Workbench(tmp_path_factory.mktemp("workbench"))
    workbench.start()
    yield workbench
    workbench.kill()


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Makes visitors: ``visit(url, course=..., **options)``, each with cookies of their own."""
    contexts: list[BrowserContext] = []

    def visit(url: str, course: str | None = None, **options: Any) -> Visitor:
        context = browser.new_context(**{**DEFAULTS, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        return Visitor(page, url, course) if course else Visitor(page, url)

    yield visit
    for context in contexts:
        if request.node.stash.get(FAILED, False):
            _take_screenshots(context, request.node.name)
        context.close()


def _take_screenshots(context: BrowserContext, test: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w-]+", "-", test).strip("-")
    for number, page in enumerate(context.pages):
        path = Path(SCREENSHOTS / (f"{name}-{number}.png" if number else f"{name}.png"))
        page.screenshot(path=path, full_page=True)
        print(f"screenshot of {page.url}: {path}")


@pytest.fixture
def visitor(visit: Visit, workbench: Workbench) -> Visitor:
    """A visitor of the example course who is no learner yet."""
    workbench.check()
    return visit(workbench.url)


@pytest.fixture
def new_name() -> Callable[[str], str]:
    """Names that no other test's learner has."""
    return lambda name: f"{name}-{next(_numbers)}"


@pytest.fixture
def learner(visitor: Visitor, new_name: Callable[[str], str]) -> str:
    """The visitor is this learner."""
    name = new_name("ada")
    visitor.join(name)
    return name

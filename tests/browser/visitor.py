"""Somebody at a browser: a page, the ways to go about in the workbench, and what went wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response, expect

COURSE = "Fieldstone+Memory+2026"


def unit_path(name: str, course: str = COURSE) -> str:
    return f"/unit/block-v1:{course}+type@vertical+block@{name}/"


class Visitor:
    """Drives one page of one workbench."""

    def __init__(self, page: Page, origin: str, course: str = COURSE) -> None:
        self.page = page
        self.origin = origin
        self.course = course
        self.troubles: list[str] = []
        """Errors in the console, requests that failed, and requests to other hosts."""
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.troubles.append(f"uncaught: {error}"))
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    # --- going about ---

    def open(self, path: str) -> None:
        self.page.goto(self.origin + path)

    def open_unit(self, name: str) -> None:
        self.open(unit_path(name, self.course))

    def reload(self) -> None:
        self.page.reload()

    def card(self, title: str) -> Locator:
        """A block's part of the unit's page."""
        return self.page.get_by_role("region", name=title, exact=True)

    # --- learners ---

    def join(self, name: str) -> None:
        """Make up a learner without looking at a page: for tests that are about something else."""
        requests = self.page.context.request
        requests.get(f"{self.origin}/learners/")
        token = next(cookie["value"] for cookie in self.page.context.cookies() if cookie["name"] == "csrftoken")
        answer = requests.post(
            f"{self.origin}/learners/create/",
            form={"name": name},
            headers={"X-CSRFToken": token},
            max_redirects=0,
        )
        assert answer.status == 302, answer.text()

    def start_as(self, name: str) -> None:
        """Make up a learner, on the switcher's page, and come back."""
        self._open_learners()
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_role("button", name="Start as this learner").click()
        self.expect_learner(name)

    def switch_to(self, name: str) -> None:
        """Become a learner that is there already, and come back."""
        self._open_learners()
        self.page.get_by_role("button", name=f"Continue as {name}", exact=True).click()
        self.expect_learner(name)

    def expect_learner(self, name: str) -> None:
        """The header names the learner, on a page that is not the switcher's."""
        expect(self.page).not_to_have_url(re.compile(r"/learners/"))
        chip = self.page.get_by_role("banner").get_by_role("link", name=re.compile(rf"(^|\s){re.escape(name)}$"))
        expect(chip).to_be_visible()

    def _open_learners(self) -> None:
        here = urlsplit(self.page.url).path
        back = here if here.startswith("/") and "/learners/" not in here else "/"
        self.open(f"/learners/?next={quote(back)}")

    # --- what happens ---

    @contextmanager
    def answering(self, handler: str) -> Iterator[None]:
        """What is done in this block makes the page send something to a handler; the whole answer is awaited."""

        def sent(response: Response) -> bool:
            return response.request.method == "POST" and f"/handler/{handler}" in response.url

        with self.page.expect_response(sent) as answer:
            yield
        assert answer.value.ok, f"{answer.value.url} answered {answer.value.status}"
        answer.value.finished()  # the body too: a server that is killed next may have sent but the headers

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.troubles.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if (
            address.scheme not in {"data", "blob", "about"}
            and f"{address.scheme}://{address.netloc}" != self.origin
        ):
            self.troubles.append(f"off-site: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # that one only says that the page was left meanwhile
            self.troubles.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.troubles.append(f"{response.status}: {response.url}")

"""Learners at the page over HTTP: they read it, answer, save, vote, and look again."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
from django.conf import settings
from opaque_keys.edx.keys import UsageKey
from yarl import URL

from bench.learners.counting import HEADER
from bench.learners.course import CHOICES, WORDS, Page, Problem
from bench.learners.journal import Action, Journal, Kind, Outcome, Sample
from bench.learners.people import Person

TOKEN = re.compile(r'name="csrf-token" content="(\w+)"')
SECONDS_TO_ANSWER = aiohttp.ClientTimeout(total=120)
TRIES = 50  # to read the page, while a worker is replaced
PAUSE = 0.1  # seconds before the next

Step = Callable[[], Awaitable[None]]
Says = Callable[[Any], bool]  # whether the answer's JSON acknowledges the action


class PageError(Exception):
    """There is no page to be had, so no load run either."""


class Visitor:
    """One learner's browser: cookies and connections of its own. An asynchronous context manager."""

    def __init__(self, url: str, page: Page, person: Person, journal: Journal) -> None:
        self.person = person
        self.page = page
        self._url = url
        self._journal = journal
        self._token = ""
        self._answers = 0
        self._latest: dict[UsageKey, Action] = {}  # the latest answer to each problem

    async def __aenter__(self) -> Visitor:
        cookies = aiohttp.CookieJar(unsafe=True)  # "unsafe": of an address without a name
        cookies.update_cookies({settings.SESSION_COOKIE_NAME: self.person.session}, URL(self._url))
        self._http = aiohttp.ClientSession(
            cookie_jar=cookies, connector=aiohttp.TCPConnector(limit=0), timeout=SECONDS_TO_ANSWER
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._http.close()

    async def read(self) -> None:
        """Load the page, again and again when that fails; look for every answer that it has to show.

        Raises ``PageError``.
        """
        for _ in range(TRIES):
            began = time.perf_counter()
            try:
                async with self._http.get(f"{self._url}unit/{_quoted(self.page.unit)}/") as response:
                    text = await response.text()
            except (aiohttp.ClientError, TimeoutError) as error:
                self._journal.errors.append(f"page: {type(error).__name__}")
            else:
                if response.status == HTTPStatus.OK:
                    break
                self._journal.errors.append(f"page: {response.status}")
            await asyncio.sleep(PAUSE)
        else:
            raise PageError(f"The page did not come, {TRIES} times: {self._journal.errors[-1]}.")
        self._sampled(Kind.PAGE, began, response)
        self._look_at(text)

    def _look_at(self, text: str) -> None:
        found = TOKEN.search(text)
        if found is None:
            raise PageError("The page has no CSRF token: is the learner signed in?")
        self._token = found[1]
        self._journal.stale += [
            f"learner {action.learner_id}, {key}: the page does not show {action.said!r}, which was acknowledged"
            for key, action in self._latest.items()
            if action.outcome is Outcome.ACKNOWLEDGED and action.said not in text
        ]

    # What a learner does

    async def check(self, problem: Problem, is_right: bool) -> None:
        verdict = "correct" if is_right else "incorrect"
        await self._answer(Kind.CHECK, problem, is_right, lambda said: said["success"] == verdict)

    async def save(self, problem: Problem) -> None:
        await self._answer(Kind.SAVE, problem, False, lambda said: said["success"] is True)

    async def _answer(self, kind: Kind, problem: Problem, is_right: bool, says: Says) -> None:
        self._answers += 1
        # A number of this learner's own, in the third decimal and after.
        said = f"{problem.answer + (0 if is_right else 7)}.00{self.person.learner_id:05}{self._answers:04}"
        action = Action(self.person.learner_id, kind, problem.usage_key, said, is_right)
        name = f"xmodule_handler/{kind.value}"
        self._latest[problem.usage_key] = await self._act(action, name, says, form={problem.input_name: said})

    async def vote(self) -> None:
        choice = self.person.drawn.choice(CHOICES)
        action = Action(self.person.learner_id, Kind.VOTE, self.page.poll, choice)
        await self._act(action, "vote", lambda said: said["success"] is True, body={"choice": choice})

    async def give_a_word(self) -> None:
        word = self.person.drawn.choice(WORDS)
        action = Action(self.person.learner_id, Kind.WORDS, self.page.cloud, word)
        await self._act(
            action,
            "handle_submit_state",
            lambda said: said["status"] == "success" and word in said["student_words"],
            body={"student_words": [word]},
        )

    async def finish(self) -> None:
        action = Action(self.person.learner_id, Kind.DONE, self.page.done, "done")
        await self._act(action, "toggle_button", lambda said: said["state"] is True, body={"done": True})

    async def _act(
        self, action: Action, handler: str, says: Says, *, form: Any = None, body: Any = None
    ) -> Action:
        """Send it, and note what became of it."""
        url = f"{self._url}xblock/{_quoted(action.usage_key)}/handler/{handler}"
        began = time.perf_counter()
        try:
            async with self._http.post(
                url, headers={"X-CSRFToken": self._token}, data=form, json=body
            ) as response:
                text = await response.text()
                acknowledged = response.status == HTTPStatus.OK and _acknowledges(text, says)
        except (aiohttp.ClientError, TimeoutError) as error:
            over = action
            self._journal.errors.append(f"{action.kind.value}: {type(error).__name__}")
        else:
            self._sampled(action.kind, began, response)
            over = replace(action, outcome=Outcome.ACKNOWLEDGED if acknowledged else Outcome.REFUSED)
            if not acknowledged:
                self._journal.errors.append(f"{action.kind.value}: {response.status} {text[:200]}")
        self._journal.add(over)
        return over

    def _sampled(self, kind: Kind, began: float, response: aiohttp.ClientResponse) -> None:
        queries = response.headers.get(HEADER)
        self._journal.samples.append(
            Sample(kind, time.perf_counter() - began, None if queries is None else int(queries))
        )


def _acknowledges(text: str, says: Says) -> bool:
    try:
        return says(json.loads(text))
    except (ValueError, KeyError, TypeError):  # no JSON, or the JSON of an error
        return False


def _quoted(usage_key: UsageKey) -> str:
    return quote(str(usage_key), safe="")

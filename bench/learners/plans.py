"""What the learners have in mind: an hour at the page each, or all the same thing at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from bench.learners.course import Page
from bench.learners.journal import Journal
from bench.learners.people import Person
from bench.learners.visits import Step, Visitor

READ_AGAIN = 8
"""After so many actions a learner loads the page again."""


async def visit(url: str, page: Page, people: Sequence[Person], journal: Journal, think: float) -> None:
    """Every learner does all there is on the page, in an order of their own; ``think``: seconds, on average."""

    async def one(person: Person) -> None:
        async with Visitor(url, page, person, journal) as visitor:
            await asyncio.sleep(think * person.drawn.random())  # they do not come at the same moment
            await visitor.read()
            for number, step in enumerate(steps(visitor), 1):
                await asyncio.sleep(person.drawn.expovariate(1 / think) if think else 0)
                await step()
                if number % READ_AGAIN == 0:
                    await visitor.read()
            await visitor.read()

    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(one(person))


def steps(visitor: Visitor) -> list[Step]:
    """Each problem: perhaps saved, perhaps wrong at first, then right or not; between them the other blocks."""
    drawn = visitor.person.drawn
    problems = list(visitor.page.problems)
    drawn.shuffle(problems)
    found: list[Step] = []
    for problem in problems:
        if drawn.random() < 0.2:
            found.append(partial(visitor.save, problem))
        if drawn.random() < 0.3:
            found.append(partial(visitor.check, problem, False))
        found.append(partial(visitor.check, problem, drawn.random() < 0.9))
    for other in (visitor.vote, visitor.give_a_word):
        found.insert(drawn.randrange(len(found)), other)
    return [*found, visitor.finish]


def actions_planned(learners: int, problems: int) -> int:
    """About how many actions they will do."""
    return int(learners * (problems * 1.5 + 3))


async def rush(url: str, page: Page, people: Sequence[Person], journal: Journal) -> None:
    """All vote at once, then all give a word at once, then one of them sends as many answers at once."""
    async with AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(Visitor(url, page, each, journal)) for each in people]
        await asyncio.gather(*(visitor.read() for visitor in visitors))
        await asyncio.gather(*(visitor.vote() for visitor in visitors))
        await asyncio.gather(*(visitor.give_a_word() for visitor in visitors))
        await asyncio.gather(*(visitors[0].check(page.problems[0], True) for _ in visitors))

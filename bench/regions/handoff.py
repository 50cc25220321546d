"""How soon a waiter in another process has a lock that is let go here."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.measuring import Budget
from bench.regions.base import Locker, key
from bench.regions.redis import waiting_lockers
from bench.rows import MismatchError
from bench.waiter import wait

LEAST_ROUNDS = 60
PAUSE = (0.02, 0.15)  # seconds, longer than any of them polls: the release comes anywhere in its pause


class WaiterError(Exception):
    """The waiter failed; the message is its traceback."""


def handoffs(url: str, budget: Budget) -> dict[str, list[float]]:
    """Seconds from just before the release to just after the waiter's acquisition, by who made the lock.

    They take turns, in random order within each round.
    """
    lockers = waiting_lockers(url)
    samples: dict[str, list[float]] = {locker.title: [] for locker in lockers}
    lockers[0].release(key(lockers[0].title))  # the element that is popped
    rounds = budget.rounds or max(LEAST_ROUNDS, budget.least_rounds)
    order = list(lockers)
    with _waiter(url) as pipe:
        for locker in lockers:
            _handed_over(locker, pipe)  # connects both
        for _ in range(rounds):
            random.shuffle(order)
            for locker in order:
                samples[locker.title].append(_handed_over(locker, pipe))
    return samples


def _handed_over(locker: Locker, pipe: Any) -> float:
    held = locker.acquire(key(locker.title))
    pipe.send((locker.title, key(locker.title)))
    _answer(pipe)  # it is about to acquire
    time.sleep(random.uniform(*PAUSE))  # and waits by now
    released = time.monotonic()
    locker.release(held)
    acquired = _answer(pipe)
    if acquired < released:
        raise MismatchError(f"{locker.title}: the waiter had the lock while it was held.")
    return acquired - released


def _answer(pipe: Any) -> float:
    answer = pipe.recv()
    if isinstance(answer, str):
        raise WaiterError(answer)
    return float(answer)


@contextmanager
def _waiter(url: str) -> Iterator[Any]:
    context = multiprocessing.get_context("spawn")  # a fork would share the sockets of our connections
    pipe, childs = context.Pipe()
    process = context.Process(target=wait, args=(childs, url))
    process.start()
    childs.close()
    try:
        yield pipe
    finally:
        pipe.close()  # which it takes for the end
        process.join()

"""Threads and coroutines that use something at once, and waiting for what nothing tells of."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections

T = TypeVar("T")

SECONDS = 60.0
"""After which a test gives up waiting: it has failed then."""


class Background:
    """A function under way in a thread of its own, which no end of the process waits for."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        threading.Thread(target=self._run, args=[work], daemon=True).start()

    def result(self, seconds: float | None = SECONDS) -> Any:
        """What it gives, or raises; fails when it is still under way after so many seconds."""
        wait([self.future], seconds)
        assert self.future.done(), f"a call is still under way after {seconds:g} s"
        return self.future.result()

    @property
    def is_over(self) -> bool:
        return self.future.done()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            try:
                result = work()
            finally:
                close_connections()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


def in_threads(count: int, work: Callable[[int], T], seconds: float | None = SECONDS) -> list[T]:
    """What ``work(number)`` gives in each of so many threads, which begin at once.

    When all are over, or after so many seconds, what one raised is raised, or that some are not over.
    """
    barrier = threading.Barrier(count)

    def begun(number: int) -> T:
        barrier.wait(SECONDS)
        return work(number)

    started = [Background(partial(begun, number)) for number in range(count)]
    left = wait([each.future for each in started], seconds).not_done
    results = [each.result() for each in started if each.is_over]  # what one raised says why others wait
    assert not left, f"{len(left)} of {count} threads are still under way after {seconds:g} s"
    return results


def elsewhere(work: Callable[[], T]) -> T:
    """What it gives in another thread."""
    return in_threads(1, lambda _: work())[0]


def in_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives in a loop of its own; the connections that Django opened for it are closed."""

    async def main() -> T:
        try:
            return await asyncio.wait_for(coroutine, SECONDS)
        finally:
            await sync_to_async(close_connections)()

    return asyncio.run(main())


def eventually(is_so: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Wait until something is so that no event tells of, such as the expiry of an entry in a server."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"it is not so after {seconds:g} s"
        time.sleep(0.01)


def close_connections() -> None:
    """Of this thread with Django's databases, where there are any."""
    if settings.configured:
        connections.close_all()

"""Waiting for a lock on servers that tell nobody when it is let go: trying again, after growing pauses."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

Run = Callable[..., Awaitable[Any]]
"""Runs a function with arguments for a coroutine, as ``asyncio.to_thread`` does."""


class Attempt(ABC):
    """One owner's attempt to get a lock, in several tries."""

    @abstractmethod
    def once(self, left: float) -> int | None:
        """Try; the fencing token if it was granted. ``left`` seconds are left to wait, 0: this is the last try."""

    @abstractmethod
    def pause(self) -> float:
        """Seconds until the next try."""

    @abstractmethod
    def undo(self) -> None:
        """Let go what the last try was granted: nobody is there any more to have it."""

    @property
    def is_hopeless(self) -> bool:
        """Whether the holder is who is asking: it cannot let go while it waits."""
        return False

    def close(self) -> None:  # noqa: B027  # there may be nothing to close
        """There will be no other try."""


class Pauses:
    """Seconds from ``shortest``, growing by half each time, to ``longest``.

    With ``jitter`` each is anything between half of that and all: those who wait do not all come at once.
    """

    def __init__(self, shortest: float, longest: float, *, jitter: bool = True) -> None:
        self._shortest, self._longest = shortest, longest
        self._jitter = jitter
        self._next = shortest

    def next(self) -> float:
        pause, self._next = self._next, min(self._next * 1.5, self._longest)
        return pause * random.uniform(0.5, 1) if self._jitter else pause  # noqa: S311  # no secret

    def restart(self) -> None:
        self._next = self._shortest


def granted(attempt: Attempt, wait: float) -> int | None:
    """Try until it is granted or ``wait`` seconds have passed, and once at the end of these."""
    until = time.monotonic() + wait
    try:
        while True:
            left = max(until - time.monotonic(), 0.0)
            fence = attempt.once(left)
            if fence is not None or not left or attempt.is_hopeless:
                return fence
            time.sleep(min(attempt.pause(), max(until - time.monotonic(), 0.0)))
    finally:
        attempt.close()


async def agranted(attempt: Attempt, wait: float, run: Run) -> int | None:
    """``granted`` for a coroutine: only the tries run in a thread, the pauses block nobody.

    One thread may be all there is: were it to wait here, the holder could not let go.
    """
    until, fence = time.monotonic() + wait, None
    try:
        while True:
            left = max(until - time.monotonic(), 0.0)
            fence = await _once(attempt, left, run)
            if fence is not None or not left or attempt.is_hopeless:
                return fence
            await asyncio.sleep(min(attempt.pause(), max(until - time.monotonic(), 0.0)))
    finally:
        await _close(attempt, fence, run)


async def _close(attempt: Attempt, fence: int | None, run: Run) -> None:
    # Of who is cancelled here nobody learns that he was granted it.
    closing = asyncio.ensure_future(run(attempt.close))
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await closing
        if fence is not None:
            await run(attempt.undo)
        raise


async def _once(attempt: Attempt, left: float, run: Run) -> int | None:
    # A thread cannot be cancelled: what it was granted meanwhile is given back.
    trying = asyncio.ensure_future(run(attempt.once, left))
    try:
        fence: int | None = await asyncio.shield(trying)
    except asyncio.CancelledError:
        if await trying is not None:
            await run(attempt.undo)
        raise
    return fence

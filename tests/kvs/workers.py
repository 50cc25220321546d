"""Threads, processes and coroutines that use a region at once."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.db import connections

SECONDS = 60
"""After which a test gives up waiting: it has failed then."""

_processes = multiprocessing.get_context("fork")
Barrier, Event, Value = _processes.Barrier, _processes.Event, _processes.Value


class FailedError(Exception):
    """A process raised; the message is its traceback."""


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``work(number)`` gives in each of so many threads, which begin at once."""
    barrier = threading.Barrier(count)

    def begun(number: int) -> Any:
        barrier.wait(SECONDS)
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begun, range(count)))


def elsewhere(work: Callable[[], Any]) -> Any:
    """What it gives in another thread."""
    return in_threads(1, lambda _: work())[0]


class Background:
    """A function under way in a thread."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(self._run, work)
        self._pool.shutdown(wait=False)

    def result(self) -> Any:
        return self._future.result(SECONDS)

    @property
    def is_over(self) -> bool:
        return self._future.done()

    @staticmethod
    def _run(work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connections.close_all()


def in_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives; the connections that Django opened for it are closed."""

    async def main() -> Any:
        try:
            return await asyncio.wait_for(coroutine, SECONDS)
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(main())


def eventually(is_so: Callable[[], Any]) -> None:
    """Wait until something is so that no event tells of, such as the expiry of an entry in a server."""
    until = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < until, f"it is not so after {SECONDS} s"
        time.sleep(0.01)


class Worker:
    """A process that does ``work(*arguments)``; what that yields comes to the test.

    It is forked from the test's process, so that it begins in some milliseconds and uses the same region object.
    """

    def __init__(self, work: Callable[..., Iterable[Any]], *arguments: Any) -> None:
        connections.close_all()  # no driver's connection survives a fork
        self._heard, tell = _processes.Pipe(duplex=False)
        self.process = _processes.Process(target=_run, args=(tell, work, arguments), daemon=True)
        with warnings.catch_warnings():
            # Newer Pythons warn of forks of processes with threads: none of ours holds a lock here.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process.start()
        tell.close()  # so that the pipe ends with the process

    def next(self, seconds: float = SECONDS) -> Any:
        """The next thing that it yields, within so many seconds."""
        assert self._heard.poll(seconds), f"nothing was heard for {seconds:g} s"
        return _unpacked(self._heard.recv())

    def rest(self, seconds: float = SECONDS) -> list[Any]:
        """Everything else that it yields, each within so many seconds; waits for its end."""
        told = list(self._until_the_end(seconds))
        self.process.join(SECONDS)
        assert self.process.exitcode is not None, "it closed its pipe and did not end"
        return told

    def _until_the_end(self, seconds: float) -> Generator[Any, None, None]:
        with contextlib.suppress(EOFError):
            while True:
                yield self.next(seconds)

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.join(SECONDS)

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        self._heard.close()


class Workers(contextlib.ExitStack):
    """Processes of one test, none of which outlives it."""

    def __enter__(self) -> Self:
        return self

    def start(self, work: Callable[..., Iterable[Any]], *arguments: Any) -> Worker:
        worker = Worker(work, *arguments)
        self.callback(worker.close)
        return worker

    def all(self, count: int, work: Callable[..., Iterable[Any]], *arguments: Any) -> list[list[Any]]:
        """What each of so many tells that do ``work(number, *arguments)`` at once."""
        return [worker.rest() for worker in [self.start(work, number, *arguments) for number in range(count)]]


def _run(tell: Connection, work: Callable[..., Iterable[Any]], arguments: tuple[Any, ...]) -> None:
    try:
        for item in work(*arguments):
            tell.send(item)
    except BaseException:
        tell.send(FailedError(traceback.format_exc()))
        raise
    finally:
        connections.close_all()


def _unpacked(item: Any) -> Any:
    if isinstance(item, FailedError):
        raise item
    return item

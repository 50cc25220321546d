"""Processes that use something at once, and are killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import Connection
from typing import Any, Self

from fieldstone.testing.contracts.workers import SECONDS, close_connections

CAN_FORK = hasattr(os, "fork")
"""Whether there can be workers here at all."""

_processes: Any = multiprocessing.get_context("fork" if CAN_FORK else None)
Barrier, Event, Value = _processes.Barrier, _processes.Event, _processes.Value


class FailedError(Exception):
    """A process raised; the message is its traceback."""


class Worker:
    """A process that does ``work(*arguments)``; what that yields comes to the test.

    It is forked from the test's process, so that it begins in some milliseconds and uses the same objects.
    """

    def __init__(self, work: Callable[..., Iterable[Any]], *arguments: Any) -> None:
        close_connections()  # no driver's connection survives a fork
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
        close_connections()


def _unpacked(item: Any) -> Any:
    if isinstance(item, FailedError):
        raise item
    return item

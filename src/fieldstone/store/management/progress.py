"""How far a long command has come: a bar on a terminal that has ``rich``, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, TextIO

SECONDS_BETWEEN_LINES = 5.0


class Progress(Protocol):
    """Something that shows how far a command has come."""

    def reach(self, done: int) -> None:
        """So many are done by now."""

    def print(self, line: str) -> None:
        """Write a line of the command's output, clear of the bar."""


class Lines:
    """Progress for files, pipes and terminals without ``rich``: it goes to ``err``, the output to ``out``."""

    def __init__(
        self, what: str, total: int, out: TextIO, err: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._total = what, total
        self._out, self._err = out, err
        self._clock = clock
        self._next = clock() + SECONDS_BETWEEN_LINES

    def reach(self, done: int) -> None:
        if self._clock() >= self._next:
            self._next = self._clock() + SECONDS_BETWEEN_LINES
            self._err.write(f"{done:,} of {self._total:,} {self._what}\n")
            self._err.flush()

    def print(self, line: str) -> None:
        self._out.write(f"{line}\n")


@contextmanager
def progress(what: str, total: int, out: TextIO, err: TextIO) -> Iterator[Progress]:
    """Show progress to a total of ``what`` ("states"), for as long as the ``with`` lasts."""
    # Optional, so looked for only here: the store does not depend on rich, and uses it where it is installed.
    if not out.isatty() or find_spec("rich") is None:
        yield Lines(what, total, out, err)
        return
    console, columns = import_module("rich.console"), import_module("rich.progress")
    shown = columns.TextColumn(what), columns.BarColumn(), columns.MofNCompleteColumn()
    with columns.Progress(*shown, console=console.Console(file=out), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield _Bar(lambda done: bar.update(task, completed=done), bar.console.out)


class _Bar:
    """Progress on a terminal with ``rich``, which moves its bar out of the way of what is printed."""

    def __init__(self, update: Callable[[int], None], out: Callable[..., None]) -> None:
        self._update, self._out = update, out

    def reach(self, done: int) -> None:
        self._update(done)

    def print(self, line: str) -> None:
        self._out(line, highlight=False)  # as it is: keys and field names may hold what rich takes for markup

"""SQLite's functions of date and time with another moment for ``now``; all the rest SQLite computes itself."""

from __future__ import annotations

import atexit
import functools
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

TAKE_TIME = {"date": [0], "time": [0], "datetime": [0], "julianday": [0], "unixepoch": [0], "strftime": [1]}
"""Functions, and the place of the time among their arguments; where it is left out, it is now."""
if sqlite3.sqlite_version_info >= (3, 43):
    TAKE_TIME["timediff"] = [0, 1]
KEYWORDS = {"current_timestamp": "datetime", "current_date": "date", "current_time": "time"}
"""What SQLite takes for calls of a function without arguments, and the function that gives the same of a time."""
FRACTIONS = ("subsec", "subsecond")
"""Stand for ``now`` where they come first."""


class Time:
    """What one connection of the driver takes for now."""

    def __init__(self) -> None:
        self.now: str | None = None
        """As SQLite reads it, in UTC; ``None`` for its own time."""

    def set(self, moment: datetime | None) -> None:
        if moment is None:
            self.now = None
        else:
            # SQLite counts in thousandths; versions that cut the rest off would lose one without a fourth place.
            self.now = moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds") + "4"

    def install(self, driver: Any) -> None:
        """Put its functions before those of SQLite. They stay, as the driver knows no way to take them away.

        Said to be deterministic, which they are for the length of a statement: else SQLite would refuse whole
        schemas that have an index on ``date(...)``.

        Raises the driver's ``OperationalError`` while a query of the connection is being read.
        """
        for name, function in KEYWORDS.items():
            driver.create_function(name, 0, self._keyword(name, function), deterministic=True)
        for name, places in TAKE_TIME.items():
            driver.create_function(name, -1, self._function(name, places), deterministic=True)

    def _keyword(self, name: str, function: str) -> Callable[[], Any]:
        def called() -> Any:
            return compute(name, None) if self.now is None else compute(function, (self.now,))

        return called

    def _function(self, name: str, places: list[int]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            arguments = list(given)
            if self.now is not None:
                for place in places:
                    _say_now(arguments, place, self.now)
            return compute(name, tuple(arguments))

        return called


def _say_now(arguments: list[Any], place: int, now: str) -> None:
    time = arguments[place] if place < len(arguments) else None
    word = time.lower() if isinstance(time, str) else ""
    if place == len(arguments) or word == "now":
        arguments[place : place + 1] = [now]
    elif word in FRACTIONS:
        arguments.insert(place, now)


def compute(function: str, arguments: tuple[Any, ...] | None) -> Any:
    """What SQLite's own function gives; ``None`` for one of the keywords."""
    call = function if arguments is None else f"{function}({', '.join('?' * len(arguments))})"
    with _LOCK:
        return _calculator().execute(f"SELECT {call}", arguments or ()).fetchone()[0]


_LOCK = threading.Lock()


@functools.cache
def _calculator() -> sqlite3.Connection:
    """A database without tables, whose functions nobody replaced."""
    calculator = sqlite3.connect(":memory:", check_same_thread=False)
    atexit.register(calculator.close)
    return calculator

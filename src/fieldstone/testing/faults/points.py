"""A point among the statements of a connection, where something is made to happen."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.around import Around
from fieldstone.testing.connecting import is_connecting
from fieldstone.testing.faults.patterns import Pattern
from fieldstone.testing.faults.report import Seen, not_reached
from fieldstone.testing.places import caller
from fieldstone.testing.statements import Run, Statement, watch

When = Literal["before", "after"]


class PointNotReached(AssertionError):
    """The code never came to the statement where the fault was to happen; the message lists what it did ask."""


class FaultNotPossible(AssertionError):
    """The fault cannot be made on this database, or here; the message says why, and what can be done instead."""


@dataclass(slots=True)
class Point:
    """What has come by so far, and whether the point was reached."""

    seen: list[Seen] = field(default_factory=list)
    """Every statement of the connection, each with its place in the code, in the order they were made."""
    reached: bool = False
    """The fault has happened, or happens now."""

    @property
    def matched(self) -> list[Statement]:
        """The statements that match the pattern, those that were kept from running included."""
        return [each.statement for each in self.seen if each.matches]


class AtStatement(Around[Point]):
    """Does something at a statement of this thread's connection, once it comes there.

    What it does itself on that connection is not looked at. If the body ends without having come to the point,
    that is a ``PointNotReached``; if it ends in an error, the error says so in a note.
    """

    def __init__(
        self,
        tool: str,
        pattern: str | re.Pattern[str],
        *,
        nth: int | None,
        when: When,
        using: str,
    ) -> None:
        if nth is not None and (type(nth) is not int or nth < 1):
            raise ValueError(f"nth counts the statements that match, from 1; None is each of them; not {nth!r}")
        if when not in ("before", "after"):
            raise ValueError(f"when is 'before' the statement or 'after' it, not {when!r}")
        if not isinstance(using, str):
            raise TypeError(f"using is the alias of a database, not {using!r}")
        self._tool, self._pattern = tool, Pattern(pattern)
        self._nth, self._when, self._using = nth, when, using

    def __str__(self) -> str:
        given = [repr(self._pattern.text)]
        given += [f"nth={self._nth}"] if self._nth != 1 else []
        given += [f"when={self._when!r}"] if self._when != "before" else []
        return f"{self._tool}({', '.join(given)})"

    def __enter__(self) -> Point:
        __tracebackhide__ = True
        self._connection = connections[self._using]
        self._prepare(self._connection)
        self._point, self._is_busy = Point(), False
        self._refusal: FaultNotPossible | None = None
        self._forget = watch(self._connection, self._watch)
        return self._point

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        self._forget()
        self._tidy(self._connection)
        if self._refusal not in (None, error):
            raise self._refusal  # which the code has taken for an error of its own
        if self._point.reached:
            return
        if error is None:
            message = not_reached(str(self), self._pattern, self._nth, self._using, self._point.seen)
            raise PointNotReached(message)
        error.add_note(f"{self} was not reached on {self._using!r} before this.")

    def _prepare(self, connection: BaseDatabaseWrapper) -> None:
        """Before the body; may raise ``FaultNotPossible``."""

    @abstractmethod
    def _happen(self, statement: Statement, result: Any) -> None:
        """The fault itself; what it raises, the code sees. A statement that was run before it gave ``result``."""

    def _tidy(self, connection: BaseDatabaseWrapper) -> None:
        """After the body, however it ended."""

    def _watch(self, run: Run, statement: Statement) -> Any:
        if self._is_busy:
            return run()
        place, frames = caller()
        if is_connecting(frames):
            return run()
        seen = Seen(statement, place, self._pattern.matches(statement.sql))
        self._point.seen.append(seen)
        if not seen.matches or self._nth not in (None, len(self._point.matched)):
            return run()
        if self._when == "before":
            self._reach(statement)
            return run()
        try:
            result = run()
        except Exception as error:
            seen.error = error
            raise
        self._reach(statement, result)
        return result

    def _reach(self, statement: Statement, result: Any = None) -> None:
        self._point.reached = self._is_busy = True
        try:
            self._happen(statement, result)
        except FaultNotPossible as refusal:
            self._refusal = refusal
            raise
        finally:
            self._is_busy = False

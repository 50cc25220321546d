"""Statements that failed: which, where, and who caught the error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType
from weakref import WeakSet

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from fieldstone.testing.places import Place, caller, is_own, place_in
from fieldstone.testing.statements import Run, Statement
from fieldstone.testing.transactions.violations import chain

ABORTED = "25P02"
"""PostgreSQL's SQLSTATE in_failed_sql_transaction."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A statement that raised."""

    error: Error
    sql: str
    place: Place
    """The project's innermost line when it did."""
    callers: tuple[tuple[FrameType, Place], ...]
    """The project's other lines that led there, and their calls, from the innermost outwards."""

    @property
    def caught_at(self) -> Place | None:
        """The line whose ``try`` (or ``with``) the error came to; None where nothing tells.

        A traceback begins with the function that caught. ``assertRaises`` throws the traceback away: then it is
        the innermost of the callers that still runs.
        """
        if self.error.__traceback__ is not None:
            return outermost(self.error.__traceback__)
        running = set(_frames(sys._getframe()))
        return next((place for frame, place in self.callers if frame in running), None)


def failure(error: Error, sql: str) -> Failure:
    """What is known while the error is on its way."""
    place, frames = caller()
    own = (frame for frame in _frames(frames[-1]) if is_own(frame.f_code.co_filename))
    return Failure(error, sql, place, tuple((frame, _place(frame, frame.f_lineno)) for frame in own))


def outermost(trace: TracebackType) -> Place:
    """The line of the function that caught an error, by its traceback."""
    return _place(trace.tb_frame, trace.tb_lineno)


def innermost(trace: TracebackType | None) -> Place | None:
    """The project's innermost line in a traceback."""
    found = None
    while trace is not None:
        if found is None or is_own(trace.tb_frame.f_code.co_filename):
            found = outermost(trace)
        trace = trace.tb_next
    return found


def is_refusal(error: BaseException) -> bool:
    """Whether a statement failed only because one before it had."""
    return isinstance(error, TransactionManagementError) or _state(error) == ABORTED


class FirstFailure:
    """Watches a connection: what failed first since something last succeeded.

    After a success the transaction is not broken, whatever failed before it, so there is nothing to remember: not
    even of a savepoint's end, which is a statement itself.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.first: Failure | None = None
        _watching(connection).add(self)

    def whole(self) -> None:
        """The transaction is known to be whole again, without a statement that was seen."""
        self.first = None

    def __call__(self, run: Run, statement: Statement) -> object:
        try:
            result = run()
        except Error as error:
            if self.first is None and not is_refusal(error):
                self.first = failure(error, statement.sql)
            raise
        self.first = None
        return result

    @property
    def is_broken(self) -> bool:
        """Whether the transaction refuses all further statements, as far as it can be known without one."""
        aborts = self.connection.vendor == "postgresql" and not self.connection.autocommit
        return self.connection.needs_rollback or (aborts and self.first is not None)


def tell_whole(connection: BaseDatabaseWrapper) -> None:
    """Let all that look for a first failure know of a savepoint's rollback that no watcher was told of."""
    for each in list(_watching(connection)):
        each.whole()


_WATCHING = "_fieldstone_failures"
"""Where a connection keeps those who look for its first failure."""


def _watching(connection: BaseDatabaseWrapper) -> WeakSet[FirstFailure]:
    found: WeakSet[FirstFailure] = vars(connection).setdefault(_WATCHING, WeakSet())
    return found


def _state(error: BaseException) -> str | None:
    driver = error.__cause__
    return getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)  # psycopg's, and its elder's


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frame: FrameType, line: int) -> Place:
    code = frame.f_code
    return place_in(code.co_filename, line, code.co_qualname.rpartition("<locals>.")[2])


def behind(error: BaseException, failures: list[Failure]) -> Failure | None:
    """The failed statement that an error came of: of several the last."""
    return next((each for one in chain(error) for each in failures if each.error is one), None)

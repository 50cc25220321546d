"""The faults that need nothing of the engine: a call of one's own, an error, a delay."""

from __future__ import annotations

import contextlib
import inspect
import math
import re
import time
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, DataError, Error, IntegrityError, OperationalError

from fieldstone.testing.faults.points import AtStatement, When
from fieldstone.testing.faults.report import short
from fieldstone.testing.statements import Statement

Failure = BaseException | type[BaseException]
BREAK = "DO $$ BEGIN RAISE EXCEPTION 'fieldstone.testing: fail_at breaks this transaction'; END $$"


def at_statement(
    pattern: str | re.Pattern[str],
    call: Callable[[], object],
    *,
    nth: int | None = 1,
    when: When = "before",
    using: str = "default",
) -> AtStatement:
    """Call ``call`` at the ``nth`` statement that matches: another writer's change, say, between two of ours.

    ``pattern`` is a regular expression, as text or compiled, searched in the SQL with its placeholders, in any
    case and with white space folded; names may be written without their quotes. ``COMMIT`` and ``ROLLBACK`` are
    statements, too. ``nth`` counts those that match, from 1; ``None`` is each of them. With "after", a statement
    that fails by itself is not such a point; and on SQLite one that gives rows keeps its lock until they are
    fetched, which is later. What ``call`` raises, the code under test sees; what it asks of this connection is not
    looked at. Neither are statements of other threads, which have connections of their own, nor what Django asks
    while it connects.

    The context gives a ``Point``. Raises ``PointNotReached`` at the end of a body that never came there.
    """
    if inspect.iscoroutinefunction(call) or not callable(call):
        raise TypeError(f"call is a plain function without arguments (async_to_sync makes one), not {call!r}")
    return _Calling("at_statement", pattern, lambda _: call(), nth=nth, when=when, using=using)


def delay_at(
    pattern: str | re.Pattern[str],
    *,
    seconds: float,
    nth: int | None = 1,
    when: When = "before",
    using: str = "default",
) -> AtStatement:
    """Wait ``seconds`` before or after the statement: a server that is slow to hear, or to answer.

    The rest is as with ``at_statement``.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"seconds is a number, not {seconds!r}")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds is how long to wait, at least 0, not {seconds!r}")
    return _Calling("delay_at", pattern, lambda _: time.sleep(seconds), nth=nth, when=when, using=using)


def fail_at(
    pattern: str | re.Pattern[str],
    *,
    nth: int | None = 1,
    when: When = "before",
    error: Failure | None = None,
    using: str = "default",
) -> AtStatement:
    """The statement fails: with ``error``, an exception or its class, or an ``OperationalError`` that says so.

    "Before": the server never hears of the statement. "After": it has run it, and the code does not learn so.
    The connection lives on (``cut_at`` is for one that does not), and is left as a failure of the engine would
    leave it, provided that the error is one of ``django.db``. On PostgreSQL the transaction is broken: it, or its
    innermost savepoint, has to be rolled back before another statement can run, and what an "after" had done in it
    is gone with it. On MariaDB and SQLite most failures undo one statement and leave the transaction whole, and so
    does this. Any other class of error leaves everything as it is.

    The rest is as with ``at_statement``.
    """
    if error is None:
        error = OperationalError
    is_class = isinstance(error, type) and issubclass(error, BaseException)
    if not is_class and not isinstance(error, BaseException):
        raise TypeError(f"error is an exception to raise, or the class of one, not {error!r}")
    if isinstance(error, type):
        _check_can_be_made(error)
    return _Failing(pattern, error, nth=nth, when=when, using=using)


class _Calling(AtStatement):
    def __init__(
        self,
        tool: str,
        pattern: str | re.Pattern[str],
        call: Callable[[Statement], object],
        *,
        nth: int | None,
        when: When,
        using: str,
    ) -> None:
        super().__init__(tool, pattern, nth=nth, when=when, using=using)
        self._call = call

    def _happen(self, statement: Statement, result: Any) -> None:
        self._call(statement)


class _Failing(AtStatement):
    def __init__(
        self, pattern: str | re.Pattern[str], error: Failure, *, nth: int | None, when: When, using: str
    ) -> None:
        super().__init__("fail_at", pattern, nth=nth, when=when, using=using)
        self._error = error

    def _happen(self, statement: Statement, result: Any) -> None:
        error = self._made(statement)
        if result is not None and statement.connection.vendor == "sqlite":
            result.close()  # a statement whose rows nobody has fetched would keep its lock
        if isinstance(error, Error):
            _break_transaction(statement)
            if not isinstance(error, DataError | IntegrityError):
                statement.connection.errors_occurred = True  # so Django looks whether the connection still works
        raise error

    def _made(self, statement: Statement) -> BaseException:
        if not isinstance(self._error, type):
            return self._error.with_traceback(None)  # or each time it is raised would add to it
        if not issubclass(self._error, Error):
            return self._error()
        return self._error(f"{self} made this fail: {short(statement.sql)}")


def _check_can_be_made(error: type[BaseException]) -> None:
    """Now, while the test is written, and not as another error amid the code under test."""
    try:
        error("") if issubclass(error, Error) else error()
    except Exception as reason:
        name = error.__name__
        raise TypeError(f"{name} cannot be made so: {reason}. Make it yourself: error={name}(...)") from reason


def _break_transaction(statement: Statement) -> None:
    """Where the engine itself would: a COMMIT that fails ends the transaction, and Django rolls back after it."""
    connection = statement.connection
    if connection.vendor != "postgresql" or statement.ends_transaction or connection.connection is None:
        return
    if not connection.get_autocommit():
        with contextlib.suppress(DatabaseError), connection.wrap_database_errors:
            connection.connection.cursor().execute(BREAK)

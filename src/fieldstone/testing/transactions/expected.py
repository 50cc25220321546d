"""A database error that a test expects, and that leaves the transaction as it was."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import TypeGuard

from django.db import DEFAULT_DB_ALIAS, DatabaseError, Error, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic, TransactionManagementError

from fieldstone.testing.around import Around
from fieldstone.testing.places import Place, caller
from fieldstone.testing.statements import connections_here, watch
from fieldstone.testing.transactions import said
from fieldstone.testing.transactions.constraints import aside, completed, table_of, unwatched
from fieldstone.testing.transactions.failures import behind, is_refusal, tell_whole
from fieldstone.testing.transactions.insides import is_of_test, set_of_test
from fieldstone.testing.transactions.said import Expected
from fieldstone.testing.transactions.seen import Seen
from fieldstone.testing.transactions.text import worded
from fieldstone.testing.transactions.violations import Violation, read


class NothingRaised(AssertionError):
    """An expected database error did not come; or the code under test caught it; or another database raised it."""


class OtherConstraint(AssertionError):
    """A constraint was violated, but not the one that was asked for."""

    violation: Violation
    """The one that was."""


class ViolatedBefore(AssertionError):
    """A foreign key was violated before the block already, so nothing can be said of the block."""


class Caught:
    """What ``expect_db_error`` gives; the error is known when the block is over."""

    def __init__(self) -> None:
        self._error: Error | None = None
        self._violation: Violation | None = None

    @property
    def error(self) -> Error:
        """The error itself. Raises ``LookupError`` within the block."""
        if self._error is None:
            raise LookupError("The error is known when the block of expect_db_error() is over.")
        return self._error

    @property
    def violation(self) -> Violation:
        """The constraint it is about. Raises ``LookupError`` for an error that is about none."""
        error = self.error
        if self._violation is None:
            raise LookupError(f"It is about no constraint: {worded(error)}")
        return self._violation


class expect_db_error(Around[Caught]):
    """Expect that the body ends with a database error, and undo the body: queries after it work.

    In a transaction the body has a savepoint of its own; where none is open (``transaction=True``, or a
    ``TransactionTestCase``) the body's transactions are real ones, and what it committed stays.

    ``error`` is a class of ``django.db``'s, or a tuple of such; ``TransactionManagementError`` counts only where
    it is asked for by name. ``constraint`` is the violated constraint's name; ``columns`` are all the columns that
    the constraint is about, in any order, for constraints that have another name on each engine, or none. Foreign
    keys that are checked at the commit are checked at the end of the body, where ``error`` takes an
    ``IntegrityError``.

    Raises ``NothingRaised``, ``OtherConstraint`` or ``ViolatedBefore``, which are ``AssertionError``; any other
    error goes through, with a note of what was expected.
    """

    def __init__(
        self,
        error: type[Error] | tuple[type[Error], ...] = DatabaseError,
        *,
        constraint: str | None = None,
        columns: str | Iterable[str] | None = None,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        errors: tuple[object, ...] = error if isinstance(error, tuple) else (error,)
        classes = tuple(each for each in errors if isinstance(each, type) and issubclass(each, Error))
        if not classes or len(classes) < len(errors):
            raise TypeError(f"expect_db_error() takes error classes of django.db, and not {error!r}.")
        asked = (columns,) if isinstance(columns, str) else tuple(columns or ())
        self._expected = Expected(classes, constraint or "", asked)
        self._using = using

    def __enter__(self) -> Caught:
        connection = self._connection = connections[self._using]
        self._place: Place = caller().place
        if connection.needs_rollback:
            connection.savepoint()  # is refused, as any statement is
        self._block: Atomic | None = None
        if not connection.get_autocommit():
            self._block = self._begun()
        self._seen = Seen(connection)
        self._others = [Seen(each) for each in connections_here() if each is not connection]
        self._watching = ExitStack()
        for seen in (self._seen, *self._others):
            self._watching.callback(watch(seen.connection, seen))
        self._caught = Caught()
        return self._caught

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        __tracebackhide__ = True
        self._watching.close()
        late = self._deferred() if error is None else None
        self._end_block(late or error)
        if late is not None:
            self._look_again(late)
        found = late or error
        if found is None:
            raise NothingRaised(said.nothing_raised(self._expected, self._seen, self._place))
        if not self._is_expected(found):
            self._note(found)
            return False
        self._is_of_this_database(found)
        return self._is_asked_for(found)

    def _begun(self) -> Atomic:
        """The block's savepoint, of which no watcher is told: it is none of the code under test."""
        connection, block = self._connection, _block(self._connection)
        try:
            with unwatched(connection):
                block.__enter__()
        except Error as error:
            if is_refusal(error):
                connection.savepoint()  # is refused again: let the watchers explain it
            raise
        return block

    def _deferred(self) -> IntegrityError | None:
        """The error that the commit would raise, in a transaction that does not come to one."""
        connection = self._connection
        wanted = any(issubclass(IntegrityError, each) for each in self._expected.errors)
        if self._block is None or not wanted or self._seen.is_broken:
            return None
        return _violated(connection)

    def _end_block(self, error: BaseException | None) -> None:
        if self._block is None:
            return
        if error is None and self._seen.is_broken:
            self._connection.needs_rollback = True  # the body caught the error: PostgreSQL could not release it
        with unwatched(self._connection):
            self._block.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
        if not (self._connection.needs_rollback or self._connection.closed_in_transaction):
            tell_whole(self._connection)

    def _look_again(self, late: IntegrityError) -> None:
        """What is violated without the body, too, was violated before it."""
        __tracebackhide__ = True
        with aside(self._connection):
            before = _violated(self._connection)
        if before is not None:
            raise ViolatedBefore(
                said.violated_before(self._expected, before, self._connection, self._place)
            ) from late

    def _is_expected(self, error: BaseException) -> TypeGuard[Error]:
        errors = self._expected.errors
        if is_refusal(error) and not any(issubclass(each, TransactionManagementError) for each in errors):
            return False
        return isinstance(error, errors)

    def _is_of_this_database(self, error: BaseException) -> None:
        """Raises where it came of a statement on another: the savepoint was not there."""
        __tracebackhide__ = True
        failed = behind(error, [failure for seen in (self._seen, *self._others) for failure in seen.failures])
        other = next((seen for seen in self._others if failed in seen.failures), None)
        if failed is not None and other is not None:
            words = said.of_another_database(self._expected, failed, other.connection, self._using, self._place)
            raise NothingRaised(words) from error

    def _is_asked_for(self, error: Error) -> bool:
        """Whether the constraint is the one that was asked for, if any was; raises where it is another."""
        __tracebackhide__ = True
        expected, connection = self._expected, self._connection
        failed = behind(error, self._seen.failures)
        violation = read(self._seen.located(failed.error if failed else error), connection)
        if violation and not connection.closed_in_transaction:
            likely = table_of(failed.sql) if failed else self._seen.table
            violation = completed(violation, connection, likely, expected.constraint, expected.columns)
        if violation is None and expected.names_constraint:
            self._note(error)
            return False
        if violation and not expected.fits(violation):
            other = OtherConstraint(said.other_constraint(expected, violation, error, failed, connection))
            other.violation = violation
            raise other from error
        self._caught._error, self._caught._violation = error, violation
        return True

    def _note(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            error.add_note(f"expect_db_error() at {self._place} expected {self._expected}.")


def _block(connection: BaseDatabaseWrapper) -> Atomic:
    """A block that a durable one may stand in, where it could stand without it."""
    block = transaction.atomic(using=connection.alias)
    if not connection.atomic_blocks or is_of_test(connection.atomic_blocks[-1]):
        set_of_test(block)
    return block


def _violated(connection: BaseDatabaseWrapper) -> IntegrityError | None:
    """A violation that waits for the commit; none on MySQL and MariaDB, which check at once."""
    if not connection.features.can_defer_constraint_checks:
        return None
    try:
        with unwatched(connection):
            connection.check_constraints()
    except IntegrityError as error:
        return error
    return None

"""Why a transaction is broken: the error that did it, instead of the one that follows from it."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from django.conf import settings
from django.db import Error, InternalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.transaction import Atomic, TransactionManagementError, get_connection

from fieldstone.testing.around import Around
from fieldstone.testing.places import Place, caller
from fieldstone.testing.statements import Run, Statement, watch
from fieldstone.testing.texts import one_line
from fieldstone.testing.transactions.failures import FirstFailure, innermost, is_refusal, outermost
from fieldstone.testing.transactions.hooks import BLOCK_ENDS, SETS_ROLLBACK
from fieldstone.testing.transactions.insides import rollback_error
from fieldstone.testing.transactions.opened import opened_before
from fieldstone.testing.transactions.said import of_failure
from fieldstone.testing.transactions.text import facts, worded
from fieldstone.testing.transactions.violations import chain, read


class BrokenTransaction(TransactionManagementError, InternalError):
    """A statement was refused, since an error before it broke the transaction: says which, and where.

    It is what Django raises then, and what PostgreSQL's driver does, so the code under test behaves as without it.
    """


class explain_broken_transactions(Around[None]):
    """While it holds, a statement that a broken transaction refuses raises ``BrokenTransaction``.

    Holds for all this thread's connections, for those that any thread has opened since the first use, and for
    those that any opens meanwhile. Does nothing where Django has no settings.
    """

    def __enter__(self) -> None:
        self._explained: dict[BaseDatabaseWrapper, _Explained] = {}
        self._undo = ExitStack()
        if not settings.configured:
            return
        self._undo.callback(self._explained.clear)  # it keeps errors, and with them the frames they passed
        for connection in {*connections.all(initialized_only=True), *opened_before()}:
            self._watch(connection)
        connection_created.connect(self._opened, weak=False)
        self._undo.callback(self._disconnect)
        self._undo.callback(SETS_ROLLBACK.add(self._sets_rollback))
        self._undo.callback(BLOCK_ENDS.add(self._block_ends))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()  # all of it, even where one step raises

    def _watch(self, connection: BaseDatabaseWrapper) -> None:
        explained = self._explained[connection] = _Explained(connection)
        self._undo.callback(watch(connection, explained))

    def _disconnect(self) -> None:
        connection_created.disconnect(self._opened)

    def _opened(self, *, connection: BaseDatabaseWrapper, **_: Any) -> None:
        if connection in self._explained:
            return
        self._watch(connection)
        # Outermost: Django's execute_wrapper() may hold already, and takes the last of the list away at its end.
        connection.execute_wrappers.insert(0, connection.execute_wrappers.pop())

    def _sets_rollback(self, call: Run, connection: BaseDatabaseWrapper, rollback: bool) -> None:
        before = connection.needs_rollback
        call()
        explained = self._explained.get(connection)
        if explained and rollback and not before:
            explained.by_hand = caller().place

    def _block_ends(
        self, call: Run, block: Atomic, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = get_connection(block.using)
        before = connection.needs_rollback
        call()
        explained = self._explained.get(connection)
        if explained and error is not None and connection.needs_rollback and not before:
            explained.passed = error


class _Explained(FirstFailure):
    """One connection: what broke its transaction, and the statements that it refuses for that."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self._forget()

    def whole(self) -> None:
        super().whole()
        self._forget()

    def _forget(self) -> None:
        self.by_hand: Place | None = None
        """Where ``set_rollback(True)`` was called."""
        self.passed: BaseException | None = None
        """What went through the end of an ``atomic(savepoint=False)``."""
        # Django never forgets it: what it holds at a success is of a transaction that is whole again.
        self._stale: BaseException | None = rollback_error(self.connection)

    def __call__(self, run: Run, statement: Statement) -> object:
        try:
            result = super().__call__(run, statement)
        except Error as error:
            if self.connection.autocommit:
                self.first = None  # nothing is broken, and an error keeps its callers' objects alive
            if isinstance(error, BrokenTransaction) or not is_refusal(error):
                raise
            told = self._told()
            if told is None:
                raise
            words, cause = told
            here = facts(("refused", one_line(statement.sql)), ("at", caller().place))
            raise BrokenTransaction(f"{words}\n\n{here}\n") from cause
        self._forget()
        return result

    def _told(self) -> tuple[str, BaseException | None] | None:
        """What broke it, and the error if it was one; None where nothing is known: then Django's words stay."""
        marked = rollback_error(self.connection)
        fresh = marked if marked is not self._stale else None
        passed = fresh or self.passed
        by_hand = self.by_hand and (self.connection.vendor != "postgresql" or self.first is None)
        if self.first is not None and not by_hand and not self._is_beside(passed):
            return self._of_failure(), self.first.error
        if by_hand:
            return self._by_hand(), None
        return (self._of_other(passed), passed) if passed is not None else None

    def _is_beside(self, passed: BaseException | None) -> bool:
        """Whether an error marked the transaction that has nothing to do with the failed statement."""
        if self.first is None or passed is None or self.connection.vendor == "postgresql":
            return False  # elsewhere a failed statement breaks nothing by itself
        failed = self.first.error
        return passed not in chain(failed) and failed not in chain(passed)

    def _of_failure(self) -> str:
        failed = self.first
        if failed is None:
            raise LookupError("no statement failed")
        found = read(failed.error, self.connection)
        named = f', constraint="{found.constraint}"' if found and found.constraint else ""
        alias = self.connection.alias
        using = f', using="{alias}"' if alias != "default" else ""
        return (
            f"An earlier error broke the transaction of {alias!r}; the code caught it and went on.\n\n"
            f"{of_failure(failed)}\n\n"
            "Where the code means to catch it, give the statement a savepoint of its own, inside the try:\n\n"
            f"    with transaction.atomic({using.removeprefix(', ')}):\n        ...\n\n"
            "Where the test expects it:\n\n"
            f"    with expect_db_error({type(failed.error).__name__}{named}{using}):\n        ..."
        )

    def _by_hand(self) -> str:
        told = facts(("set at", self.by_hand or ""))
        return (
            f"set_rollback(True) marked the transaction of {self.connection.alias!r} for a rollback.\n\n"
            f"{told}\n\n"
            "Django refuses all statements from there to the end of the innermost atomic() that has a savepoint."
        )

    def _of_other(self, error: BaseException) -> str:
        trace = error.__traceback__
        told = facts(
            ("error", worded(error)),
            ("raised at", innermost(trace) or ""),
            ("caught at", outermost(trace) if trace else ""),
        )
        return (
            f"An error marked the transaction of {self.connection.alias!r} for a rollback: it went through "
            f"a save() or an atomic(savepoint=False), and the code caught it outside.\n\n{told}\n\n"
            "Catch it inside, or give the code a savepoint: with transaction.atomic()."
        )

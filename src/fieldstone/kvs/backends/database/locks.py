"""Locks in the database: a row a lock.

Outside a transaction a lock is a lease: its row says who has it until when, by the database's clock, and each step
is one statement. Who waits stands in a queue, another table; the first one there gets it, and who does not say for
three seconds that it is still there is passed over.

Inside ``transaction.atomic`` the lock is the transaction's: it has it until it is committed or rolled back,
whatever timeout was asked for, and what it releases is free for others at its end. Its row shows as free to all
who see it after; until then nobody can give it away. For that MariaDB locks the row, SQLite the whole database; on
PostgreSQL it is an advisory lock of the transaction, which can be tried without waiting and needs no row, where a
row that a transaction has just inserted lets others wait without bound. Nothing is left to the session in any of
them, so that they are right behind poolers of transactions.

A transaction cannot stand in the queue, where nobody would see it: it waits for those who stood there when it
came, and those who come later may get ahead of it. On SQLite a transaction that waits while it has written keeps
the holder from letting go: take the lock first, and begin the transaction then.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import OperationalError, transaction
from django.db.backends.utils import CursorWrapper
from django.db.transaction import TransactionManagementError

from fieldstone.kvs.backends.database.connection import Database
from fieldstone.kvs.backends.database.engines.base import LOCKS, WAITERS, Asked
from fieldstone.kvs.backends.polling import Attempt, Pauses
from fieldstone.kvs.tables import fitted

ALIVE_MS = 3000
"""For so long a waiter counts after it said that it is there."""

_SAY_SECONDS = 1.0
_EVERYBODY = 2**62
_FORGOTTEN_MS = 3_600_000
_SWEEP_EVERY = 500
_AT_ONCE = 100
_SQLITE_SECONDS = 0.1


@dataclass(eq=False)
class _Held:
    """A lock that a transaction was given. It is among Django's callbacks of the commit as long as that is so.

    Django drops it there when the transaction, or the savepoint that it came after, is rolled back.
    """

    name: str
    token: str
    is_released: bool = False
    is_committed: bool = False

    def __call__(self) -> None:
        self.is_committed = True


class _NotGrantedError(Exception):
    """Leaves the savepoint of a try."""


class LockRows:
    """The locks of one database alias."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = database.engine
        self._count = itertools.count(1)
        self._transactions: dict[str, weakref.ref[_Held]] = {}  # by token

    def attempt(self, name: str, token: str, timeout: float) -> Attempt:
        database = self._database
        if not database.is_in_transaction:
            return _Lease(self, database, fitted(name), token, timeout)
        if not database.connection.in_atomic_block:
            raise TransactionManagementError(
                f"Locks on {database.using!r} belong to transaction.atomic() or to no transaction, and this"
                " connection has autocommit switched off. Use transaction.atomic() instead."
            )
        return _InTransaction(self, database, fitted(name), token)

    def release(self, name: str, token: str) -> bool:
        self._transactions.pop(token, None)
        for held in self._given(fitted(name)):
            if held.token == token:
                was_held, held.is_released = not held.is_released, True
                return was_held
        return self._database.run(lambda cursor: self._engine.release(cursor, fitted(name), token))

    def renew(self, name: str, token: str, timeout: float) -> bool:
        if token in self._transactions:  # whichever thread asks: one that renews has another connection
            return not self.is_over(token)
        lasting = milliseconds(timeout)
        return self._database.run(lambda cursor: self._engine.renew(cursor, fitted(name), token, lasting))

    def locked(self, name: str) -> bool:
        if self.held(fitted(name)) is not None:
            return True
        if self._was_held(fitted(name)):
            return False
        return self._database.run(lambda cursor: self._engine.is_held(cursor, fitted(name)))

    def held(self, name: str, token: str | None = None) -> _Held | None:
        """What the transaction of this thread has of this lock, under that owner or any."""
        for held in self._given(name):
            if not held.is_released and token in (held.token, None):
                return held
        return None

    def _was_held(self, name: str) -> bool:
        """Whether it is free in this transaction only: others get it at its end."""
        return any(True for _ in self._given(name))

    def _given(self, name: str) -> list[_Held]:
        callbacks = (callback for _, callback, *_ in self._database.connection.run_on_commit)
        return [held for held in callbacks if isinstance(held, _Held) and held.name == name]

    def is_over(self, token: str) -> bool:
        """Whether the transaction that it was given to has ended. After a rollback nobody has a reference."""
        if token not in self._transactions:
            return False
        held = self._transactions[token]()
        return held is None or held.is_committed

    def keep(self, held: _Held) -> None:
        self._transactions[held.token] = weakref.ref(held)
        transaction.on_commit(held, using=self._database.using)

    def sweep_sometimes(self) -> None:
        """Outside a transaction: what is deleted here would be locked until its end."""
        if next(self._count) % _SWEEP_EVERY:
            return
        # Another time, where somebody has locked what is to go.
        with contextlib.suppress(OperationalError):
            self._database.run(lambda cursor: self._engine.sweep(cursor, LOCKS, _FORGOTTEN_MS, _AT_ONCE))
            self._database.run(lambda cursor: self._engine.sweep(cursor, WAITERS, _FORGOTTEN_MS, _AT_ONCE))


class _Lease(Attempt):
    """Outside a transaction: at once if nobody has it or waits for it, else by its turn in the queue."""

    def __init__(self, rows: LockRows, database: Database, name: str, token: str, timeout: float) -> None:
        self._rows, self._database, self._engine = rows, database, database.engine
        self._name, self._token, self._milliseconds = name, token, milliseconds(timeout)
        self._waiter: int | None = None
        self._said = 0.0  # when it last said that it is there, by time.monotonic()
        self._is_first = False
        self._pauses = Pauses(0.001, 0.01)

    def once(self, left: float) -> int | None:
        fence = None
        with _patient_for(self._database, left):
            fence = self._in_turn(left)
        self._rows.sweep_sometimes()
        return fence

    def _in_turn(self, left: float) -> int | None:
        if self._waiter is None:
            fence = self._grant(_EVERYBODY)
            if fence is None and left:
                self._enqueue()
            return fence
        self._say_alive()
        waiter = self._waiter
        is_leased, is_queued = self._database.run(lambda cursor: self._engine.state(cursor, self._name, waiter))
        if not is_queued and not self._is_first:
            self._is_first = True
            self._pauses.restart()
        return None if is_leased or is_queued else self._grant(waiter)

    def _grant(self, before: int) -> int | None:
        asked = Asked(self._name, self._token, self._milliseconds, before)
        return self._database.run(lambda cursor: self._engine.grant(cursor, asked))

    def _enqueue(self) -> None:
        self._waiter = self._database.run(lambda cursor: self._engine.enqueue(cursor, self._name, ALIVE_MS))
        self._said, self._is_first = time.monotonic(), False

    def _say_alive(self) -> None:
        if time.monotonic() - self._said < _SAY_SECONDS:
            return
        waiter = self._waiter or 0
        if self._database.run(lambda cursor: self._engine.say_alive(cursor, waiter, ALIVE_MS)):
            self._said = time.monotonic()
        else:  # it was stopped for longer than it counts, and was passed over
            self.close()
            self._enqueue()

    def pause(self) -> float:
        return self._pauses.next() if self._is_first else 0.025

    def undo(self) -> None:
        self._rows.release(self._name, self._token)

    def close(self) -> None:
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            with _patient_for(self._database, 0):  # otherwise it is passed over when it no longer says it is there
                self._database.run(lambda cursor: self._engine.dequeue(cursor, waiter))


class _InTransaction(Attempt):
    """Inside a transaction, which then has it."""

    def __init__(self, rows: LockRows, database: Database, name: str, token: str) -> None:
        self._rows, self._database, self._engine = rows, database, database.engine
        self._name, self._token = name, token
        self._before: int | None = None
        self._pauses = Pauses(0.001, 0.025)

    @property
    def is_hopeless(self) -> bool:
        return self._rows.held(self._name) is not None

    def once(self, left: float) -> int | None:
        if self.is_hopeless:
            return None
        with (
            contextlib.suppress(_NotGrantedError),
            _patient_for(self._database, left),
            transaction.atomic(self._database.using),
        ):
            fence = self._database.run(self._grant)
            if fence is None:
                raise _NotGrantedError
            self._rows.keep(_Held(self._name, self._token))
            return fence
        return None

    def _grant(self, cursor: CursorWrapper) -> int | None:
        if self._before is None:
            self._before = self._engine.last_in_queue(cursor) + 1
        return self._engine.grant(cursor, Asked(self._name, self._token, None, self._before))

    def pause(self) -> float:
        return self._pauses.next()

    def undo(self) -> None:
        self._rows.release(self._name, self._token)


@contextlib.contextmanager
def _patient_for(database: Database, seconds: float) -> Iterator[None]:
    """Give up what has to wait for longer, on an engine where all may have to: another try may follow."""
    with database.engine.impatient(database.connection, max(seconds, _SQLITE_SECONDS)):
        try:
            yield
        except OperationalError as error:
            if not database.engine.is_busy(error):
                raise


def milliseconds(seconds: float) -> int:
    """Rounded up, and not beyond what a bigint takes with the date added."""
    return math.ceil(min(seconds, 10**12) * 1000)

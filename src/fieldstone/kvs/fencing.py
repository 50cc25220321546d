# ruff: noqa: S608  # the texts are built of names of ours; values are parameters
"""Refusing writers whose lock another has held since, in the very transaction that writes.

A lock is no proof by the time that a write arrives: its holder may have been paused past its timeout. Its fencing
token is: whoever held the lock later has a greater one. The database keeps the greatest that has written under a
lock's name, and refuses smaller ones::

    with region.lock("report") as lock:
        report = make_report()
        with transaction.atomic():
            check_fence(lock)
            Report.objects.create(...)

Only writers that are checked are kept apart: all that write under the lock have to check.
"""

from __future__ import annotations

from typing import Protocol

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from fieldstone.errors import StaleFenceError
from fieldstone.kvs.backends.database.engines import ENGINES
from fieldstone.kvs.locks import Fence
from fieldstone.kvs.tables import FENCE, MISSING_TABLE, fitted

__all__ = ["Fence", "Fenced", "check_fence", "fence_of"]


class Fenced(Protocol):
    """What has a fencing token: a ``KeyValueStoreLock``."""

    def as_fence(self) -> Fence:
        """Raises unless it is held, and not past its timeout."""


def fence_of(fence: Fence | Fenced) -> Fence:
    """The fencing token of a lock. Raises ``LockNotHeldError`` unless it is held, ``LockTimeout``."""
    return fence if isinstance(fence, Fence) else fence.as_fence()


def check_fence(fence: Fence | Fenced, using: str = DEFAULT_DB_ALIAS) -> None:
    """Keep the token if none greater has been seen under its lock's name; one statement.

    Until the transaction ends no other is checked under that name. Equal tokens pass: a holder may write often.

    Raises ``StaleFenceError``, and for a lock what ``fence_of`` does: leave the transaction by that error, so that
    it is rolled back. Raises ``TransactionManagementError`` outside ``transaction.atomic`` on that alias.
    """
    given = fence_of(fence)
    connection = connections[using]
    if not connection.in_atomic_block:
        raise TransactionManagementError(
            "check_fence() counts for the transaction that it is called in, and there is none: call it inside"
            f" transaction.atomic(using={using!r}), before what is to be written."
        )
    newest = _newest(connection, given)
    if newest > given.token:
        raise StaleFenceError(given.name, given.token, newest)


# Written also where it stays as it is: the row is locked then, and who comes next waits for this transaction.
_INSERT = f"INSERT INTO {FENCE} (name, token) VALUES (%s, %s)"
_KEEP = {
    "postgresql": f"{_INSERT} ON CONFLICT (name) DO UPDATE SET token = greatest({FENCE}.token, excluded.token)",
    "sqlite": f"{_INSERT} ON CONFLICT (name) DO UPDATE SET token = max({FENCE}.token, excluded.token)",
    "mysql": f"{_INSERT} ON DUPLICATE KEY UPDATE token = greatest({FENCE}.token, VALUES(token))",
}


def _newest(connection: BaseDatabaseWrapper, fence: Fence) -> int:
    """The greatest token seen under the name, this one included."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"{_KEEP[connection.vendor]} RETURNING token", [fitted(fence.name), fence.token])
            rows = cursor.fetchall()  # drained: SQLite's RETURNING writes only as it is read
    except DatabaseError as error:
        if ENGINES[connection.vendor].is_missing_table(error):
            reason = f"database {connection.alias!r} has no table for fencing tokens: {MISSING_TABLE}"
            raise ImproperlyConfigured(reason) from error
        raise
    return int(rows[0][0])

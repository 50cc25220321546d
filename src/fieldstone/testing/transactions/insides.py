"""What Django's connections and atomic blocks know, and have no public name for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic

Pending = tuple[set[str], Callable[[], object], bool]
"""A callback that waits for the commit: the savepoints around it, the function, and whether it is robust."""


def pending(connection: BaseDatabaseWrapper) -> list[Pending]:
    """In the order in which a commit would run them."""
    found: list[Any] = connection.run_on_commit
    return found


def set_pending(connection: BaseDatabaseWrapper, callbacks: list[Pending]) -> None:
    found: list[Any] = list(callbacks)
    connection.run_on_commit = found


def is_of_test(block: Atomic) -> bool:
    """Whether a test case opened it, to roll it back in the end."""
    return bool(getattr(block, "_from_testcase", False))


def set_of_test(block: Atomic) -> None:
    """Let durable blocks stand in it."""
    vars(block)["_from_testcase"] = True


def is_held(connection: BaseDatabaseWrapper) -> bool:
    """Whether a test's own transaction is around, so that no commit will come."""
    return any(is_of_test(block) for block in connection.atomic_blocks)


def rollback_error(connection: BaseDatabaseWrapper) -> BaseException | None:
    """The error that Django last marked a transaction for; it never forgets it."""
    found: BaseException | None = getattr(connection, "rollback_exc", None)
    return found

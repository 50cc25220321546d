"""Releasing a lock when a transaction has ended."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

from django.db import transaction

from fieldstone.errors import FieldstoneError, UnexpectedError

if TYPE_CHECKING:
    from fieldstone.kvs.locks import KeyValueStoreLock

log = logging.getLogger("fieldstone.kvs")


class _AfterCommit:
    """A callback for ``transaction.on_commit``. Django drops it at a rollback: then, too, the lock is released."""

    def __init__(self, lock: KeyValueStoreLock) -> None:
        self._release = weakref.finalize(self, _release, lock)
        self._release.atexit = False

    def __call__(self) -> None:
        self._release()


def release_at_the_end(lock: KeyValueStoreLock, using: str | None) -> None:
    """Raises ``UnexpectedError`` outside a transaction."""
    if not transaction.get_connection(using).in_atomic_block:
        raise UnexpectedError(
            f"There is no transaction that the lock of key {lock.key!r} could be released after: call"
            " release_after_commit() inside transaction.atomic(), with its alias."
        )
    transaction.on_commit(_AfterCommit(lock), using=using)


def _release(lock: KeyValueStoreLock) -> None:
    try:
        if lock.active:
            lock.release()
    except FieldstoneError as error:  # the transaction has ended, and its caller is not to hear that it has failed
        log.warning(
            "A lock of region %r could not be released after its transaction: %s",
            lock.region,
            type(error).__name__,
        )

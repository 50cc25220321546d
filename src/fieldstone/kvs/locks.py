"""What a caller holds of a lock: ``KeyValueStoreLock``, around a mutex that does the work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from fieldstone.errors import LockNotAcquiredError, LockNotHeldError, LockTimeout, UnexpectedError, WrongLockError
from fieldstone.kvs.mutexes import Mutex
from fieldstone.kvs.renewal import Renewal

log = logging.getLogger("fieldstone.kvs")

LOCK_WINDOW = 1.0
"""Seconds before its timeout from which on a lock is taken for expired: a write has to arrive, too.

A fifth of the timeout for locks of less than five seconds.
"""


@dataclass(frozen=True)
class Fence:
    """Which lock, and the how-manieth holder: what a database refuses a late writer by."""

    name: str
    """Of the lock, with its region."""
    token: int
    """Greater than that of any holder before."""


class KeyValueStoreLock:
    """The right to write one key for a while: a context manager, also an asynchronous one.

    ``lock_timeout`` is in seconds; the region takes the lock from who holds it longer. With ``renew`` it is
    prolonged in the background as long as it is held; ``on_lost(lock)`` is called there, once, when that fails.

    A handle belongs to one holder: what is done by several threads under one lock takes the same handle, and only
    one of them acquires and releases it.
    """

    def __init__(
        self,
        mutex: Mutex,
        key: str,
        locking_enabled: bool = True,
        lock_timeout: float | None = None,
        *,
        renew: bool = False,
        on_lost: Callable[[KeyValueStoreLock], object] | None = None,
    ) -> None:
        self.mutex: Any = mutex
        self.key = key
        self.enabled = locking_enabled
        self.lock_timeout = lock_timeout
        self.active = False
        self.acquire_time = 0.0  # by time.monotonic()
        self._on_lost = on_lost
        self._is_lost = False
        self._is_deferred = False
        self._renewal = Renewal(self) if renew and locking_enabled and lock_timeout else None

    # Holding

    def acquire(self) -> Self:
        """Raises ``UnexpectedError`` when another held it for as long as was to be waited."""
        began = self._begin()
        if self.enabled and self.mutex.acquire() is False:
            raise LockNotAcquiredError(self.key, time.monotonic() - began)
        self._have()
        if self._renewal:
            self._renewal.start()
        return self

    def release(self) -> None:
        """Raises ``LockNotHeldError`` when it is not held, and ``LockTimeout`` when it had been taken away."""
        self._end()
        if self._renewal:
            self._renewal.stop()
        if self.enabled and self.mutex.release() is False:
            raise LockTimeout(self.key, self.lock_timeout)

    def renew(self) -> None:
        """Hold it for another ``lock_timeout``. Raises ``LockNotHeldError``, or ``LockTimeout`` if it is lost."""
        self._must_be_active()
        began = time.monotonic()
        if self.enabled and self.mutex.renew() is False:
            self._lose()
            raise LockTimeout(self.key, self.lock_timeout)
        self.acquire_time = began

    async def aacquire(self) -> Self:
        """``acquire`` for a coroutine."""
        began = self._begin()
        if self.enabled and await self._awaited("acquire") is False:
            raise LockNotAcquiredError(self.key, time.monotonic() - began)
        self._have()
        if self._renewal:
            self._renewal.astart()
        return self

    async def arelease(self) -> None:
        """``release`` for a coroutine."""
        self._end()
        if self._renewal:
            await self._renewal.astop()
        if self.enabled and await self._awaited("release") is False:
            raise LockTimeout(self.key, self.lock_timeout)

    async def arenew(self) -> None:
        """``renew`` for a coroutine."""
        self._must_be_active()
        began = time.monotonic()
        if self.enabled and await self._awaited("renew") is False:
            self._lose()
            raise LockTimeout(self.key, self.lock_timeout)
        self.acquire_time = began

    async def _awaited(self, method: str) -> Any:
        own = getattr(self.mutex, f"a{method}", None)
        return await (own() if own else asyncio.to_thread(getattr(self.mutex, method)))

    def _begin(self) -> float:
        if self.active:
            raise UnexpectedError(
                f"This handle holds the lock of key {self.key!r} already. Ask for one of its own."
            )
        return time.monotonic()

    def _have(self) -> None:
        self.acquire_time = time.monotonic()
        self.active, self._is_lost, self._is_deferred = True, False, False

    def _end(self) -> None:
        self._must_be_active()
        self.active = False

    def _must_be_active(self) -> None:
        if not self.active:
            raise LockNotHeldError(self.key)

    def _lose(self) -> None:
        """The server has given the lock to another, or nobody can tell any more."""
        if not self._is_lost:
            self._is_lost = True
            log.warning("A lock of region %r was lost while it was held.", self.region)
            if self._on_lost:
                self._on_lost(self)

    # What it authorises

    @property
    def expired(self) -> bool:
        """Whether another may hold it by now."""
        if self._is_lost or getattr(self.mutex, "is_over", False):
            return True
        if not self.lock_timeout:
            return False
        window = min(LOCK_WINDOW, self.lock_timeout / 5)
        return time.monotonic() - self.acquire_time + window > self.lock_timeout

    @property
    def fence(self) -> int | None:
        """The fencing token of this acquisition; ``None`` where the mutex has none."""
        return getattr(self.mutex, "fence", None)

    def check(self, key: str | None = None) -> None:
        """Raises ``WrongLockError`` for another key, ``LockNotHeldError`` unless it is held, ``LockTimeout``."""
        if key is not None and key != self.key:
            raise WrongLockError(self.key, key)
        self._must_be_active()
        if self.expired:
            raise LockTimeout(self.key, self.lock_timeout)

    def as_fence(self) -> Fence:
        """For ``Store.save(fence=)`` and ``check_fence``. Raises what ``check`` does, and ``UnexpectedError``."""
        self.check()
        if self.fence is None:
            raise UnexpectedError(
                f"The lock of key {self.key!r} has no fencing token: its backend, or locking, has none."
            )
        return Fence(self.mutex.name, self.fence)

    # Contexts

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.active or self._is_deferred:
            return
        try:
            self.release()
        except Exception as late:
            if error is None:
                raise
            self._log(late)  # the error that is under way says more

    async def __aenter__(self) -> Self:
        return await self.aacquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.active or self._is_deferred:
            return
        try:
            await self.arelease()
        except Exception as late:
            if error is None:
                raise
            self._log(late)

    def release_after_commit(self, using: str | None = None) -> None:
        """Hold it until the transaction that is open on this alias has ended, whatever way, and release it then.

        Leaving the ``with`` releases nothing then. Raises ``UnexpectedError`` outside a transaction.
        """
        from fieldstone.kvs.deferral import release_at_the_end  # needs Django

        self._must_be_active()
        release_at_the_end(self, using)
        self._is_deferred = True

    @property
    def region(self) -> str:
        """Whose it is, for logs, which keys do not belong in: with Keystone they were tokens."""
        return getattr(self.mutex, "region", "")

    def _log(self, error: Exception) -> None:
        log.warning("A lock of region %r could not be released: %s", self.region, type(error).__name__)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key!r}, {'held' if self.active else 'not held'}>"

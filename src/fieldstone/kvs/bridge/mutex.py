"""A backend's lock as the mutex that dogpile.cache asks for."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import Any, Protocol

from dogpile.cache.api import CacheMutex

from fieldstone.errors import LockNotAcquiredError

log = logging.getLogger("fieldstone.kvs")


class Locks(Protocol):
    """What ``fieldstone.kvs.backends.base.Backend`` says of locks, as far as it is needed here."""

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None: ...
    def release(self, name: str, token: str) -> bool: ...
    def renew(self, name: str, token: str, timeout: float) -> bool: ...
    def locked(self, name: str) -> bool: ...


class BackendMutex(CacheMutex):
    """One lock by name. Each acquisition has an owner of its own, also where threads share the object.

    It is held for ``timeout`` seconds at most, and waited for ``blocking_timeout`` seconds at most.
    """

    def __init__(self, locks: Locks, name: str, *, timeout: float, blocking_timeout: float) -> None:
        self.name = name
        self.timeout = timeout
        self.blocking_timeout = blocking_timeout
        self.fence: int | None = None
        self._locks = locks
        self._guard = threading.Lock()
        self._owners: list[tuple[int, str]] = []  # threads and their tokens, the oldest first

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        return (
            NotImplemented  # dogpile's takes all that can be acquired and released for subclasses, of this one too
        )

    def acquire(self, wait: bool = True) -> bool:
        """Raises ``LockNotAcquiredError`` after waiting in vain: dogpile would not look at ``False`` then."""
        token, began = uuid.uuid4().hex, time.monotonic()
        fence = self._locks.acquire(self.name, token, self.timeout, self.blocking_timeout if wait else 0.0)
        if fence is None:
            if wait:
                raise LockNotAcquiredError(self.name, time.monotonic() - began)
            return False
        with self._guard:
            self.fence = fence
            self._owners.append((threading.get_ident(), token))
        return True

    def release(self) -> bool:  # type: ignore[override]  # dogpile's gives None, and our locks want to know
        """Let go what this thread acquired last, if none then what was acquired first; whether it was still held.

        dogpile's asynchronous creators release in another thread than the one that acquired.
        """
        token = self._taken()
        is_released = token is not None and self._locks.release(self.name, token)
        if not is_released:
            log.warning("A lock was not held any more when it was released: its %g s were over.", self.timeout)
        return is_released

    def renew(self) -> bool:
        """Hold it for another ``timeout``; whether it was still held."""
        with self._guard:
            token = self._owners[self._own()][1] if self._owners else None
        return token is not None and self._locks.renew(self.name, token, self.timeout)

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self._locks.locked(self.name)

    def _taken(self) -> str | None:
        with self._guard:
            return self._owners.pop(self._own())[1] if self._owners else None

    def _own(self) -> int:
        me = threading.get_ident()
        mine = [index for index, (thread, _) in enumerate(self._owners) if thread == me]
        return mine[-1] if mine else 0

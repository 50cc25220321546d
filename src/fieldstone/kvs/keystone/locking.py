"""What makes Keystone's locks honest: owners, bounded waits, and no thread that waits for itself."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dogpile.cache.api import CacheMutex

from fieldstone.errors import LockNotAcquiredError, UnexpectedError, UnsupportedError
from fieldstone.kvs.bridge import BackendMutex

NEVER = 29 * 86_400
"""Seconds that stand for a lock that does not expire: memcached takes 30 days and more for a date."""

_POLLS = 0.005, 0.2
"""Seconds between the first tries to get a lock, and between the later ones."""


@dataclass(frozen=True)
class LockTimes:
    """For how long locks are held and waited for, in seconds."""

    held: float = 6.0
    waited: float = 10.0

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> LockTimes:
        """By ``lock_timeout`` (0: never expires), ``blocking_timeout`` (by default twice that, or 10), and
        ``max_lock_attempts``, which bounds the wait by so many seconds: Keystone's tries were up to one apart.

        Raises ``ValueError``.
        """
        held = _number("lock_timeout", arguments.get("lock_timeout"))
        waited = _number("blocking_timeout", arguments.get("blocking_timeout"))
        attempts = _number("max_lock_attempts", arguments.get("max_lock_attempts"))
        if waited is None:
            waited = 2 * held if held else cls.waited
        return cls(held or NEVER, min(waited, math.inf if attempts is None else attempts))


class _Holder(NamedTuple):
    thread: threading.Thread | None  # none for coroutines, which change theirs
    until: float  # by time.monotonic()


class StoreMutex(CacheMutex):
    """One holder's side of a mutex that a backend made, whoever wrote the backend.

    ``holders`` is the store's: which thread holds what. A mutex of ours waits by itself, fairly; another is asked
    again and again, so that no wait is without end.
    """

    def __init__(self, key: str, name: str, mutex: Any, holders: dict[str, _Holder], times: LockTimes) -> None:
        self.key = key
        self.name = name
        self.mutex = mutex
        self._holders = holders
        self._times = times
        self._holder: _Holder | None = None

    @property
    def fence(self) -> int | None:
        """The fencing token; ``None`` for mutexes of others."""
        return getattr(self.mutex, "fence", None)

    def acquire(self, wait: bool = True) -> bool:
        """Raises ``UnexpectedError`` for a thread that holds it, and after waiting in vain."""
        if self._is_mine():
            if not wait:
                return False
            raise UnexpectedError(
                f"This thread holds the lock of key {self.key!r} already, and would wait for itself. Give that"
                " lock to set() and delete()."
            )
        return self._have(wait, threading.current_thread())

    async def aacquire(self, wait: bool = True) -> bool:
        """``acquire`` for a coroutine, which may wait for itself, but not without end."""
        return await asyncio.to_thread(self._have, wait, None)

    def release(self) -> Any:
        """``False`` when it was not held any more, or never: nothing is released then."""
        holder, self._holder = self._holder, None
        if holder is None:
            return False
        if self._holders.get(self.name) is holder:
            del self._holders[self.name]
        return self.mutex.release()

    def renew(self) -> bool:
        """Hold it for another ``lock_timeout``; whether it was still held. Raises ``UnsupportedError``."""
        if not isinstance(self.mutex, BackendMutex):
            raise UnsupportedError("", "a mutex of another's", "renew a lock")
        if self._holder is None or not self.mutex.renew():
            return False
        self._holder = self._holder._replace(until=time.monotonic() + self._times.held)
        self._holders[self.name] = self._holder
        return True

    def locked(self) -> bool:
        """Whether anybody holds it, as far as its maker tells."""
        return self.name in self._holders if not hasattr(self.mutex, "locked") else bool(self.mutex.locked())

    def _is_mine(self) -> bool:
        holder = self._holders.get(self.name)
        return (
            holder is not None and holder.thread is threading.current_thread() and holder.until > time.monotonic()
        )

    def _have(self, wait: bool, thread: threading.Thread | None) -> bool:
        if not self._take(wait):
            return False
        self._holder = _Holder(thread, time.monotonic() + self._times.held)
        self._holders[self.name] = self._holder
        return True

    def _take(self, wait: bool) -> bool:
        began = time.monotonic()
        try:
            if not wait or isinstance(self.mutex, BackendMutex):
                return bool(self.mutex.acquire(wait))
            if polled(lambda: bool(self.mutex.acquire(False)), self._times.waited):
                return True
        except LockNotAcquiredError as error:
            raise LockNotAcquiredError(self.key, error.waited) from None  # its key is a name of the server
        raise LockNotAcquiredError(self.key, time.monotonic() - began)


class ClientLocks:
    """Locks of any memcached client, by its ``add``. Best effort: owners are compared and deleted in two steps."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client
        self._guard = threading.Lock()
        self._until: dict[str, float] = {}  # tokens of this process, by time.monotonic()
        self._fence = 0

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        began = time.monotonic()

        def add() -> bool:
            nonlocal began
            began = time.monotonic()
            return bool(self._client().add(name, token, math.ceil(timeout)))

        if not polled(add, wait):
            return None
        with self._guard:
            self._until[token] = began + timeout
            self._fence = max(self._fence + 1, time.time_ns() // 1000)
            return self._fence

    def release(self, name: str, token: str) -> bool:
        with self._guard:
            until = self._until.pop(token, 0.0)
        if until <= time.monotonic():
            return False  # the server has let it go, and it may be another's
        client = self._client()
        if hasattr(client, "get") and client.get(name) not in (token, token.encode()):
            return False
        client.delete(name)
        return True

    def renew(self, name: str, token: str, timeout: float) -> bool:
        raise UnsupportedError("", "a driver of dogpile.cache", "renew a lock")

    def locked(self, name: str) -> bool:
        return self._client().get(name) is not None


def polled(attempt: Callable[[], bool], wait: float) -> bool:
    """Try at once and then again, more and more slowly, for ``wait`` seconds; whether a try succeeded."""
    until, pause = time.monotonic() + wait, _POLLS[0]
    while not attempt():
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, _POLLS[1])
    return True


def _number(name: str, value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
        raise ValueError(f"{name} is {value!r}, and should be a number of seconds, 0 or more")
    return None if value is None else float(value)

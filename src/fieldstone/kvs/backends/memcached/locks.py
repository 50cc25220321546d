"""Locks on memcached: best effort.

A lock is an item that only one owner can add. The server may drop it before its time, when it is restarted or
needs the room, and then a second owner gets in while the first still works: what must not happen twice wants the
fencing token checked where it is written (``fieldstone.kvs.fencing``), or another backend.

Nobody deletes another's item: what an owner lets go is replaced, unless it was changed since it was read, by one
that expires at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from abc import abstractmethod
from typing import Any

from fieldstone.kvs.backends.base import Backend
from fieldstone.kvs.backends.memcached.changing import Write, changed
from fieldstone.kvs.backends.memcached.drivers import Driver
from fieldstone.kvs.backends.memcached.expiry import dated, entry_in
from fieldstone.kvs.backends.polling import Attempt, Pauses, agranted, granted

_LOCK, _FENCE = RESERVED = ("fieldstone-lock:", "fieldstone-fence:")
"""How the names of the items begin."""

_EXPIRED = -1
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


class MemcachedLocks(Backend):
    """The locks of ``MemcachedBackend``, without the entries."""

    @abstractmethod
    def _driver(self, name: str) -> Driver:
        """The server that a name is on."""

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        return granted(_Attempt(self, name, token, timeout), wait)

    async def acall(self, method: str, *args: Any) -> Any:
        if method != "acquire":
            return await super().acall(method, *args)
        *lock, wait = args
        return await agranted(_Attempt(self, *lock), wait, asyncio.to_thread)

    def release(self, name: str, token: str) -> bool:
        return self._replace(name, token, b"", _EXPIRED)

    def renew(self, name: str, token: str, timeout: float) -> bool:
        return self._replace(name, token, *dated(token.encode(), timeout))

    def locked(self, name: str) -> bool:
        key = _key(_LOCK, name)
        return entry_in(self._driver(key).get(key)) is not None

    def _replace(self, name: str, token: str, value: bytes, expire: int) -> bool:
        key = _key(_LOCK, name)
        driver = self._driver(key)
        stored, unique = driver.gets(key)
        if unique is None or entry_in(stored) != token.encode():
            return False
        return driver.cas(key, value, unique, expire)

    def _take(self, name: str, token: str, timeout: float) -> int | None:
        """One try. The fencing token."""
        key, write = _key(_LOCK, name), Write(*dated(token.encode(), timeout))
        driver = self._driver(key)

        def replace_ended(stored: bytes | None) -> tuple[Write | None, bool]:
            # The server drops it up to two seconds after its end, which is what counts.
            is_free = entry_in(stored) is None
            return (write if is_free else None), is_free

        if driver.add(key, *write) or changed(driver, key, replace_ended):
            return self._next_fence(name)
        return None

    def _next_fence(self, name: str) -> int:
        """Greater than the one before; after a restart or an eviction as far as the machines' clocks agree."""

        def count(stored: bytes | None) -> tuple[Write, int]:
            fence = max(int(stored or 0) + 1, time.time_ns() // 1000)
            return Write(b"%d" % fence, 0), fence

        key = _key(_FENCE, name)
        return changed(self._driver(key), key, count)


class _Attempt(Attempt):
    def __init__(self, locks: MemcachedLocks, name: str, token: str, timeout: float) -> None:
        self._locks = locks
        self._lock = name, token, timeout
        self._pauses = Pauses(_SHORTEST_PAUSE, _LONGEST_PAUSE)

    def once(self, left: float) -> int | None:
        return self._locks._take(*self._lock)

    def pause(self) -> float:
        return self._pauses.next()

    def undo(self) -> None:
        self._locks.release(*self._lock[:2])


def _key(prefix: str, name: str) -> str:
    """An item's name: a digest stands for what is too long, and for what memcached does not take."""
    key = prefix + name
    if len(key) > 250 or not (name.isascii() and name.isprintable() and " " not in name):
        key = prefix + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return key

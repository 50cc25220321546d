"""``OwnedMutex``: one owner's lock of a backend, which ``KeyValueStoreLock`` is a handle to."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Protocol, TypeAlias
from weakref import WeakValueDictionary

from fieldstone.errors import UnexpectedError
from fieldstone.kvs.backends.base import Backend


class Mutex(Protocol):
    """What excludes others: a backend's lock, or one of dogpile.cache. ``False`` says no, all else yes."""

    def acquire(self) -> Any: ...
    def release(self) -> Any: ...


class Caller(Protocol):
    """Makes calls of a backend, and tells its errors as ours."""

    region: str
    backend: Backend

    def call(self, method: str, *args: Any) -> Any: ...
    async def acall(self, method: str, *args: Any) -> Any: ...


class OwnedMutex:
    """A lock of a backend. Each acquisition is of an owner of its own."""

    def __init__(self, caller: Caller, name: str, timeout: float, blocking_timeout: float) -> None:
        self.name = name
        self.region = caller.region
        self.timeout = timeout
        self.blocking_timeout = blocking_timeout
        self.fence: int | None = None
        self._owner = ""
        self._caller = caller
        self._holder: Held | None = None  # what the thread holds that acquired it
        self._until = 0.0  # by time.monotonic()

    def acquire(self, wait: bool = True) -> bool:
        """Raises ``UnexpectedError`` at once if this very thread holds it: it would wait for itself."""
        own = _of_this_thread()
        held = own.get((self._caller, self.name))
        if held is not None and held._until > time.monotonic():
            raise UnexpectedError(
                f"This thread holds the lock of region {self.region!r} that it asks for. Use the one that it has."
            )
        owner = os.urandom(16).hex()
        began = time.monotonic()
        if not self._take(owner, self._caller.call("acquire", *self._asked(owner, wait))):
            return False
        self._holder, self._until = own, began + self.timeout
        own[self._caller, self.name] = self
        return True

    def release(self) -> bool:
        self._forget()
        return bool(self._caller.call("release", self.name, self._owner))

    def renew(self) -> bool:
        began = time.monotonic()
        is_renewed = bool(self._caller.call("renew", self.name, self._owner, self.timeout))
        if is_renewed:
            self._until = began + self.timeout
        return is_renewed

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return bool(self._caller.call("locked", self.name))

    @property
    def is_over(self) -> bool:
        """Whether the transaction that it was held in is known to have ended."""
        return self._caller.backend.is_over(self.name, self._owner)

    def leave_thread(self) -> None:
        """For a thread that renewed it: nothing of that stays open."""
        self._caller.backend.leave_thread()

    async def aacquire(self, wait: bool = True) -> bool:
        owner = os.urandom(16).hex()
        return self._take(owner, await self._caller.acall("acquire", *self._asked(owner, wait)))

    async def arelease(self) -> bool:
        self._forget()
        return bool(await self._caller.acall("release", self.name, self._owner))

    async def arenew(self) -> bool:
        return bool(await self._caller.acall("renew", self.name, self._owner, self.timeout))

    def _asked(self, owner: str, wait: bool) -> tuple[str, str, float, float]:
        return self.name, owner, self.timeout, self.blocking_timeout if wait else 0.0

    def _take(self, owner: str, fence: int | None) -> bool:
        if fence is None:
            return False
        self._owner, self.fence = owner, fence
        return True

    def _forget(self) -> None:
        if self._holder is not None and self._holder.get((self._caller, self.name)) is self:
            del self._holder[self._caller, self.name]


Held: TypeAlias = WeakValueDictionary[tuple[Caller, str], OwnedMutex]
"""What a thread holds. Not its coroutines: of those, one may well wait for another."""

_here = threading.local()
os.register_at_fork(after_in_child=lambda: _here.__dict__.clear())


def _of_this_thread() -> Held:
    held: Held = _here.__dict__.setdefault("held", WeakValueDictionary())
    return held

"""Entries in the memory of this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fieldstone.kvs.backends.base import Abilities, Backend
from fieldstone.kvs.entries import incremented, version_of
from fieldstone.kvs.options import is_integer


class _Kept(NamedTuple):
    entry: bytes
    expires: float | None  # by the backend's clock


@dataclass
class _Held:
    """A lock: its owner until when, and who waits for it, the longest first."""

    owner: str = ""
    expires: float = 0.0
    waiting: deque[str] = field(default_factory=deque)


class MemoryBackend(Backend):
    """For the threads of one process, and no longer than it lives.

    Beyond ``max_bytes`` of names and entries the ones that were longest unused are dropped.
    """

    kind = "memory"

    def __init__(
        self, region: str, *, max_bytes: int = 64 * 2**20, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not is_integer(max_bytes, at_least=1):
            raise ValueError(f"max_bytes is {max_bytes!r}, and should be a number of bytes, 1 or more")
        self.abilities = Abilities(
            shared=False, durable=False, evicts=True, atomic_bulk=True, max_value_bytes=max_bytes
        )
        self._max_bytes = max_bytes
        self._clock = clock
        self._changed = threading.Condition()  # its lock guards all that follows
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the longest unused first
        self._bytes = 0
        self._locks: dict[str, _Held] = {}
        self._withdrawn: set[str] = set()  # of those who wait no more, and do not know it yet
        self._fence = 0

    # Entries

    def get(self, name: str) -> bytes | None:
        with self._changed:
            return self._get(name)

    def get_many(self, names: Sequence[str]) -> Sequence[bytes | None]:
        with self._changed:
            return [self._get(name) for name in names]

    def set(self, name: str, entry: bytes, ttl: float | None) -> None:
        with self._changed:
            self._set(name, entry, None if ttl is None else self._clock() + ttl)

    def set_many(self, entries: Mapping[str, bytes], ttl: float | None) -> None:
        with self._changed:
            expires = None if ttl is None else self._clock() + ttl
            for name, entry in entries.items():
                self._set(name, entry, expires)

    def delete(self, name: str) -> bool:
        return self.delete_many([name]) > 0

    def delete_many(self, names: Sequence[str]) -> int:
        with self._changed:
            there = [name for name in dict.fromkeys(names) if self._get(name) is not None]
            for name in there:
                self._drop(name)
            return len(there)

    def add(self, name: str, entry: bytes, ttl: float | None) -> bool:
        with self._changed:
            if self._get(name) is not None:
                return False
            self._set(name, entry, None if ttl is None else self._clock() + ttl)
            return True

    def incr(self, name: str, by: int, initial: int, ttl: float | None) -> int:
        with self._changed:
            entry = self._get(name)
            changed, total = incremented(entry, by, initial)
            if entry is not None:
                expires = self._kept[name].expires
            else:
                expires = None if ttl is None else self._clock() + ttl
            self._set(name, changed, expires)
            return total

    def compare_and_set(self, name: str, entry: bytes, version: bytes, ttl: float | None) -> bool:
        with self._changed:
            stored = self._get(name)
            if stored is None or version_of(stored) != version:
                return False
            self._set(name, entry, None if ttl is None else self._clock() + ttl)
            return True

    def touch(self, name: str, ttl: float | None) -> bool:
        with self._changed:
            entry = self._get(name)
            if entry is None:
                return False
            self._set(name, entry, None if ttl is None else self._clock() + ttl)
            return True

    def scan(self, prefix: str, cursor: Any, count: int) -> tuple[list[str], Any]:
        with self._changed:
            found = [name for name in list(self._kept) if name.startswith(prefix) and self._get(name, use=False)]
        return found, None

    def _get(self, name: str, *, use: bool = True) -> bytes | None:
        kept = self._kept.get(name)
        if kept is None:
            return None
        if kept.expires is not None and kept.expires <= self._clock():
            self._drop(name)
            return None
        if use:
            self._kept.move_to_end(name)
        return kept.entry

    def _set(self, name: str, entry: bytes, expires: float | None) -> None:
        if name in self._kept:
            self._drop(name)
        self._kept[name] = _Kept(entry, expires)
        self._bytes += len(name) + len(entry)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: str) -> None:
        self._bytes -= len(name) + len(self._kept.pop(name).entry)

    # Locks

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        until = time.monotonic() + wait
        with self._changed:
            held = self._locks.setdefault(name, _Held())
            held.waiting.append(token)
            try:
                while held.waiting[0] != token or held.expires > self._clock():
                    left = until - time.monotonic()
                    if left <= 0 or token in self._withdrawn:
                        return None
                    # Not beyond the holder's end: nobody tells of that.
                    self._changed.wait(min(left, max(held.expires - self._clock(), 0.001)))
                held.owner, held.expires = token, self._clock() + timeout
            finally:
                held.waiting.remove(token)
                self._withdrawn.discard(token)
                self._forget(name, held)
                self._changed.notify_all()
            self._fence = max(self._fence + 1, time.time_ns() // 1000)
            return self._fence

    def release(self, name: str, token: str) -> bool:
        with self._changed:
            held = self._locks.get(name)
            if held is None or held.owner != token or held.expires <= self._clock():
                return False
            held.owner, held.expires = "", 0.0
            self._forget(name, held)
            self._changed.notify_all()
            return True

    def renew(self, name: str, token: str, timeout: float) -> bool:
        with self._changed:
            held = self._locks.get(name)
            if held is None or held.owner != token or held.expires <= self._clock():
                return False
            held.expires = self._clock() + timeout
            return True

    def locked(self, name: str) -> bool:
        with self._changed:
            held = self._locks.get(name)
            return held is not None and held.expires > self._clock()

    def _forget(self, name: str, held: _Held) -> None:
        if not held.waiting and held.expires <= self._clock():
            del self._locks[name]

    # Asynchronous use, and the end

    async def acall(self, method: str, *args: Any) -> Any:
        # Only a lock waits; all else is done before a thread would have begun.
        return await super().acall(method, *args) if method == "acquire" else getattr(self, method)(*args)

    def withdraw(self, name: str, token: str) -> None:
        with self._changed:
            held = self._locks.get(name)
            if held is not None and token in held.waiting:
                self._withdrawn.add(token)
                self._changed.notify_all()

    def server_statistics(self) -> Mapping[str, str]:
        with self._changed:
            return {"entries": str(len(self._kept)), "bytes": f"{self._bytes:,}"}

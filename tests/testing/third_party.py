"""A backend of somebody else's: a dict. It does what it has to, and its broken siblings stand on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from fieldstone.kvs.backends.base import Abilities, Backend
from fieldstone.kvs.entries import incremented, version_of


class DictBackend(Backend):
    kind = "a dict"
    abilities = Abilities(shared=False, durable=False, evicts=False, atomic_bulk=True, fair_locks=False)

    def __init__(self, region: str, *, first_fence: int = 1) -> None:
        self.kept: dict[str, tuple[bytes, float]] = {}
        self.held: dict[str, tuple[str, float]] = {}
        self.fences = count(first_fence)
        self.changed = threading.Condition()

    # Entries

    def get(self, name: str) -> bytes | None:
        with self.changed:
            entry, until = self.kept.get(name, (None, 0.0))
            return entry if until > time.monotonic() else None

    def get_many(self, names: Sequence[str]) -> Sequence[bytes | None]:
        return [self.get(name) for name in names]

    def set(self, name: str, entry: bytes, ttl: float | None) -> None:
        with self.changed:
            self.kept[name] = entry, self.end_of(ttl)

    def set_many(self, entries: Mapping[str, bytes], ttl: float | None) -> None:
        with self.changed:
            for name, entry in entries.items():
                self.set(name, entry, ttl)

    def delete(self, name: str) -> bool:
        with self.changed:
            is_there = self.get(name) is not None
            self.kept.pop(name, None)
            return is_there

    def delete_many(self, names: Sequence[str]) -> int:
        return sum(map(self.delete, names))

    def add(self, name: str, entry: bytes, ttl: float | None) -> bool:
        with self.changed:
            if self.get(name) is not None:
                return False
            self.set(name, entry, ttl)
            return True

    def incr(self, name: str, by: int, initial: int, ttl: float | None) -> int:
        with self.changed:
            stored = self.get(name)
            entry, total = incremented(stored, by, initial)
            self.kept[name] = entry, self.end_of(ttl) if stored is None else self.kept[name][1]
            return total

    def compare_and_set(self, name: str, entry: bytes, version: bytes, ttl: float | None) -> bool:
        with self.changed:
            stored = self.get(name)
            if stored is None or version_of(stored) != version:
                return False
            self.set(name, entry, ttl)
            return True

    def touch(self, name: str, ttl: float | None) -> bool:
        with self.changed:
            stored = self.get(name)
            if stored is not None:
                self.set(name, stored, ttl)
            return stored is not None

    def scan(self, prefix: str, cursor: Any, count: int) -> tuple[list[str], Any]:
        with self.changed:
            return [name for name in self.kept if name.startswith(prefix) and self.get(name)], None

    def end_of(self, seconds: float | None) -> float:
        return float("inf") if seconds is None else time.monotonic() + seconds

    # Locks

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        until = time.monotonic() + wait
        with self.changed:
            while self.locked(name):
                if time.monotonic() >= until or self.owns(name, token):
                    return None
                self.changed.wait(min(until, self.held[name][1]) - time.monotonic())
            self.held[name] = token, self.end_of(timeout)
            return next(self.fences)

    def release(self, name: str, token: str) -> bool:
        with self.changed:
            if not self.owns(name, token):
                return False
            del self.held[name]
            self.changed.notify_all()
            return True

    def renew(self, name: str, token: str, timeout: float) -> bool:
        with self.changed:
            if not self.owns(name, token):
                return False
            self.held[name] = token, self.end_of(timeout)
            return True

    def locked(self, name: str) -> bool:
        with self.changed:
            return self.held.get(name, ("", 0.0))[1] > time.monotonic()

    def owns(self, name: str, token: str) -> bool:
        return self.locked(name) and self.held[name][0] == token


class ModestBackend(DictBackend):
    """It can do what every backend has to do, and says so."""

    kind = "a modest dict"
    abilities = Abilities(
        shared=False,
        durable=False,
        evicts=False,
        atomic_bulk=True,
        add=False,
        incr=False,
        compare_and_set=False,
        touch=False,
        iterate=False,
        fair_locks=False,
        fencing=False,
    )

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        return None if super().acquire(name, token, timeout, wait) is None else 0

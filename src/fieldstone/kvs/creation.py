"""Creating what is missing: one caller does, and the others wait, or make do with the old value."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from typing import Any

from fieldstone.errors import LockNotAcquiredError, ServiceUnavailable
from fieldstone.kvs.entries import NO_GENERATION, Entry
from fieldstone.kvs.operations import Operations
from fieldstone.kvs.options import is_number
from fieldstone.kvs.runner import CREATE, Steps


class CreatingOperations(Operations):
    """The operations on keys of a region, ``get_or_create`` among them."""

    def get_or_create(
        self, key: str, create: Callable[[], Any], ttl: float | None, stale: float, timeout: float, wait: float
    ) -> Steps[Any]:
        """The value; if there is none, what one caller's ``create()`` gives. See ``Region.get_or_create``."""
        lasting = self.lasting(ttl)
        if not is_number(stale) or stale < 0:
            raise ValueError(f"stale is {stale!r}, and should be a number of seconds, 0 or more")
        try:
            generation, entry = yield from self._found(key)
            if entry is not None and entry.fresh_until > time.time():
                return entry.value
            owner, name = uuid.uuid4().hex, self._named(self._creation_prefix, key)
            began = time.monotonic()
            fence = yield ("acquire", name, owner, timeout, 0.0 if entry is not None else wait)
        except ServiceUnavailable:
            if not self._is_fail_open:
                raise
            return (yield (CREATE, create))
        if fence is None:
            if entry is not None:
                return entry.value
            raise LockNotAcquiredError(key, time.monotonic() - began)
        try:
            generation, entry = yield from self._found(key)
            if entry is not None and entry.fresh_until > time.time():
                return entry.value  # another has created it meanwhile
            value = yield (CREATE, create)
            yield from self._keep(key, value, lasting, stale, generation)
            return value
        finally:
            yield from self._let_go(name, owner)

    def _found(self, key: str) -> Steps[tuple[bytes, Entry | None]]:
        """The generation that counts, and the entry, fresh or not, if it is of that."""
        try:
            found = yield ("get", self.name(key))
        except ServiceUnavailable:
            if not self._is_fail_open:
                raise
            return NO_GENERATION, None
        return NO_GENERATION, self._counted(key, found)

    def _counted(self, key: str, found: bytes | None) -> Entry | None:
        entry = None if found is None else self._entry(key, found)
        is_fresh = entry is not None and entry.fresh_until > time.time()
        self._statistics.read(is_fresh, not is_fresh, len(found or b""))
        return entry

    def _keep(self, key: str, value: Any, ttl: float | None, stale: float, generation: bytes) -> Steps[None]:
        entry = self.encoded(key, value)
        fresh_until = math.inf if ttl is None or not stale else time.time() + ttl
        if generation != NO_GENERATION or not math.isinf(fresh_until):
            entry = self.codec.extended(entry, fresh_until, generation)
        try:
            lasts = None if ttl is None else ttl + stale
            yield from self._written(key, "set", self.name(key), entry, lasts)
            self._statistics.wrote(1, len(entry))
        except ServiceUnavailable:
            if not self._is_fail_open:
                raise

    def _let_go(self, name: str, owner: str) -> Steps[None]:
        try:
            yield ("release", name, owner)
        except ServiceUnavailable:
            if not self._is_fail_open:
                raise

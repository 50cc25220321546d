"""dogpile.cache's proxies around any backend of ours.

Proxies see what they would see around dogpile's memory backend: ``CachedValue(value, metadata)`` or ``NO_VALUE``.
So an entry is read before they get it and written again after them, on both sides. What it has beside its value
travels in the metadata under ``fieldstone``; a proxy that makes new metadata drops that, and with it the time to
live.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.utils.module_loading import import_string
from dogpile.cache.api import NO_VALUE, CacheBackend, CachedValue, CacheReturnType
from dogpile.cache.proxy import ProxyBackend
from dogpile.cache.region import value_version

from fieldstone.errors import InvalidEntryError, RegionConfigurationError
from fieldstone.kvs.backends.base import Backend
from fieldstone.kvs.entries import NO_GENERATION, VERSION, Codec

_OURS = "fieldstone"
_THROUGH_PROXIES = frozenset({"get", "get_many", "set", "set_many", "delete", "delete_many"})


class ProxiedBackend(Backend):
    """A backend behind proxies, the first listed outermost. Its locks, names and scans are those of ``inner``.

    Raises ``TypeError`` for a proxy that is none, ``RegionConfigurationError`` for a path where nothing is.
    """

    kind = "proxied"

    def __init__(self, inner: Backend, proxies: Iterable[Any], codec: Codec, *, region: str = "") -> None:
        self.inner = inner
        self.kind = inner.kind
        self.unavailable = inner.unavailable
        self.abilities = dataclasses.replace(inner.abilities, add=False, incr=False, compare_and_set=False)
        self.key_mangler = inner.key_mangler
        if hasattr(inner, "use_backend_key_mangler"):
            self.use_backend_key_mangler = inner.use_backend_key_mangler
        self._codec = codec
        self._innermost = _Innermost(inner, codec, region)
        self.outermost: CacheBackend = self._innermost
        for proxy in reversed(load_proxies(proxies, region)):
            self.outermost = proxy.wrap(self.outermost)

    @property
    def address(self) -> str:
        return self.inner.address

    def check_key(self, name: str) -> str | None:
        return self.inner.check_key(name)

    def learn_names(self, name: Callable[[str], str]) -> None:
        self.inner.learn_names(name)

    # Entries

    def get(self, name: str) -> bytes | None:
        return self._entry(self.outermost.get(name))

    def get_many(self, names: Sequence[str]) -> Sequence[bytes | None]:
        return [self._entry(found) for found in self.outermost.get_multi(list(names))]

    def set(self, name: str, entry: bytes, ttl: float | None) -> None:
        self.outermost.set(name, _cached(self._codec, entry, ttl))

    def set_many(self, entries: Mapping[str, bytes], ttl: float | None) -> None:
        self.outermost.set_multi({name: _cached(self._codec, entry, ttl) for name, entry in entries.items()})

    def delete(self, name: str) -> bool:
        with self._innermost.counting() as deleted:
            self.outermost.delete(name)
        return deleted.count > 0

    def delete_many(self, names: Sequence[str]) -> int:
        with self._innermost.counting() as deleted:
            self.outermost.delete_multi(list(names))
        return deleted.count

    def touch(self, name: str, ttl: float | None) -> bool:
        return self.inner.touch(name, ttl)

    def scan(self, prefix: str, cursor: Any, count: int) -> tuple[list[str], Any]:
        return self.inner.scan(prefix, cursor, count)

    def _entry(self, found: Any) -> bytes | None:
        return None if found is NO_VALUE else _written(self._codec, found)

    # Locks

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        return self.inner.acquire(name, token, timeout, wait)

    def release(self, name: str, token: str) -> bool:
        return self.inner.release(name, token)

    def renew(self, name: str, token: str, timeout: float) -> bool:
        return self.inner.renew(name, token, timeout)

    def locked(self, name: str) -> bool:
        return self.inner.locked(name)

    def is_over(self, name: str, token: str) -> bool:
        return self.inner.is_over(name, token)

    def leave_thread(self) -> None:
        self.inner.leave_thread()

    # Asynchronous use, and the end

    async def acall(self, method: str, *args: Any) -> Any:
        if method in _THROUGH_PROXIES:
            return await super().acall(method, *args)
        return await self.inner.acall(method, *args)

    def server_statistics(self) -> Mapping[str, str]:
        return self.inner.server_statistics()

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()


def load_proxies(proxies: Iterable[Any], region: str = "") -> list[ProxyBackend]:
    """Proxies given as classes, objects or dotted paths, as objects. Raises as ``ProxiedBackend`` does."""
    if isinstance(proxies, str) or not isinstance(proxies, Iterable):
        raise TypeError(f"the proxies are {proxies!r}, and should be a sequence of classes or dotted paths")
    return [_proxy(proxy, region) for proxy in proxies]


def _proxy(given: Any, region: str) -> ProxyBackend:
    found = given
    if isinstance(given, str):
        try:
            found = import_string(given)
        except ImportError as error:
            raise RegionConfigurationError(region, f"there is no proxy {given!r} ({error})") from error
    if isinstance(found, type) and issubclass(found, ProxyBackend):
        found = found()
    if not isinstance(found, ProxyBackend):
        raise TypeError(f"the proxy {given!r} is no subclass of dogpile.cache.proxy.ProxyBackend")
    return found


class _Deleted(threading.local):
    """How many entries the call of this thread has deleted; dogpile's own methods do not tell."""

    count = 0

    def __enter__(self) -> _Deleted:
        self.count = 0
        return self

    def __exit__(self, *error: object) -> None: ...


class _Innermost(CacheBackend):
    """What the innermost proxy wraps: values to and from entries of the backend."""

    def __init__(self, inner: Backend, codec: Codec, region: str) -> None:
        self._inner = inner
        self._codec = codec
        self._region = region
        self._deleted = _Deleted()

    def counting(self) -> _Deleted:
        return self._deleted

    def get(self, key: str) -> CacheReturnType:
        return self._value(self._inner.get(key))

    def get_multi(self, keys: Iterable[str]) -> Sequence[CacheReturnType]:
        names = list(keys)
        return [self._value(entry) for entry in self._inner.get_many(names)] if names else []

    def set(self, key: str, value: Any) -> None:
        self._inner.set(key, self._fitting(key, value), _ours(value).get("ttl"))

    def set_multi(self, mapping: Mapping[str, Any]) -> None:
        by_ttl: dict[float | None, dict[str, bytes]] = {}
        for key, value in mapping.items():
            by_ttl.setdefault(_ours(value).get("ttl"), {})[key] = self._fitting(key, value)
        for ttl, entries in by_ttl.items():
            self._inner.set_many(entries, ttl)

    def delete(self, key: str) -> None:
        self._deleted.count += self._inner.delete(key)

    def delete_multi(self, keys: Iterable[str]) -> None:
        if names := list(keys):
            self._deleted.count += self._inner.delete_many(names)

    def _value(self, entry: bytes | None) -> CacheReturnType:
        return NO_VALUE if entry is None else _cached(self._codec, entry, None)

    def _fitting(self, key: str, value: Any) -> bytes:
        """Raises ``InvalidEntryError``: what a proxy makes of a value has not been looked at yet."""
        try:
            entry = _written(self._codec, value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidEntryError(self._region, key, f"what a proxy made of it: {error}") from error
        limit = self._inner.abilities.max_value_bytes
        if limit is not None and len(entry) > limit:
            reason = f"after the proxies it takes {len(entry):,} bytes, and {limit:,} are allowed"
            raise InvalidEntryError(self._region, key, reason)
        return entry


def _cached(codec: Codec, entry: bytes, ttl: float | None) -> CachedValue:
    """An entry as proxies see it. ``ct`` is now: entries do not tell when they were written."""
    value, version, fresh_until, generation = codec.decode(entry)
    ours: dict[str, Any] = {"version": version.hex()}  # plain JSON, as dogpile's: proxies may write it
    if ttl is not None:
        ours["ttl"] = ttl
    if not math.isinf(fresh_until):
        ours["fresh_until"] = fresh_until
    if generation != NO_GENERATION:
        ours["generation"] = generation.hex()
    return CachedValue(value, {"ct": time.time(), "v": value_version, _OURS: ours})


def _written(codec: Codec, cached: CachedValue) -> bytes:
    """The entry of what proxies gave, with what its metadata still tells."""
    entry, ours = codec.encode(cached.payload), _ours(cached)
    if "version" in ours:
        version = bytes.fromhex(ours["version"])
        entry = entry[: VERSION.start] + version + entry[VERSION.stop :]
    if "fresh_until" in ours or "generation" in ours:
        generation = bytes.fromhex(ours["generation"]) if "generation" in ours else NO_GENERATION
        entry = codec.extended(entry, ours.get("fresh_until", math.inf), generation)
    return entry


def _ours(cached: CachedValue) -> Mapping[str, Any]:
    ours: Mapping[str, Any] = cached.metadata.get(_OURS, {})
    return ours

"""``RegionCache``: a region as a cache of Django's.

    CACHES = {"default": {"BACKEND": "fieldstone.kvs.django_cache.RegionCache", "LOCATION": "pages"}}

``LOCATION`` is the name of a region. ``TIMEOUT``, ``KEY_PREFIX``, ``VERSION`` and ``KEY_FUNCTION`` are Django's,
as all rules here are: https://docs.djangoproject.com/en/5.2/topics/cache/. What a value can be is for the region's
serializer to say: whole pages, for one, want ``"SERIALIZER": "pickle"``, which is signed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from fieldstone.errors import NotFound
from fieldstone.kvs.region import Region
from fieldstone.kvs.regions import regions
from fieldstone.values import MISSING


class RegionCache(BaseCache):
    """Django makes one a thread; the region is the same for all."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._name = location

    @property
    def region(self) -> Region:
        return regions[self._name]

    # Reading

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self.region.get(self._key(key, version), default)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        asked = list(keys)
        return _found(asked, self.region.get_multi([self._key(key, version) for key in asked], MISSING))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return self.region.get(self._key(key, version), MISSING) is not MISSING

    # Writing

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        name, ttl = self._key(key, version), self._ttl(timeout)
        if ttl is None:
            self.region.delete(name, missing_ok=True)
        else:
            self.region.set(name, value, ttl=ttl)

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """All of them, or it raises: the list of those that could not be set is empty."""
        ttl = self._ttl(timeout)
        named = {self._key(key, version): value for key, value in data.items()}
        if ttl is None:
            self.region.delete_multi(named)
        else:
            self.region.set_multi(named, ttl=ttl)
        return []

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        name, ttl = self._key(key, version), self._ttl(timeout)
        if ttl is None:
            return self.region.get(name, MISSING) is MISSING
        return self.region.add(name, value, ttl=ttl)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        name, ttl = self._key(key, version), self._ttl(timeout)
        if ttl is None:
            return self.delete(key, version)
        try:
            self.region.touch(name, ttl=ttl)
        except NotFound:
            return False
        return True

    def delete(self, key: Any, version: int | None = None) -> bool:
        try:
            self.region.delete(self._key(key, version))
        except NotFound:
            return False
        return True

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        self.region.delete_multi([self._key(key, version) for key in keys])

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Atomic. Raises ``ValueError`` where there is none."""
        name = self._key(key, version)
        if self.region.get(name, MISSING) is MISSING:
            raise ValueError(f"Key {key!r} not found")
        return self.region.incr(name, delta)

    def get_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """Of all processes one calls ``default`` at a time; the others wait for what it gives."""
        ttl = self._ttl(timeout)
        create = default if callable(default) else lambda: default
        if ttl is None:
            return create()
        return self.region.get_or_create(self._key(key, version), create, ttl=ttl)

    def clear(self) -> None:
        """All of the region. Raises ``UnsupportedError`` where keys cannot be listed, as on memcached."""
        self.region.clear()

    # For coroutines; those that are missing here are Django's own, by these or in a thread

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return await self.region.aget(self._key(key, version), default)

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        asked = list(keys)
        return _found(asked, await self.region.aget_multi([self._key(key, version) for key in asked], MISSING))

    async def aset(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        name, ttl = self._key(key, version), self._ttl(timeout)
        if ttl is None:
            await self.region.adelete(name, missing_ok=True)
        else:
            await self.region.aset(name, value, ttl=ttl)

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        try:
            await self.region.adelete(self._key(key, version))
        except NotFound:
            return False
        return True

    def _key(self, key: Any, version: int | None) -> str:
        return self.make_and_validate_key(key, version=version)

    def _ttl(self, timeout: Any) -> float | None:
        """Seconds; infinity for ever; ``None`` for what is not to be kept at all."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        if timeout is None:
            return math.inf
        return float(timeout) if timeout > 0 else None


def _found(keys: list[Any], values: list[Any]) -> dict[Any, Any]:
    return {key: value for key, value in zip(keys, values, strict=True) if value is not MISSING}

"""In this process: a dictionary of MessagePack's bytes is the floor; it knows no time to live, and no bound."""

from __future__ import annotations

from typing import Any

import msgpack
from django.core.cache.backends.locmem import LocMemCache
from msgpack import packb, unpackb

from bench.regions.base import TTL, Cache, Server, cache_of, django_cache, dogpile_cache, region


def server() -> Server:
    version = ".".join(map(str, msgpack.version))
    # Django's keeps 300 entries unless it is told otherwise.
    django = LocMemCache("bench", {"timeout": TTL, "OPTIONS": {"MAX_ENTRIES": 10_000}})
    caches = [
        _floor(),
        cache_of(region("memory")),
        dogpile_cache("dogpile.cache.memory_pickle"),
        django_cache("Django's LocMemCache", django),
    ]
    return Server("memory", f"msgpack {version}", caches)


def _floor() -> Cache:
    kept: dict[str, bytes] = {}

    def get(key: str) -> Any:
        return unpackb(kept[key])

    def set_(key: str, value: Any) -> None:
        kept[key] = packb(value)

    def get_many(keys: list[str]) -> list[Any]:
        return [unpackb(kept[key]) for key in keys]

    return Cache("dict", get, set_, get_many)

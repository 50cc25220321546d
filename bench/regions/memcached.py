"""On memcached: pymemcache's pool of clients is the floor, for a region is used by many threads."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pymemcache
from django.core.cache.backends.memcached import PyMemcacheCache
from msgpack import packb, unpackb
from pymemcache.client.base import Client, PooledClient

from bench.regions.base import TTL, Cache, Server, cache_of, django_cache, dogpile_cache, key, region


def server(address: str) -> Server:
    # A region waits for the server's answer to what it writes, and so do these.
    options: dict[str, Any] = {"default_noreply": False, "no_delay": True}
    client = Client(address, **options)
    about = client.stats()
    version = f"memcached {about[b'version'].decode()}, pymemcache {pymemcache.__version__}"
    caches = [
        _raw("pymemcache", PooledClient(address, **options)),
        cache_of(region("memcached", url=address)),
        _raw("pymemcache for one thread", client),
        dogpile_cache("dogpile.cache.pymemcache", url=address, memcached_expire_time=TTL),
        django_cache("Django's PyMemcacheCache", PyMemcacheCache(address, {"timeout": TTL})),
    ]
    _connect(address, caches, int(about[b"threads"]))
    return Server("memcached", version, caches, address=address)


def _connect(address: str, caches: list[Cache], threads: int) -> None:
    """Put all on the same thread of the server.

    It gives its threads to connections in turn, and each has its place on the processors: two of them would be
    compared, and not two clients.
    """
    for cache in caches:
        for _ in range(threads - 1):
            with closing(Client(address)) as other:
                other.version()  # takes its turn
        cache.set(key(cache.title), 0)


def _raw(title: str, client: Any) -> Cache:
    def get(key: str) -> Any:
        return unpackb(client.get(key))

    def set_(key: str, value: Any) -> None:
        client.set(key, packb(value), expire=TTL)

    def get_many(keys: list[str]) -> list[Any]:
        found = client.get_many(keys)
        return [unpackb(found[key]) for key in keys]

    return Cache(title, get, set_, get_many)

"""How the tests make servers forget."""

from __future__ import annotations

import os

from fieldstone.kvs import Region
from tests.kvs.backends import Kind


def forget_locks(kind: Kind, region: Region) -> None:
    """Make the server forget all locks of the region, as a restart, a flush or an eviction does."""
    if kind.name == "memory":
        region.backend._locks.clear()
    elif kind.name == "redis":
        _forget_redis(region.name)
    elif kind.name == "memcached":
        _flush_memcached()
    else:
        _forget_rows(kind.alias, region.name)


def _forget_redis(name: str) -> None:
    import redis

    with redis.Redis.from_url(os.environ["FIELDSTONE_REDIS_URL"]) as client:
        names = [found for found in client.scan_iter(count=1000) if name.encode() in found]
        assert names, "there is no lock to be forgotten"
        client.delete(*names)


def _flush_memcached() -> None:
    from pymemcache import Client

    client = Client(os.environ["FIELDSTONE_MEMCACHED_URL"])
    client.flush_all(noreply=False)
    client.close()


def _forget_rows(alias: str, name: str) -> None:
    from django.db import connections

    from fieldstone.kvs.tables import LOCK

    with connections[alias].cursor() as cursor:
        cursor.execute(f"DELETE FROM {LOCK} WHERE name LIKE %s", [f"{name}%"])
        assert cursor.rowcount

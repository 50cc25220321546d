"""On Redis: redis-py with hiredis is the floor."""

from __future__ import annotations

import secrets
from typing import Any

import redis
import redis_lock
from django.core.cache.backends.redis import RedisCache
from django_redis.cache import RedisCache as DjangoRedis
from msgpack import packb, unpackb

from bench.regions.base import (
    LOCK_SECONDS,
    OURS,
    TTL,
    WAIT_SECONDS,
    Cache,
    Locker,
    Server,
    cache_of,
    django_cache,
    dogpile_cache,
    region,
)

RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"


class HeldByAnotherError(Exception):
    """A lock that nobody else asks for was not to be had, or was lost."""


def server(url: str) -> Server:
    client = redis.Redis.from_url(url)
    version = f"Redis {client.info('server')['redis_version']}, redis-py {redis.__version__}"
    options = {"timeout": TTL}
    caches = [
        _floor(client),
        cache_of(region("redis", url=url)),
        dogpile_cache("dogpile.cache.redis", url=url, redis_expiration_time=TTL),
        django_cache("django-redis", DjangoRedis(url, options)),
        django_cache("Django's RedisCache", RedisCache(url, options)),
    ]
    return Server("redis", version, caches, lockers(url), url)


def _floor(client: Any) -> Cache:
    def get(key: str) -> Any:
        return unpackb(client.get(key))

    def set_(key: str, value: Any) -> None:
        client.set(key, packb(value), px=TTL * 1000)

    def get_many(keys: list[str]) -> list[Any]:
        return [unpackb(data) for data in client.mget(keys)]

    return Cache("redis-py", get, set_, get_many)


def lockers(url: str) -> list[Locker]:
    client = redis.Redis.from_url(url)
    return [_set_nx(client), ours(url), _python_redis_lock(client), _redis_py_lock(client)]


def waiting_lockers(url: str) -> list[Locker]:
    """Those that can wait, the floor first: a list with one element for whoever pops it."""
    client = redis.Redis.from_url(url)

    def acquire(key: str) -> str:
        if client.blpop([key], timeout=WAIT_SECONDS) is None:
            raise HeldByAnotherError(key)
        return key

    def release(key: str) -> None:
        client.rpush(key, 1)
        client.expire(key, LOCK_SECONDS)

    floor = Locker("BLPOP and RPUSH", acquire, release, lambda key: client.llen(key) == 0)
    return [floor, ours(url), _python_redis_lock(client), _redis_py_lock(client)]


def _set_nx(client: Any) -> Locker:
    digest = client.script_load(RELEASE)

    def acquire(key: str) -> tuple[str, str]:
        token = secrets.token_hex(16)
        if not client.set(key, token, nx=True, px=LOCK_SECONDS * 1000):
            raise HeldByAnotherError(key)
        return key, token

    def release(held: tuple[str, str]) -> None:
        if not client.evalsha(digest, 1, *held):
            raise HeldByAnotherError(held[0])

    return Locker("SET NX, EVALSHA", acquire, release, lambda key: client.exists(key) == 1)


def ours(url: str) -> Locker:
    own = region("redis", url=url)
    return Locker(
        OURS,
        lambda key: own.lock(key).acquire(),
        lambda lock: lock.release(),
        lambda key: bool(own.lock(key).mutex.locked()),
    )


def _python_redis_lock(client: Any) -> Locker:
    def acquire(key: str) -> Any:
        lock = redis_lock.Lock(client, key, expire=LOCK_SECONDS)
        if not lock.acquire(timeout=LOCK_SECONDS):  # it refuses to wait for longer than it expires
            raise HeldByAnotherError(key)
        return lock

    return Locker(
        "python-redis-lock",
        acquire,
        lambda lock: lock.release(),
        lambda key: bool(redis_lock.Lock(client, key).locked()),
    )


def _redis_py_lock(client: Any) -> Locker:
    def acquire(key: str) -> Any:
        lock = client.lock(key, timeout=LOCK_SECONDS, blocking_timeout=WAIT_SECONDS)
        if not lock.acquire():
            raise HeldByAnotherError(key)
        return lock

    return Locker(
        "redis-py's Lock", acquire, lambda lock: lock.release(), lambda key: bool(client.lock(key).locked())
    )

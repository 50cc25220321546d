"""What is compared: ways to keep values, and ways to hold locks, each with the same few calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldstone.kvs import Region

OURS = "Fieldstone"
TTL = 3600  # seconds: of every value, so that nothing is left on a server that is not thrown away
LOCK_SECONDS = 5
WAIT_SECONDS = 10


@dataclass(frozen=True)
class Cache:
    """One way to keep values for ``TTL`` seconds."""

    title: str
    get: Callable[[str], Any]
    set: Callable[[str, Any], object]
    get_many: Callable[[list[str]], list[Any]]  # in the order of the keys


@dataclass(frozen=True)
class Locker:
    """One way to hold a lock for ``LOCK_SECONDS`` at most; ``acquire`` gives what ``release`` wants."""

    title: str
    acquire: Callable[[str], Any]
    release: Callable[[Any], object]
    is_held: Callable[[str], bool]


@dataclass(frozen=True)
class Server:
    """What is measured on one server. The first of each is the floor."""

    name: str
    version: str
    caches: Sequence[Cache]
    lockers: Sequence[Locker] = ()
    address: str = ""
    settle: Callable[[], object] = lambda: None
    """Tidies up what the rows before have left: many versions of one row."""


def key(title: str, number: int = 0) -> str:
    """A key that no other way, nor another run, uses."""
    return f"bench-{os.getpid()}-{''.join(filter(str.isalnum, title))}-{number:04}"


def region(backing_store: str, **options: Any) -> Region:
    """A region as a site would configure it."""
    return Region("bench").configure(backing_store, ttl=TTL, **options)


def cache_of(region: Region) -> Cache:
    return Cache(OURS, region.get, region.set, region.get_multi)


def django_cache(title: str, cache: Any) -> Cache:
    """One of Django's interface, with a timeout of ``TTL`` as its default."""

    def get_many(keys: list[str]) -> list[Any]:
        found = cache.get_many(keys)
        return [found[key] for key in keys]

    return Cache(title, cache.get, cache.set, get_many)


def dogpile_cache(backend: str, **arguments: Any) -> Cache:
    """A region of dogpile.cache, with its default serializer, pickle."""
    from dogpile.cache import make_region  # one of the peers; what is not asked for is not imported

    region = make_region().configure(backend, expiration_time=TTL, arguments=arguments)
    return Cache("dogpile.cache", region.get, region.set, region.get_multi)

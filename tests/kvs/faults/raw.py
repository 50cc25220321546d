"""What a server holds under a name, read and written by another client than the region's."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.db import connections

from fieldstone.kvs.tables import ENTRY
from tests.kvs.backends import Kind


@dataclass(frozen=True)
class Raw:
    read: Callable[[str], bytes]
    write: Callable[[str, bytes], None]


def raw(kind: Kind) -> Raw:
    if kind.name == "redis":
        return _redis(os.environ[kind.variable])
    if kind.name == "memcached":
        return _memcached(os.environ[kind.variable])
    return _database(kind.alias)


def _redis(url: str) -> Raw:
    import redis

    client = redis.Redis(host=urlsplit(url).hostname, port=urlsplit(url).port, db=0)

    def read(name: str) -> bytes:
        with client:
            return client.get(name)

    def write(name: str, data: bytes) -> None:
        with client:
            client.set(name, data)

    return Raw(read, write)


def _memcached(address: str) -> Raw:
    from pymemcache import Client

    def read(name: str) -> bytes:
        client = Client(address)
        found = client.get(name)
        client.close()
        return found

    def write(name: str, data: bytes) -> None:
        client = Client(address)
        client.set(name, data, noreply=False)
        client.close()

    return Raw(read, write)


def _database(alias: str) -> Raw:
    def read(name: str) -> bytes:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"SELECT entry FROM {ENTRY} WHERE name = %s", [name])
            return bytes(cursor.fetchone()[0])

    def write(name: str, data: bytes) -> None:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"UPDATE {ENTRY} SET entry = %s WHERE name = %s", [data, name])
            assert cursor.rowcount == 1

    return Raw(read, write)

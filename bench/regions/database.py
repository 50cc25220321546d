"""On a database: one SELECT or one upsert by the bare driver is the floor, in autocommit."""

from __future__ import annotations

import time
from typing import Any

from django.core.cache.backends.db import DatabaseCache
from django.core.management import call_command
from msgpack import packb, unpackb

from bench.databases import Database
from bench.floors import Floor
from bench.regions.base import TTL, Cache, Server, cache_of, django_cache, region

TABLE = "bench_cache"  # of Django's cache


def server(database: Database) -> Server:
    django = DatabaseCache(TABLE, {"timeout": TTL, "OPTIONS": {"MAX_ENTRIES": 10_000}})
    with_table(django)
    caches = [
        _floor(database.floor, database.engine),
        cache_of(region("database")),
        django_cache("Django's DatabaseCache", django),
    ]
    return Server(database.engine, database.floor.version(), caches, settle=database.floor.settle)


def with_table(cache: DatabaseCache) -> None:
    """Make the table that Django's cache wants."""
    call_command("createcachetable", TABLE, verbosity=0)


def _floor(floor: Floor, engine: str) -> Cache:
    is_mariadb = engine == "mariadb"
    blob = {"mariadb": "longblob", "sqlite": "blob"}.get(engine, "bytea")
    floor.create_table("floor_region", f"name key255 PRIMARY KEY, entry {blob}, expires double precision")
    change = "ON DUPLICATE KEY UPDATE" if is_mariadb else "ON CONFLICT (name) DO UPDATE SET"
    new = "VALUES({})" if is_mariadb else "excluded.{}"
    changes = ", ".join(f"{column} = {new.format(column)}" for column in ("entry", "expires"))
    upsert = f"{floor.insert('floor_region', 3)} {change} {changes}"
    one = floor.text("SELECT entry FROM floor_region WHERE name = ? AND expires > ?")

    def get(key: str) -> Any:
        return unpackb(floor.execute(one, (key, time.time())).fetchone()[0])

    def set_(key: str, value: Any) -> None:
        floor.execute(upsert, (key, packb(value), time.time() + TTL))

    def get_many(keys: list[str]) -> list[Any]:
        condition, values = floor.one_of(keys)
        many = floor.text(f"SELECT name, entry FROM floor_region WHERE name {condition} AND expires > ?")
        found = dict(floor.execute(many, (*values, time.time())).fetchall())
        return [unpackb(found[key]) for key in keys]

    return Cache("the driver", get, set_, get_many)

"""``RedisBackend``: each call of the contract as what is asked of a server."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from fieldstone.kvs.backends.base import Abilities
from fieldstone.kvs.backends.redis import scripts
from fieldstone.kvs.backends.redis.driving import operation
from fieldstone.kvs.backends.redis.links import Command
from fieldstone.kvs.backends.redis.locks import LOCK_PREFIX, LockOperations
from fieldstone.kvs.backends.redis.routing import UNAVAILABLE, Steps
from fieldstone.kvs.backends.redis.settings import Place, Settings

MAX_KEY_BYTES = 64 * 1024
MAX_VALUE_BYTES = 512 * 2**20  # Redis's own limit (proto-max-bulk-len)
LONGEST_MS = 2**53  # 285,000 years: Redis refuses what goes beyond 64 bits when the present is added
_SPECIAL = re.compile(r"([\\*?\[\]])")


class RedisBackend(LockOperations):
    """Redis 6 or later: one server (``url``), a master that Sentinel names (``sentinels``, ``service_name``), or a
    Cluster (``cluster_nodes``).

    What was written may be lost when a server dies: its settings and replicas decide how much. ``wait_replicas``
    replicas acknowledge each write within ``wait_ms`` milliseconds, or it raises, though it has been written. An
    operator who knows that the server keeps what it acknowledges (``appendonly yes``) and evicts nothing
    (``noeviction``) says ``durable=True``, which changes nothing but ``abilities``. Where a server may
    evict entries, it may evict locks too.

    Timeouts are seconds. Nothing is tried twice: whether a write arrived is not known after an error. Who waits
    for a lock takes one of ``max_connections``, of which there is no end by default.
    """

    kind = "Redis"
    unavailable = UNAVAILABLE

    def __init__(
        self,
        region: str,
        *,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        sentinels: Sequence[str] = (),
        service_name: str | None = None,
        sentinel_username: str | None = None,
        sentinel_password: str | None = None,
        cluster_nodes: Sequence[str] = (),
        db: int | None = None,
        tls: bool = False,
        tls_ca_certs: str | None = None,
        socket_timeout: float = 2.0,
        socket_connect_timeout: float = 1.0,
        max_connections: int | None = None,
        wait_replicas: int = 0,
        wait_ms: int = 500,
        durable: bool = False,
    ) -> None:
        settings = Settings(
            url=url,
            username=username,
            password=password,
            sentinels=sentinels,
            service_name=service_name,
            sentinel_username=sentinel_username,
            sentinel_password=sentinel_password,
            cluster_nodes=cluster_nodes,
            db=db,
            tls=tls,
            tls_ca_certs=tls_ca_certs,
            socket_timeout=socket_timeout,
            socket_connect_timeout=socket_connect_timeout,
            max_connections=max_connections,
            wait_replicas=wait_replicas,
            wait_ms=wait_ms,
        )
        super().__init__(region, settings)
        self._is_cluster = bool(cluster_nodes)
        self.abilities = Abilities(
            shared=True,
            durable=durable,
            evicts=not durable,
            atomic_bulk=not self._is_cluster,
            max_key_bytes=MAX_KEY_BYTES,
            max_value_bytes=MAX_VALUE_BYTES,
        )

    @property
    def address(self) -> str:
        return self.settings.address

    def check_key(self, name: str) -> str | None:
        if name.startswith(LOCK_PREFIX):
            return f"names that begin with {LOCK_PREFIX!r} are those of locks"
        return super().check_key(name)

    # Entries

    @operation
    def get(self, name: str) -> Steps[bytes | None]:
        entry: bytes | None
        (entry,) = yield from self.router.send(name, [("GET", name)])
        return entry

    @operation
    def get_many(self, names: Sequence[str]) -> Steps[Sequence[bytes | None]]:
        if not names:
            return []
        entries: list[bytes | None]
        if self._is_cluster:
            entries = yield from self.router.send_each([(name, ("GET", name)) for name in names])
        else:
            (entries,) = yield from self.router.send("", [("MGET", *names)])
        return entries

    @operation
    def set(self, name: str, entry: bytes, ttl: float | None) -> Steps[None]:
        yield from self.router.send(name, [_set(name, entry, ttl)], write=True)

    @operation
    def set_many(self, entries: Mapping[str, bytes], ttl: float | None) -> Steps[None]:
        if not entries:
            return
        if self._is_cluster:
            commands = [(name, _set(name, entry, ttl)) for name, entry in entries.items()]
            yield from self.router.send_each(commands, write=True)
        else:
            arguments = (len(entries), *entries, *entries.values(), _milliseconds(ttl) or "")
            yield from self.router.send("", [("EVALSHA", scripts.SET_MANY.digest, *arguments)], write=True)

    @operation
    def delete(self, name: str) -> Steps[bool]:
        (deleted,) = yield from self.router.send(name, [("UNLINK", name)], write=True)
        return bool(deleted)

    @operation
    def delete_many(self, names: Sequence[str]) -> Steps[int]:
        if not names:
            return 0
        if self._is_cluster:
            return sum(
                (yield from self.router.send_each([(name, ("UNLINK", name)) for name in names], write=True))
            )
        (deleted,) = yield from self.router.send("", [("UNLINK", *names)], write=True)
        return int(deleted)

    @operation
    def add(self, name: str, entry: bytes, ttl: float | None) -> Steps[bool]:
        (done,) = yield from self.router.send(name, [(*_set(name, entry, ttl), "NX")], write=True)
        return done is not None

    @operation
    def incr(self, name: str, by: int, initial: int, ttl: float | None) -> Steps[int]:
        try:
            total = yield from self.script(
                scripts.INCR, name, by, initial, _milliseconds(ttl) or "", os.urandom(8)
            )
        except ResponseError as error:
            if str(error).startswith("NOINTEGER "):
                raise ValueError(str(error).removeprefix("NOINTEGER ")) from error
            raise
        return int(total)

    @operation
    def compare_and_set(self, name: str, entry: bytes, version: bytes, ttl: float | None) -> Steps[bool]:
        done = yield from self.script(scripts.COMPARE_AND_SET, name, entry, version, _milliseconds(ttl) or "")
        return bool(done)

    @operation
    def touch(self, name: str, ttl: float | None) -> Steps[bool]:
        # PERSIST does not tell an entry that had no time to live from one that is not there.
        change: Command = ("PERSIST", name) if ttl is None else ("PEXPIRE", name, _milliseconds(ttl) or 1)
        _, there = yield from self.router.send(name, [change, ("EXISTS", name)], write=True)
        return bool(there)

    @operation
    def scan(
        self, prefix: str, cursor: tuple[list[Place | None], int] | None, count: int
    ) -> Steps[tuple[list[str], Any]]:
        """A cursor is the servers that are still to be looked at, and how far one is in the first of them.

        When another server takes the place of one meanwhile, names may be left out.
        """
        masters, at = cursor or ((yield from self.router.masters()), 0)
        pattern = _SPECIAL.sub(r"\\\1", prefix) + "*"
        ((after, found),) = yield from self._ask(masters[0], ("SCAN", at, "MATCH", pattern, "COUNT", count))
        if not int(after):
            masters = masters[1:]
        return [name for name in map(_text, found) if name is not None], (masters, int(after)) if masters else None

    # The server

    @operation
    def server_statistics(self) -> Steps[Mapping[str, str]]:
        said: list[dict[str, str]] = []
        for master in (yield from self.router.masters()):
            (text,) = yield from self._ask(master, ("INFO",))
            said.append(dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line))

        def total(name: str) -> str:
            return f"{sum(int(info.get(name, 0)) for info in said):,}"

        keys = sum(
            int(number) for info in said for number in re.findall(r"^keys=(\d+)", info.get(self._database, ""))
        )
        return {
            "version": said[0].get("redis_version", "?"),
            "memory": total("used_memory"),
            "keys": f"{keys:,}",
            "hits": total("keyspace_hits"),
            "misses": total("keyspace_misses"),
            "evicted": total("evicted_keys"),
            "eviction": said[0].get("maxmemory_policy", "?"),
        }

    @property
    def _database(self) -> str:
        return f"db{self.settings.connection().get('db', 0)}"

    def _ask(self, server: Place | None, command: Command) -> Steps[list[Any]]:
        replies = yield from self.router.exchange(server, [command], write=False)
        if isinstance(replies[0], ResponseError):
            raise replies[0]
        return replies


def _milliseconds(ttl: float | None) -> int | None:
    return None if ttl is None else max(1, math.ceil(min(ttl * 1000, LONGEST_MS)))


def _set(name: str, entry: bytes, ttl: float | None) -> Command:
    return ("SET", name, entry) if ttl is None else ("SET", name, entry, "PX", _milliseconds(ttl) or 1)


def _text(name: bytes) -> str | None:
    """``None`` for what no region has set: a lock, or bytes that are no text."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    return None if text.startswith(LOCK_PREFIX) else text

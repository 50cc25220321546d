"""Commands to a server and replies from it, over pools of connections: one set for threads, one per event loop."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import redis
from redis import asyncio as aredis
from redis.asyncio import retry as aretry
from redis.asyncio import sentinel as asentinel
from redis.backoff import NoBackoff
from redis.connection import SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError

from fieldstone.kvs.backends.redis.settings import Place, Settings, place

Command: TypeAlias = tuple[str | bytes | int | float, ...]
Exchange: TypeAlias = tuple[Place | None, Sequence[Command]]
"""To which server (``None``: the only one, or Sentinel's master), and what."""

_ASYNCHRONOUS = {
    SSLConnection: aredis.SSLConnection,
    UnixDomainSocketConnection: aredis.UnixDomainSocketConnection,
}


class NotServing(redis.ConnectionError):
    """The server answers, but does not serve now, or not as it was asked to."""


_NOT_NOW = ("NOREPLICAS", "UNBLOCKED", "MISCONF", "BUSY", "UNKILLABLE", "DENIED")
"""How errors begin that redis-py has no class for. They pass when the server is mended or changes its role."""


def _reply(error: ResponseError) -> ResponseError:
    """An error among replies: it is the caller's, as the other replies are. Raises ``NotServing``.

    So the connection to a replica ends, and the next one leads to the master when a name in the DNS does.
    """
    if isinstance(error, redis.ReadOnlyError) or str(error).startswith(_NOT_NOW):
        raise NotServing(str(error)) from error
    return error


LOOKED_AT_AFTER = 1.0
"""Seconds of idleness after which a connection is looked at before it is used."""


class _Idle(NamedTuple):
    connection: Any
    since: float  # by time.monotonic()


def _is_over(connection: Any) -> bool:
    """Whether the server has hung up: nothing else can have come that nobody has asked for."""
    try:
        return bool(connection.can_read(timeout=0))
    except (OSError, redis.RedisError):
        return True


class Links:
    """A pool per server. Safe between threads, and after a fork.

    A connection that was used goes on a list before the pool, the last one used first: redis-py's pool takes a
    lock and asks the kernel at each turn, which takes a fifth of the time of a get.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[Place | None, redis.ConnectionPool] = {}
        self._idle: dict[Place | None, list[_Idle]] = {}
        _living.add(self)
        # It does not connect; and redis-py tells only here of arguments that it does not know.
        self._new_pool(Place(("localhost", 1)) if settings.cluster_nodes else None).make_connection()

    def exchange(self, where: Place | None, commands: Sequence[Command]) -> list[Any]:
        """The replies, errors of the server among them. One round trip. Raises what the connection raises."""
        connection = self._take(where)
        try:
            connection.send_packed_command(_packed(connection, commands))
            replies: list[Any] = []
            for _ in commands:
                try:
                    replies.append(connection.read_response())
                except ResponseError as error:
                    replies.append(_reply(error))
        except BaseException:
            connection.disconnect()  # replies may be on their way that nobody would take for his
            self._pools[where].release(connection)
            raise
        self._idle[where].append(_Idle(connection, time.monotonic()))
        return replies

    def _take(self, where: Place | None) -> Any:
        try:
            connection, since = self._idle[where].pop()
        except (KeyError, IndexError):
            self._idle.setdefault(where, [])
            pool = self._pools.get(where) or self._pools.setdefault(where, self._new_pool(where))
            return pool.get_connection()
        if time.monotonic() - since > LOOKED_AT_AFTER and _is_over(connection):
            connection.disconnect()  # it connects anew: a server that was restarted costs no error
        return connection

    def forget_idle(self) -> None:
        """For a child after a fork: the connections are its parent's."""
        self._idle.clear()

    def close(self) -> None:
        """Exchanges under way end as if nothing were."""
        for where, pool in list(self._pools.items()):
            idle = self._idle.get(where, [])
            while idle:
                pool.release(idle.pop().connection)
            pool.disconnect(inuse_connections=False)
            for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
                sentinel.close()

    def _new_pool(self, where: Place | None) -> redis.ConnectionPool:
        settings, options = self._settings, self._settings.connection()
        if settings.service_name is not None:
            manager = redis.Sentinel(
                [place(text, "sentinels") for text in settings.sentinels],
                sentinel_kwargs=settings.sentinel_connection(),
            )
            return redis.SentinelConnectionPool(settings.service_name, manager, **options)
        if where is not None:
            options |= {"host": where[0], "port": where[1]}
        return redis.ConnectionPool(**options)


_living: weakref.WeakSet[Links] = weakref.WeakSet()


def _after_fork() -> None:
    for links in list(_living):
        links.forget_idle()


os.register_at_fork(after_in_child=_after_fork)


class AsyncLinks:
    """The same for coroutines of one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[Place | None, aredis.ConnectionPool] = {}

    async def exchange(self, where: Place | None, commands: Sequence[Command]) -> list[Any]:
        pool = self._pools.get(where) or self._pools.setdefault(where, self._new_pool(where))
        cancellations = _cancellations()
        connection = await pool.get_connection()
        try:
            await connection.send_packed_command(_packed(connection, commands))
            if _cancellations() > cancellations:
                # Sending uses asyncio.wait_for, which before Python 3.12 drops a cancellation at its very end.
                raise asyncio.CancelledError
            replies: list[Any] = []
            for _ in commands:
                try:
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(_reply(error))
            return replies
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def aclose(self) -> None:
        for pool in list(self._pools.values()):
            await pool.disconnect(inuse_connections=False)
            for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
                await sentinel.aclose()

    def _new_pool(self, where: Place | None) -> aredis.ConnectionPool:
        settings, options = self._settings, _asynchronous(self._settings.connection())
        if settings.service_name is not None:
            manager = asentinel.Sentinel(
                [place(text, "sentinels") for text in settings.sentinels],
                sentinel_kwargs=_asynchronous(settings.sentinel_connection()),
            )
            return asentinel.SentinelConnectionPool(settings.service_name, manager, **options)
        if where is not None:
            options |= {"host": where[0], "port": where[1]}
        return aredis.ConnectionPool(**options)


class LoopLinks:
    """``AsyncLinks`` for each event loop that is running.

    Those of a loop that was closed without ``aclose`` go when another loop begins: they hold the loop, so that no
    weak reference would ever notice its end.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._of: dict[asyncio.AbstractEventLoop, AsyncLinks] = {}

    def here(self) -> AsyncLinks:
        loop = asyncio.get_running_loop()
        links = self._of.get(loop)
        if links is None:
            for ended in [other for other in list(self._of) if other.is_closed()]:
                self._of.pop(ended, None)
            links = self._of[loop] = AsyncLinks(self._settings)
        return links

    async def aclose(self) -> None:
        links = self._of.pop(asyncio.get_running_loop(), None)
        if links is not None:
            await links.aclose()


def _packed(connection: Any, commands: Sequence[Command]) -> Any:
    if len(commands) == 1:
        return connection.pack_command(*commands[0])
    return connection.pack_commands(commands)


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _asynchronous(options: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {"retry": aretry.Retry(NoBackoff(), 0)}
    if "connection_class" in options:
        changed["connection_class"] = _ASYNCHRONOUS[options["connection_class"]]
    return options | changed

"""Any backend of dogpile.cache, by its name, under a region of ours."""

from __future__ import annotations

import asyncio
import math
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE, CachedValue
from dogpile.cache.backends import _backend_loader
from dogpile.cache.region import value_version
from dogpile.util import PluginLoader

from fieldstone.kvs.backends.base import Abilities, Backend
from fieldstone.kvs.backends.memory import MemoryBackend
from fieldstone.kvs.backends.polling import Attempt, Pauses, agranted, granted
from fieldstone.kvs.manglers import sha1

_EXPIRES = struct.Struct(">d")
"""Before each entry, when it expires, in seconds since the epoch: dogpile's backends keep no time per key."""

_PAUSES = 0.005, 0.1
"""Seconds between the first tries to get a lock, and between the later ones: dogpile's locks wait without end."""

_IN_PROCESS = {"dogpile.cache.memory", "dogpile.cache.memory_pickle", "dogpile.cache.null"}
_LOST = {  # drivers whose word for a lost connection is no OSError
    "redis": ("redis.exceptions", ("ConnectionError", "TimeoutError")),
    "valkey": ("valkey.exceptions", ("ConnectionError", "TimeoutError")),
}


class _Hold(NamedTuple):
    token: str
    mutex: Any
    expires: float  # by time.monotonic()


class _Attempt(Attempt):
    def __init__(self, backend: DogpileBackend, name: str, token: str, mutex: Any, timeout: float) -> None:
        self._backend = backend
        self._name, self._token, self._mutex, self._timeout = name, token, mutex, timeout
        self._pauses = Pauses(*_PAUSES)

    def once(self, left: float) -> int | None:
        return self._backend.take(self._name, self._token, self._mutex, self._timeout)

    def pause(self) -> float:
        return self._pauses.next()

    def undo(self) -> None:
        self._backend.release(self._name, self._token)


class DogpileBackend(Backend):
    """Entries in a backend of dogpile.cache. ``arguments`` are that backend's own.

    It sees bytes: in its serialized form where it has one, otherwise in a ``CachedValue``. Its locks exclude
    others as well as they do and know no owners, so a lock that is lost is not always noticed; where it has none,
    the threads of this process are kept apart. Coroutines call it in changing threads, which locks that are bound
    to theirs do not take: those of ``dogpile.cache.dbm``, and of Redis without ``thread_local_lock=False``.
    """

    kind = "dogpile.cache"
    unavailable = (OSError,)

    def __init__(self, region: str, *, dogpile_name: str, **arguments: Any) -> None:
        if backend_named(dogpile_name) is None:
            raise ValueError(f"dogpile.cache has no backend {dogpile_name!r}: install or register it")
        try:
            self.foreign: Any = make_region(region).configure(dogpile_name, arguments=arguments).backend
        except KeyError as error:
            raise ValueError(f"{dogpile_name} wants the argument {error}") from error
        self.dogpile_name = dogpile_name
        self.key_mangler = self.foreign.key_mangler or sha1
        self.abilities = Abilities(
            shared=dogpile_name not in _IN_PROCESS,
            durable=False,
            evicts=True,
            atomic_bulk=False,
            add=False,
            incr=False,
            compare_and_set=False,
            touch=False,
            iterate=False,
            fair_locks=False,
            honest_locks=False,
            fencing=False,
        )
        self._is_for_bytes = self.foreign.serializer is not None
        self._lost = _lost_connections(dogpile_name)
        self._local = MemoryBackend(region)  # whose locks stand in for those of backends that have none
        self._guard = threading.Lock()
        self._holds: dict[str, _Hold] = {}
        self._fence = 0

    @property
    def address(self) -> str:
        return self.dogpile_name

    # Entries

    def get(self, name: str) -> bytes | None:
        with self._telling():
            found = self.foreign.get_serialized(name) if self._is_for_bytes else self.foreign.get(name)
        return self._entry(found)

    def get_many(self, names: Sequence[str]) -> Sequence[bytes | None]:
        asked = list(names)
        if not asked:
            return []
        with self._telling():
            foreign = self.foreign
            found = foreign.get_serialized_multi(asked) if self._is_for_bytes else foreign.get_multi(asked)
        return [self._entry(one) for one in found]

    def set(self, name: str, entry: bytes, ttl: float | None) -> None:
        self.set_many({name: entry}, ttl)

    def set_many(self, entries: Mapping[str, bytes], ttl: float | None) -> None:
        if not entries:
            return
        now = time.time()
        head = _EXPIRES.pack(math.inf if ttl is None else now + ttl)
        with self._telling():
            if self._is_for_bytes:
                self.foreign.set_serialized_multi({name: head + entry for name, entry in entries.items()})
            else:
                metadata = {"ct": now, "v": value_version}
                self.foreign.set_multi(
                    {name: CachedValue(head + entry, metadata) for name, entry in entries.items()}
                )

    def delete(self, name: str) -> bool:
        return self.delete_many([name]) > 0

    def delete_many(self, names: Sequence[str]) -> int:
        """How many there were when they were looked for: dogpile's backends do not tell what they deleted."""
        asked = list(dict.fromkeys(names))
        there = sum(found is not None for found in self.get_many(asked))
        if asked:
            with self._telling():
                self.foreign.delete_multi(asked)
        return there

    def _entry(self, found: Any) -> bytes | None:
        if found is None or found is NO_VALUE:
            return None
        data = found if self._is_for_bytes else found.payload
        if len(data) < _EXPIRES.size or _EXPIRES.unpack_from(data)[0] <= time.time():
            return None
        return bytes(data[_EXPIRES.size :])

    # Locks

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        with self._telling():
            mutex = self.foreign.get_mutex(name)
        if mutex is None:
            return self._local.acquire(name, token, timeout, wait)
        return granted(_Attempt(self, name, token, mutex, timeout), wait)

    async def acall(self, method: str, *args: Any) -> Any:
        if method != "acquire":
            return await super().acall(method, *args)
        name, token, timeout, wait = args
        with self._telling():
            mutex = self.foreign.get_mutex(name)
        if mutex is None:
            return await self._local.acall(method, *args)
        return await agranted(_Attempt(self, name, token, mutex, timeout), wait, asyncio.to_thread)

    def release(self, name: str, token: str) -> bool:
        with self._guard:
            hold = self._holds.get(name)
            if hold is not None and hold.token == token:
                del self._holds[name]
        if hold is None or hold.token != token:
            return self._local.release(name, token)
        is_late = hold.expires <= time.monotonic()
        if not (is_late and self.foreign.has_lock_timeout()):  # then the server took it, and it may be another's
            with self._telling():
                hold.mutex.release()
        return not is_late

    def renew(self, name: str, token: str, timeout: float) -> bool:
        """A lock that its server takes away after a time cannot be renewed: dogpile has no call for it."""
        with self._guard:
            hold = self._holds.get(name)
            if hold is not None and hold.token == token:
                if hold.expires <= time.monotonic() or self.foreign.has_lock_timeout():
                    return False
                self._holds[name] = hold._replace(expires=time.monotonic() + timeout)
                return True
        return self._local.renew(name, token, timeout)

    def locked(self, name: str) -> bool:
        with self._guard:
            if name in self._holds:
                return True
        with self._telling():
            mutex = self.foreign.get_mutex(name)
            return self._local.locked(name) if mutex is None else bool(mutex.locked())

    def take(self, name: str, token: str, mutex: Any, timeout: float) -> int | None:
        """One try. The server's word counts: a hold of this process that it took away makes room."""
        with self._telling():
            if not mutex.acquire(False):
                return None
        with self._guard:
            self._holds[name] = _Hold(token, mutex, time.monotonic() + timeout)
            self._fence = max(self._fence + 1, time.time_ns() // 1000)
            return self._fence

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except self._lost as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error


def backend_named(dogpile_name: str) -> type[DogpileBackend] | None:
    """The class for dogpile's backend of that name; ``None`` where there is none.

    Raises ``ImportError`` for one whose module cannot be imported.
    """
    try:
        _backend_loader.load(dogpile_name)  # dogpile has no public way to ask without making one
    except PluginLoader.NotFound:
        return None

    class NamedBackend(DogpileBackend):
        def __init__(self, region: str, **arguments: Any) -> None:
            super().__init__(region, dogpile_name=dogpile_name, **arguments)

    return NamedBackend


def _lost_connections(dogpile_name: str) -> tuple[type[Exception], ...]:
    for driver, (module, names) in _LOST.items():
        if driver in dogpile_name:
            try:
                return tuple(getattr(import_module(module), name) for name in names)
            except ImportError:
                return ()  # another's backend, with a driver of its own
    return ()

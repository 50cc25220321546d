"""Backends, proxies and drivers as Keystone's users wrote them: what they rely on has to keep working."""

from __future__ import annotations

import time
from typing import Any

from dogpile.cache.api import NO_VALUE, CacheBackend
from dogpile.cache.proxy import ProxyBackend

from fieldstone.kvs.keystone.backends.inmemdb import MemoryBackend


class OnceDict(dict):
    """Sets a key once: a second time is an error until it has been removed."""

    def __setitem__(self, key, value):
        if key in self:
            raise KeyError(key)
        super().__setitem__(key, value)


class EntryMutex:
    """A lock that is an entry of a dictionary; a try that fails returns ``False``, also when it was to wait."""

    def __init__(self, entries: dict[str, Any], key: str) -> None:
        self._entries = entries
        self._name = f"_lock{key}"

    def acquire(self, wait: bool = True) -> bool:
        try:
            self._entries[self._name] = 1
        except KeyError:
            return False
        return True

    def release(self) -> None:
        self._entries.pop(self._name, None)


class Mangling(MemoryBackend):
    """With a mutex, a mangler and an argument of its own; it never calls its base's ``__init__``."""

    def __init__(self, arguments):
        self._db = OnceDict()
        self.test_arg = arguments.pop("test_arg", None)

    def get_mutex(self, key):
        return EntryMutex(self._db, key)

    @classmethod
    def key_mangler(cls, key):
        return f"own_{key}"


class Insisting(Mangling):
    use_backend_key_mangler = True


class Bare(MemoryBackend):
    """Without a constructor's call, and with nothing of its own."""

    def __init__(self, arguments):
        self._db = {}


class ReadOnlyMangler(MemoryBackend):
    @property
    def key_mangler(self):
        return None


class Unlockable(CacheBackend):
    """Keeps the objects themselves, and has no mutex."""

    def __init__(self, arguments):
        self._kept = {}

    def get(self, key):
        return self._kept.get(key, NO_VALUE)

    def get_multi(self, keys):
        return [self.get(key) for key in keys]

    def set(self, key, value):
        self._kept[key] = value

    def set_multi(self, mapping):
        self._kept.update(mapping)

    def delete(self, key):
        self._kept.pop(key, None)

    def delete_multi(self, keys):
        for key in keys:
            self.delete(key)


class First(ProxyBackend):
    """Changes nothing."""


class Second(ProxyBackend):
    """Nor does it."""


class Client:
    """What drivers have of a memcached client; it keeps what it was last given."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.arguments: dict[str, Any] | None = None
        self.failed: list[str] = []
        self.locks: dict[str, tuple[Any, float]] = {}

    def set_multi(self, mapping, **arguments):
        self.kept, self.arguments = dict(mapping), arguments
        return self.failed

    def add(self, key, value, seconds):
        if key in self.locks and self.locks[key][1] > time.monotonic():
            return False
        self.locks[key] = value, time.monotonic() + seconds
        return True

    def delete(self, key):
        self.locks.pop(key, None)
        return True


class ReadingClient(Client):
    def get(self, key):
        return self.locks[key][0] if key in self.locks else None


class Driver(CacheBackend):
    """As dogpile's: with a client, and arguments for its settings."""

    client_class = Client

    def __init__(self, arguments):
        self.client = self.client_class()
        self.set_arguments = {}
        if "memcached_expire_time" in arguments:
            self.set_arguments["time"] = arguments["memcached_expire_time"]


class ReadingDriver(Driver):
    client_class = ReadingClient


class ManglingDriver(Driver):
    @staticmethod
    def key_mangler(key):
        return f"driver_{key}"

"""``openstack.kvs.Memcached``: a store in memcached, by one of several drivers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from django.utils.module_loading import import_string
from dogpile.cache.api import CacheBackend

from fieldstone.errors import UnexpectedError
from fieldstone.kvs.bridge import BackendFace, BackendMutex
from fieldstone.kvs.keystone.locking import ClientLocks, LockTimes

_OURS = "fieldstone.kvs.keystone.backends.driver.Driver"

VALID_DOGPILE_BACKENDS: dict[str, Any] = {
    "memcached": _OURS,
    "pooled_memcached": _OURS,
    "pymemcache": _OURS,
    "pylibmc": "dogpile.cache.backends.memcached.PylibmcBackend",
    "bmemcached": "dogpile.cache.backends.memcached.BMemcachedBackend",
}
"""Drivers by name: dogpile backends with a ``client``, classes or dotted paths. Sites add their own.

Those of dogpile pickle, and run what they read: name them only where nobody else writes to the server.
"""

_EXPIRY = ("time", "expire")  # what drivers call it


class MemcachedBackend(CacheBackend):
    """Keys in memcached, by the driver that ``memcached_backend`` names.

    ``memcached_expire_time`` (seconds) is for all but ``no_expiry_keys``. Locks are best effort: memcached forgets
    when it is full or started anew. What the driver does not store raises.
    """

    keeps_copies: ClassVar[bool] = True

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        given = dict(arguments)
        self.raw_no_expiry_keys = _keys(given.pop("no_expiry_keys", ()))
        self.lock_times = LockTimes.of(given)
        self.lock_timeout = given.pop("lock_timeout", None)
        self.max_lock_attempts = given.pop("max_lock_attempts", None)
        for ours in ("blocking_timeout", "distributed_lock"):
            given.pop(ours, None)
        made = _driver_named(given.pop("memcached_backend", None) or "memcached")
        self.driver: Any = made({"url": ["localhost:11211"], **given})
        self.serializer, self.deserializer = self.driver.serializer, self.driver.deserializer
        self._locks = self.driver.locks if isinstance(self.driver, BackendFace) else ClientLocks(self._client)
        self.key_mangler = self.driver.key_mangler

    def __getattr__(self, name: str) -> Any:
        """What only the driver has."""
        if name == "driver":  # it could not be made
            raise AttributeError(name)
        return getattr(self.driver, name)

    # Keys

    @property
    def key_mangler(self) -> Callable[[str], str] | None:
        """Setting it works out anew which names never expire. Raises ``TypeError`` unless it can be called."""
        return self._key_mangler

    @key_mangler.setter
    def key_mangler(self, mangler: Callable[[str], str] | None) -> None:
        if mangler is not None and not callable(mangler):
            raise TypeError(f"key_mangler is {mangler!r}, and should be a function or None")
        self._key_mangler = mangler
        self.no_expiry_hashed_keys = {mangler(key) if mangler else key for key in self.raw_no_expiry_keys}

    # Values

    def get(self, key: str) -> Any:
        return self.driver.get(key)

    def get_multi(self, keys: Iterable[str]) -> Any:
        return self.driver.get_multi(list(keys))

    def get_serialized(self, key: str) -> Any:
        return self.driver.get_serialized(key)

    def get_serialized_multi(self, keys: Iterable[str]) -> Any:
        return self.driver.get_serialized_multi(list(keys))

    def set(self, key: str, value: Any) -> None:
        self.set_multi({key: value})

    def set_multi(self, mapping: Mapping[str, Any]) -> None:
        """Raises ``UnexpectedError`` when the client says that it has not stored all, or what it raises itself."""
        lasting = mapping.keys() & self.no_expiry_hashed_keys
        for keys, is_lasting in ((lasting, True), (mapping.keys() - lasting, False)):
            if keys:
                # By the client: the drivers' own calls drop what it says of values that are too long.
                arguments = self._get_set_arguments_driver_attr(exclude_expiry=is_lasting)
                failed = self._client().set_multi({key: mapping[key] for key in keys}, **arguments)
                _raise_for(failed, len(keys))

    def delete(self, key: str) -> None:
        self.driver.delete(key)

    def delete_multi(self, keys: Iterable[str]) -> None:
        self.driver.delete_multi(list(keys))

    def get_mutex(self, key: str) -> BackendMutex:
        times = self.lock_times
        return BackendMutex(self._locks, f"_lock{key}", timeout=times.held, blocking_timeout=times.waited)

    def _client(self) -> Any:
        return self.driver.client

    def _get_set_arguments_driver_attr(self, exclude_expiry: bool = False) -> dict[str, Any]:
        """What the client is given at each setting; a copy."""
        arguments = dict(getattr(self.driver, "set_arguments", {}))
        if exclude_expiry:
            for name in _EXPIRY:
                arguments.pop(name, None)
        return arguments


def _driver_named(name: Any) -> Any:
    if name not in VALID_DOGPILE_BACKENDS:
        valid = ", ".join(VALID_DOGPILE_BACKENDS)
        raise ValueError(f"memcached_backend is {name!r}, and there is no such driver: one of {valid}")
    found = VALID_DOGPILE_BACKENDS[name]
    return import_string(found) if isinstance(found, str) else found


def _keys(given: Iterable[str]) -> set[str]:
    if isinstance(given, str):
        raise ValueError(f"no_expiry_keys is {given!r}, and should be a set of keys")
    return set(given)


def _raise_for(failed: Any, count: int) -> None:
    """Clients give the keys that were not stored, or ``False``, or nothing."""
    if failed is False or (isinstance(failed, list | set | tuple) and failed):
        number = count if failed is False else len(failed)
        raise UnexpectedError(
            f"memcached did not store {number} of {count} values: they are longer than it takes, or a server is"
            " gone. What was there under these keys may be gone, too."
        )

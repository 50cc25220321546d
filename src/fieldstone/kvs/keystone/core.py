"""Keystone's stores: named regions of dogpile.cache with locks."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

from dogpile.cache import make_region, register_backend
from dogpile.cache.api import NO_VALUE
from dogpile.cache.exception import PluginNotFound
from dogpile.cache.region import CacheRegion
from dogpile.cache.util import sha1_mangle_key

from fieldstone import conf
from fieldstone.errors import (
    AlreadyConfiguredError,
    InvalidKeyError,
    LockTimeout,
    NotConfiguredError,
    NotFound,
    RegionConfigurationError,
    UnexpectedError,
)
from fieldstone.kvs.backends.memory import MemoryBackend
from fieldstone.kvs.bridge import BackendMutex, load_proxies
from fieldstone.kvs.keystone.locking import LockTimes, StoreMutex
from fieldstone.kvs.locks import LOCK_WINDOW, KeyValueStoreLock

__all__ = [
    "LOCK_WINDOW",
    "NO_VALUE",
    "KeyValueStore",
    "KeyValueStoreLock",
    "LockTimeout",
    "NotFound",
    "UnexpectedError",
    "get_key_value_store",
]

log = logging.getLogger("fieldstone.kvs")

_BACKENDS = {
    "openstack.kvs.Memory": "fieldstone.kvs.keystone.backends.inmemdb.MemoryBackend",
    "openstack.kvs.Memcached": "fieldstone.kvs.keystone.backends.memcached.MemcachedBackend",
}

_guard = threading.Lock()
_stores: dict[str, KeyValueStore] = {}


class KeyValueStore:
    """A store of values by key, on one region of dogpile.cache, which it configures once. Any thread may use it.

    All calls raise ``NotConfiguredError`` before that, and ``InvalidKeyError`` for keys that are no text.
    """

    def __init__(self, kvs_region: CacheRegion) -> None:
        self.locking = True
        self._region = kvs_region
        self._lock_timeout = 0.0
        self._lock_times = LockTimes()
        self._configuring = threading.Lock()
        self._is_half_way = False
        self._backend_mangler: Callable[[str], str] | None = None
        self._copied: Callable[[Any], Any] = copy.deepcopy
        self._mutexes: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._holders: dict[str, Any] = {}
        self._local = MemoryBackend(self._name)  # whose locks stand in for those of backends that have none

    # Configuration

    def configure(
        self,
        backing_store: str,
        key_mangler: Callable[[str], str] | None = None,
        proxy_list: Iterable[Any] | None = None,
        locking: bool = True,
        **region_config_args: Any,
    ) -> None:
        """Choose dogpile's backend by its name; ``region_config_args`` are its arguments.

        ``lock_timeout``, ``blocking_timeout`` (seconds) and ``max_lock_attempts`` are the store's too. Raises
        ``AlreadyConfiguredError``, ``RegionConfigurationError``, and ``TypeError`` for a mangler or proxy that is
        none; then the store is not configured, and can be tried again.
        """
        with self._configuring:
            if "backend" in vars(self._region):
                raise AlreadyConfiguredError(self._name)
            if key_mangler is not None and not callable(key_mangler):
                raise TypeError(f"key_mangler is {key_mangler!r}, and should be a function")
            proxies = load_proxies(proxy_list or (), self._name)
            before, self._is_half_way = dict(vars(self._region)), True
            try:
                self._configure_region(backing_store, region_config_args)
                self._set_key_mangler(key_mangler)
                for proxy in reversed(proxies):
                    self._region.wrap(proxy)
                self.locking = locking
            except BaseException:
                vars(self._region).clear()
                vars(self._region).update(before)
                raise
            finally:
                self._is_half_way = False
        log.debug(
            "Region %s is on %s, with the options %s.",  # their names: values may be secret
            self._name,
            backing_store,
            ", ".join(sorted(region_config_args)) or "none",
        )

    @property
    def is_configured(self) -> bool:
        return "backend" in vars(self._region) and not self._is_half_way

    def _configure_region(self, backing_store: str, given: Mapping[str, Any]) -> None:
        prefix = conf.keystone_config_prefix()
        arguments = {"lock_timeout": conf.lock_timeout(), "distributed_lock": True, **given}
        try:
            times = LockTimes.of(arguments)
            timeout = float(arguments["lock_timeout"] or 0)
            arguments["lock_timeout"] = timeout + LOCK_WINDOW if timeout else 0
            configuration = {f"{prefix}.arguments.{name}": value for name, value in arguments.items()}
            self._region.configure_from_config({f"{prefix}.backend": backing_store, **configuration}, f"{prefix}.")
        except PluginNotFound as error:
            reason = f"there is no backend {backing_store!r}: install it, or name it in KEYSTONE_BACKENDS"
            raise RegionConfigurationError(self._name, reason) from error
        except (ValueError, KeyError, ImportError, AttributeError) as error:
            if isinstance(error, RegionConfigurationError):
                raise
            raise RegionConfigurationError(self._name, f"{backing_store}: {error}") from error
        self._lock_timeout, self._lock_times = timeout, times
        backend = self._region.backend
        self._backend_mangler = backend.key_mangler
        is_copying = getattr(backend, "keeps_copies", False) or self._region.serializer is not None
        self._copied = _same if is_copying else copy.deepcopy

    def _set_key_mangler(self, key_mangler: Callable[[str], str] | None) -> None:
        """The backend's own if none is given or it insists; else the given one; else SHA-1. By setting, none."""
        if key_mangler is not None and not callable(key_mangler):
            raise TypeError(f"key_mangler is {key_mangler!r}, and should be a function")
        backend, own = self._region.actual_backend, self._backend_mangler
        if own is not None and (key_mangler is None or getattr(backend, "use_backend_key_mangler", False)):
            key_mangler = own
        chosen = (key_mangler or sha1_mangle_key) if conf.key_mangling() else None
        try:
            backend.key_mangler = chosen
        except AttributeError:
            # Only a backend with keys that never expire has to know; in another it may be read-only.
            if hasattr(backend, "raw_no_expiry_keys"):
                raise
            log.debug("The backend of region %s takes no key_mangler.", self._name)
        self._region.key_mangler = chosen

    # Values

    def get(self, key: str) -> Any:
        """The value, a copy. Raises ``NotFound``."""
        value = self._configured().get(self._checked(key))
        if value is NO_VALUE:
            raise NotFound(key, self._name)
        return self._copied(value)

    def get_multi(self, keys: Iterable[str]) -> list[Any]:
        """The values in order. Raises ``NotFound`` naming all that are missing."""
        asked = [self._checked(key) for key in keys]
        values = self._configured().get_multi(asked)
        missing = [key for key, value in zip(asked, values, strict=True) if value is NO_VALUE]
        if missing:
            raise NotFound(missing, self._name)
        return [self._copied(value) for value in values]

    def set(self, key: str, value: Any, lock: KeyValueStoreLock | None = None) -> None:
        """With a lock: raises what ``KeyValueStoreLock.check`` does for another key, or unless it is held."""
        region = self._configured()
        with self._action_with_lock(key, lock):
            region.set(self._checked(key), self._copied(value))

    def set_multi(self, mapping: Mapping[str, Any]) -> None:
        """Without locks: several at once would be waited for in a circle, sooner or later."""
        region = self._configured()
        region.set_multi({self._checked(key): self._copied(value) for key, value in mapping.items()})

    def delete(self, key: str, lock: KeyValueStoreLock | None = None) -> None:
        """Raises ``NotFound``; with a lock as ``set``."""
        region = self._configured()
        with self._action_with_lock(key, lock):
            if region.get(self._checked(key)) is NO_VALUE:
                raise NotFound(key, self._name)
            region.delete(key)

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Those that are there."""
        self._configured().delete_multi([self._checked(key) for key in keys])

    # Locks

    def get_lock(self, key: str) -> KeyValueStoreLock:
        """The right to write a key: acquired by ``with``, for ``lock_timeout`` seconds."""
        return KeyValueStoreLock(self._mutex(key), key, self.locking, self._lock_timeout)

    def _mutex(self, key: str) -> StoreMutex:
        """The backend's mutex by the mangled key; each call is another owner's."""
        region = self._configured()
        name = region.key_mangler(self._checked(key)) if region.key_mangler else self._checked(key)
        return StoreMutex(key, f"{self._name}!{name}", self._mutex_by_name(name), self._holders, self._lock_times)

    def _mutex_by_name(self, name: str) -> Any:
        times = self._lock_times
        # The server keeps a lock for a while longer than its holder takes it to be valid.
        lasting = {"timeout": times.held + LOCK_WINDOW, "blocking_timeout": times.waited}
        mutex = self._region.backend.get_mutex(name)
        if mutex is None:
            return BackendMutex(self._local, name, **lasting)
        if isinstance(mutex, BackendMutex):
            vars(mutex).update(lasting)  # a subclass of a backend may not have looked at its arguments
            return mutex
        with _guard:  # a mutex of others may know its holder only by being the same object for all threads
            return self._mutexes.setdefault(name, mutex)

    @contextmanager
    def _action_with_lock(self, key: str, lock: KeyValueStoreLock | None = None) -> Iterator[None]:
        if lock is not None:
            if not isinstance(lock, KeyValueStoreLock):
                raise TypeError(f"lock is {lock!r}, and should be what get_lock() gives, or None")
            lock.check(key)
        yield

    # What all do first

    @property
    def _name(self) -> str:
        return str(self._region.name)

    def _configured(self) -> CacheRegion:
        if not self.is_configured:
            raise NotConfiguredError(self._name)
        return self._region

    def _checked(self, key: Any) -> str:
        if not isinstance(key, str):
            raise InvalidKeyError(self._name, key, f"a key is text, not {type(key).__name__}")
        return key


def get_key_value_store(name: str, kvs_region: CacheRegion | None = None) -> KeyValueStore:
    """The one store of that name in this process; ``kvs_region`` is what a new one is made on.

    Raises ``RegionConfigurationError`` for another region than the store is on.
    """
    _register_backends()
    with _guard:
        if name not in _stores:
            _stores[name] = KeyValueStore(make_region(name=name) if kvs_region is None else kvs_region)
        store = _stores[name]
    if kvs_region is not None and store._region is not kvs_region:
        raise RegionConfigurationError(name, "there is a store of this name already, on another dogpile region")
    return store


def _register_backends() -> None:
    """Tell dogpile the names of Keystone's backends and of those of the settings. Harmless twice."""
    named = {f"openstack.kvs.{path.rpartition('.')[2]}": path for path in conf.keystone_backends()}
    for name, path in {**_BACKENDS, **named}.items():
        module, _, class_name = path.rpartition(".")
        if not module:
            raise RegionConfigurationError(name, f"KEYSTONE_BACKENDS has {path!r}, which is no dotted path")
        register_backend(name, module, class_name)


def _same(value: Any) -> Any:
    return value

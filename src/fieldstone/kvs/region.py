"""``Region``, also ``KeyValueStore``: values by key, on a backend that is chosen when it is configured."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fieldstone import conf
from fieldstone.errors import (
    AlreadyConfiguredError,
    NotConfiguredError,
    NotFound,
    RegionConfigurationError,
    ServiceUnavailable,
)
from fieldstone.kvs.asynchronous import AsyncRegion
from fieldstone.kvs.backends import backend_class
from fieldstone.kvs.backends.base import Abilities, Backend
from fieldstone.kvs.creation import CreatingOperations
from fieldstone.kvs.entries import Codec
from fieldstone.kvs.keys import Keys
from fieldstone.kvs.locks import KeyValueStoreLock
from fieldstone.kvs.manglers import resolve
from fieldstone.kvs.mutexes import OwnedMutex
from fieldstone.kvs.namespaces import NamespaceOperations
from fieldstone.kvs.options import Options, lowered
from fieldstone.kvs.runner import Runner
from fieldstone.kvs.statistics import Statistics
from fieldstone.values import MISSING


class Versioned(NamedTuple):
    """A value, and what ``compare_and_set`` wants to know it by."""

    value: Any
    version: bytes


class Region(Keys, AsyncRegion):
    """One named store of values. ``get_key_value_store(name)`` gives the one of that name.

    It is configured once: by ``settings.FIELDSTONE["REGIONS"][name]`` when it is first used, or before by
    ``configure``. Any thread may use it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._guard = threading.Lock()
        self._configured: tuple[CreatingOperations, Runner] | None = None

    # Configuration

    def configure(
        self,
        backing_store: str | type[Backend],
        key_mangler: Callable[[str], str] | str | None = None,
        proxy_list: Iterable[Any] | None = None,
        locking: bool = True,
        **backend_args: Any,
    ) -> Region:
        """Choose where values are kept; does not connect.

        ``backing_store`` is ``memory``, ``redis``, ``memcached``, ``database``, a name of dogpile.cache or of the
        settings, or a dotted path. ``key_mangler`` makes names out of keys; the backend's own comes first where it
        says so. ``proxy_list``: dogpile's proxies, classes or dotted paths, the first outermost. Without
        ``locking`` locks exclude nobody. ``backend_args``: what ``options.Options`` lists, and the backend's own.

        Raises ``AlreadyConfiguredError``; ``RegionConfigurationError`` for anything wrong, or ``TypeError`` for a
        mangler or proxy that is none: then the region is as before, and can be configured again.
        """
        with self._guard:
            if self._configured:
                raise AlreadyConfiguredError(self.name)
            try:
                mangler = resolve(key_mangler)
            except ImportError as error:
                raise RegionConfigurationError(self.name, f"key_mangler: {error}") from None
            try:
                options = Options.taken_from(backend_args)
                codec = Codec(options.make_serializer())
                backend = _made(self.name, backing_store, backend_args)
            except (ValueError, TypeError, ImportError) as error:
                if isinstance(error, RegionConfigurationError):
                    raise
                raise RegionConfigurationError(self.name, str(error)) from error
            if proxy_list:
                try:
                    from fieldstone.kvs.bridge import ProxiedBackend
                except ModuleNotFoundError as error:
                    reason = "proxies are dogpile.cache's: pip install 'fieldstone[dogpile]'"
                    raise RegionConfigurationError(self.name, reason) from error
                backend = ProxiedBackend(backend, list(proxy_list), codec, region=self.name)
            runner = Runner(self.name, backend, options)
            operations = CreatingOperations(runner, codec, options, _chosen(backend, mangler))
            backend.learn_names(operations.name)
            self.locking = locking
            self._configured = operations, runner
        return self

    @property
    def is_configured(self) -> bool:
        return self._configured is not None

    @property
    def backend(self) -> Backend:
        return self._runner().backend

    @property
    def abilities(self) -> Abilities:
        """What this region can do."""
        return self.backend.abilities

    @property
    def statistics(self) -> Statistics:
        """What it has done in this process."""
        return self._runner().statistics

    def _get(self, key: str) -> Any:
        operations, runner = self._configured or self._from_settings()
        try:
            return operations.get_now(runner.call, key)
        except ServiceUnavailable:
            if not runner.is_fail_open:
                raise
            return MISSING

    def _set(self, key: str, value: Any, ttl: float | None) -> None:
        operations, runner = self._configured or self._from_settings()
        try:
            operations.set_now(runner.call, key, value, ttl)
        except ServiceUnavailable:
            if not runner.is_fail_open:
                raise

    def _operations(self) -> CreatingOperations:
        return (self._configured or self._from_settings())[0]

    def _runner(self) -> Runner:
        return (self._configured or self._from_settings())[1]

    def _from_settings(self) -> tuple[CreatingOperations, Runner]:
        configuration = conf.regions().get(self.name)
        if configuration is None:
            raise NotConfiguredError(self.name)
        if not isinstance(configuration, Mapping):
            raise RegionConfigurationError(
                self.name, f"settings give it {configuration!r}, and should give a dict"
            )
        arguments = lowered(configuration)
        with contextlib.suppress(AlreadyConfiguredError):  # by another thread, meanwhile
            self.configure(arguments.pop("backend", "memory"), **arguments)
        if self._configured is None:
            raise NotConfiguredError(self.name)
        return self._configured

    # Beyond getting and setting

    def get_with_version(self, key: str) -> Versioned:
        """The value, and its version for ``compare_and_set``. Raises ``NotFound``."""
        entry = self._run(self._operations().get_entry(key), None)
        if entry is None:
            raise NotFound(key, self.name)
        return Versioned(entry.value, entry.version)

    def compare_and_set(self, key: str, value: Any, version: bytes, *, ttl: float | None = None) -> bool:
        """Keep the value if nobody has written since this version was read; whether it was kept."""
        return bool(self._run(self._operations().compare_and_set(key, value, version, ttl)))

    def add(self, key: str, value: Any, *, ttl: float | None = None) -> bool:
        """Keep the value unless there is one; whether it was kept."""
        return bool(self._run(self._operations().add(key, value, ttl)))

    def incr(self, key: str, by: int = 1, *, initial: int = 0, ttl: float | None = None) -> int:
        """Add to an integer, which begins at ``initial``; the sum. ``ttl`` counts from its beginning.

        Integers of 64 bits, signed; raises ``InvalidEntryError`` beyond, or for another value.
        """
        return int(self._run(self._operations().incr(key, by, initial, ttl)))

    def touch(self, key: str, *, ttl: float | None = None) -> None:
        """Keep the value for so long from now on. Raises ``NotFound``."""
        if not self._run(self._operations().touch(key, ttl), False):
            raise NotFound(key, self.name)

    def keys(self, *, count: int = 1000) -> Iterator[str]:
        """The keys, mangled ones as they are on the server, in pages of about ``count``; one may come twice."""
        cursor = None
        while True:
            names, cursor = self._run(self._operations().page_of_keys(cursor, count))
            yield from names
            if cursor is None:
                return

    def clear(self) -> int:
        """Delete all values; how many there were. Those of namespaces are theirs to invalidate.

        With an empty ``prefix``, all that the server holds.
        """
        return int(self._run(self._operations().clear()))

    def namespace(self, name: str) -> Namespace:
        """Keys of this region that are invalidated together."""
        return Namespace(self, name)

    # Locks

    def get_lock(self, key: str) -> KeyValueStoreLock:
        """``lock`` with the times that the region was configured with."""
        return self.lock(key)

    def lock(
        self,
        key: str,
        *,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        renew: bool = False,
        on_lost: Callable[[KeyValueStoreLock], object] | None = None,
    ) -> KeyValueStoreLock:
        """The lock of a key, not yet acquired.

        It is held for ``timeout`` seconds at most, with ``renew`` for as long as its process lives, and waited for
        ``blocking_timeout`` seconds at most. ``on_lost(lock)`` is called, from another thread, when it cannot be
        renewed. What a lock is worth on a backend is in ``abilities``: ``honest_locks, fair_locks, fencing``.
        """
        operations, runner = self._operations(), self._runner()
        held, waited = operations.options.lock_times(timeout, blocking_timeout)
        mutex = OwnedMutex(runner, operations.lock_name(key), held, waited)
        return KeyValueStoreLock(mutex, key, self.locking, held, renew=renew, on_lost=on_lost)

    # The end

    def close(self) -> None:
        """Close what is open; the region can be used again."""
        if self._configured:
            self.backend.close()

    async def aclose(self) -> None:
        if self._configured:
            await self.backend.aclose()

    def __repr__(self) -> str:
        return f"<Region {self.name!r}>"


class Namespace(Keys):
    """Keys of a region that are invalidated together, for all processes, by one write."""

    def __init__(self, region: Region, namespace: str) -> None:
        self.region = region
        self.name = f"{region.name}#{namespace}"
        self._own = NamespaceOperations(region._operations(), region._runner(), namespace)

    def invalidate(self) -> None:
        """Make a miss of every value that there is, and of every one whose creation is under way."""
        self._run(self._own.invalidate())

    async def ainvalidate(self) -> None:
        await self._arun(self._own.invalidate())

    def _operations(self) -> NamespaceOperations:
        return self._own

    def _runner(self) -> Runner:
        return self.region._runner()


def _made(region: str, backing_store: str | type[Backend], arguments: dict[str, Any]) -> Backend:
    made = backend_class(backing_store)
    try:
        inspect.signature(made).bind(region, **arguments)
    except TypeError as error:
        known = [name for name, p in inspect.signature(made).parameters.items() if p.kind is p.KEYWORD_ONLY]
        raise TypeError(f"{error}. Options of {backing_store!r}: {', '.join(known) or 'none'}") from error
    return made(region, **arguments)


def _chosen(backend: Backend, given: Callable[[str], str] | None) -> Callable[[str], str] | None:
    """Whose mangler it is: the backend's if none is given, or if it insists on its own."""
    if not conf.key_mangling():
        return None
    if given is None or getattr(backend, "use_backend_key_mangler", False):
        own: Callable[[str], str] | None = backend.key_mangler
        return own
    return given

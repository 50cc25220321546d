"""Our backends as backends of dogpile.cache: ``make_region().configure("fieldstone.redis", arguments={...})``.

The arguments are the backend's options, and these of the face: ``region`` (its name in messages), ``ttl`` (seconds
that the server keeps what is set), ``serializer`` (as of a region, MessagePack unless another is given),
``lock_timeout`` and ``blocking_timeout`` (seconds). As with dogpile's own, arguments that are not known are passed
over; a warning names them.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from django.utils.module_loading import import_string
from dogpile.cache import register_backend
from dogpile.cache.api import NO_VALUE, CacheBackend, CantDeserializeException, SerializedReturnType

from fieldstone.errors import FieldstoneError, InvalidEntryError, InvalidKeyError, ServiceUnavailable
from fieldstone.kvs.backends.base import Backend
from fieldstone.kvs.bridge.mutex import BackendMutex, Locks
from fieldstone.kvs.manglers import Mangler, readable
from fieldstone.kvs.options import SERIALIZERS, is_duration
from fieldstone.kvs.serializers import Serializer

log = logging.getLogger("fieldstone.kvs")

LOCK_TIMEOUT = 30.0
"""Seconds that a creator of a value may take unless ``lock_timeout`` is given."""


class BackendFace(CacheBackend):
    """A backend of ours, for bytes. Its locks are dogpile's, over all processes that the backend reaches.

    Raises ``InvalidKeyError``, ``InvalidEntryError`` and ``ServiceUnavailable``; nothing of the driver's.
    """

    backend_class: ClassVar[str]
    """The dotted path of the backend's class: its module is imported when it is asked for."""
    own_mangler: ClassVar[Mangler | None] = None
    """For regions that have none."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        given = dict(arguments)
        self.region = str(given.pop("region", "dogpile"))
        self.ttl = _seconds("ttl", given.pop("ttl", None))
        self.lock_timeout = _seconds("lock_timeout", given.pop("lock_timeout", None)) or LOCK_TIMEOUT
        waits = _seconds("blocking_timeout", given.pop("blocking_timeout", None))
        self.blocking_timeout = waits or 2 * self.lock_timeout
        serializer = serializer_of(given.pop("serializer", "msgpack"))
        self.serializer = serializer.dumps
        self.deserializer = _reader(serializer)
        made: type[Backend] = import_string(self.backend_class)
        self.backend = made(self.region, **_known(made, given))
        self.key_mangler = type(self).own_mangler

    def has_lock_timeout(self) -> bool:
        return True

    def get_mutex(self, key: str) -> BackendMutex:
        times = {"timeout": self.lock_timeout, "blocking_timeout": self.blocking_timeout}
        return BackendMutex(self.locks, self._name(key), **times)

    @property
    def locks(self) -> Locks:
        return _Told(self)

    def get_serialized(self, key: str) -> SerializedReturnType:
        return _or_no_value(self.call("get", self._name(key)))

    def get_serialized_multi(self, keys: Iterable[str]) -> Sequence[SerializedReturnType]:
        names = [self._name(key) for key in keys]
        return [_or_no_value(found) for found in self.call("get_many", names)] if names else []

    def set_serialized(self, key: str, value: bytes) -> None:
        self._set("set", key, self._name(key), self._fitting(key, value), self.ttl)

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        self.set_lasting(mapping, self.ttl)

    def set_lasting(self, mapping: Mapping[str, bytes], ttl: float | None) -> None:
        """``set_serialized_multi`` with another time to live, in seconds; ``None``: until it is deleted."""
        entries = {self._name(key): self._fitting(key, value) for key, value in mapping.items()}
        if entries:
            self._set("set_many", ", ".join(mapping), entries, ttl)

    def delete(self, key: str) -> None:
        self.call("delete", self._name(key))

    def delete_multi(self, keys: Iterable[str]) -> None:
        if names := [self._name(key) for key in keys]:
            self.call("delete_many", names)

    def close(self) -> None:
        """Close the backend's connections; it connects anew when it is used."""
        self.backend.close()

    def call(self, method: str, *args: Any) -> Any:
        """A call of the backend. Raises ``ServiceUnavailable``."""
        with told(self.region, self.backend):
            return getattr(self.backend, method)(*args)

    def _set(self, method: str, keys: str, *args: Any) -> None:
        try:
            self.call(method, *args)
        except ValueError as error:
            if isinstance(error, FieldstoneError):
                raise
            raise InvalidEntryError(self.region, keys, str(error)) from error

    def _name(self, key: Any) -> str:
        reason = "a key is text" if not isinstance(key, str) else "it is empty" if not key else None
        if reason := reason or self.backend.check_key(key):
            raise InvalidKeyError(self.region, key, f"{reason} (a key_mangler of the region can make any key fit)")
        return str(key)

    def _fitting(self, key: str, value: bytes) -> bytes:
        limit = self.backend.abilities.max_value_bytes
        if limit is not None and len(value) > limit:
            raise InvalidEntryError(self.region, key, f"it takes {len(value):,} bytes, and {limit:,} are allowed")
        return value


class MemoryFace(BackendFace):
    backend_class = "fieldstone.kvs.backends.memory.MemoryBackend"


class RedisFace(BackendFace):
    backend_class = "fieldstone.kvs.backends.redis.RedisBackend"


class MemcachedFace(BackendFace):
    backend_class = "fieldstone.kvs.backends.memcached.MemcachedBackend"
    own_mangler: ClassVar[Mangler | None] = staticmethod(readable)  # dogpile's decorators make keys with spaces


class DatabaseFace(BackendFace):
    backend_class = "fieldstone.kvs.backends.database.DatabaseBackend"


FACES: dict[str, type[BackendFace]] = {
    "fieldstone.memory": MemoryFace,
    "fieldstone.redis": RedisFace,
    "fieldstone.memcached": MemcachedFace,
    "fieldstone.database": DatabaseFace,
}


def register() -> None:
    """Make the names known to dogpile.cache, where the package's entry points are not; harmless twice."""
    for name, face in FACES.items():
        register_backend(name, face.__module__, face.__name__)


@contextmanager
def told(region: str, backend: Backend) -> Iterator[None]:
    """The driver's word that its server is gone becomes ``ServiceUnavailable``."""
    try:
        yield
    except backend.unavailable as error:
        where, reason = f"{backend.kind} at {backend.address}", f"{type(error).__name__}: {error}"
        raise ServiceUnavailable(region, where, reason) from error


def serializer_of(given: str | Serializer) -> Serializer:
    """A serializer, given itself or by its name. Raises ``ValueError``."""
    if isinstance(given, Serializer):
        return given
    if given not in SERIALIZERS:
        raise ValueError(f"there is no serializer {given!r}: one of {', '.join(SERIALIZERS)}")
    return SERIALIZERS[given]()


class _Told:
    """A face's locks, whose errors are told."""

    def __init__(self, face: BackendFace) -> None:
        self._face = face

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        fence: int | None = self._face.call("acquire", name, token, timeout, wait)
        return fence

    def release(self, name: str, token: str) -> bool:
        return bool(self._face.call("release", name, token))

    def renew(self, name: str, token: str, timeout: float) -> bool:
        return bool(self._face.call("renew", name, token, timeout))

    def locked(self, name: str) -> bool:
        return bool(self._face.call("locked", name))


def _reader(serializer: Serializer) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return serializer.loads(data)
        except ValueError as error:  # dogpile takes it for a miss then, and creates the value anew
            raise CantDeserializeException(str(error)) from error

    return read


def _known(made: type[Backend], given: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(made).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return given
    names = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    if strange := sorted(given.keys() - names):
        log.warning("Arguments that %s does not know were passed over: %s.", made.__name__, ", ".join(strange))
    return {name: value for name, value in given.items() if name in names}


def _seconds(name: str, value: Any) -> float | None:
    if value is not None and not is_duration(value):
        raise ValueError(f"{name} is {value!r}, and should be a number of seconds above 0")
    return None if value is None else float(value)


def _or_no_value(found: bytes | None) -> SerializedReturnType:
    return NO_VALUE if found is None else found

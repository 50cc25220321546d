"""``openstack.kvs.Memory``: a store in the memory of this process."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from dogpile.cache.api import NO_VALUE, CacheBackend

from fieldstone.errors import InvalidEntryError
from fieldstone.kvs.backends.memory import MemoryBackend as Locks
from fieldstone.kvs.bridge import BackendMutex
from fieldstone.kvs.keystone.locking import LockTimes


class MemoryBackend(CacheBackend):
    """Keeps what is set until it is deleted, in ``_db``, without a bound.

    Subclasses may do without calling ``__init__``: those that Keystone's users wrote do.
    """

    keeps_copies: ClassVar[bool] = True
    lock_times = LockTimes()

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._db: dict[str, Any] = {}
        self.lock_times = LockTimes.of(arguments)

    def get_mutex(self, key: str) -> Any:
        times = self.lock_times
        return BackendMutex(self._locks, f"_lock{key}", timeout=times.held, blocking_timeout=times.waited)

    def get(self, key: str) -> Any:
        kept = self._db.get(key, NO_VALUE)
        # Written by this process, and never out of its memory: nobody else can have planted it.
        return kept if kept is NO_VALUE else pickle.loads(kept)  # noqa: S301

    def get_multi(self, keys: Iterable[str]) -> list[Any]:
        return [self.get(key) for key in keys]

    def set(self, key: str, value: Any) -> None:
        self.set_multi({key: value})

    def set_multi(self, mapping: Mapping[str, Any]) -> None:
        """All of them or, where a value cannot be copied, none. Raises ``InvalidEntryError``."""
        for key, kept in {key: _pickled(key, value) for key, value in mapping.items()}.items():
            self._db[key] = kept

    def delete(self, key: str) -> None:
        self._db.pop(key, None)

    def delete_multi(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    @cached_property
    def _locks(self) -> Locks:
        return Locks("openstack.kvs.Memory")


def _pickled(key: str, value: Any) -> bytes:
    """Not MessagePack: old callers get back the tuples, sets and naive datetimes that they set."""
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidEntryError("openstack.kvs.Memory", key, f"it cannot be copied ({error})") from error

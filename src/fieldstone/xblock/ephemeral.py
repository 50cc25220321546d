"""``EphemeralKeyValueStore``: fields that are worth keeping for a while only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from xblock.runtime import KeyValueStore

from fieldstone.kvs import MemoryRegion
from fieldstone.values import MISSING, encode_value

DAY = 24 * 60 * 60


class Region(Protocol):
    """What it takes to keep values: any of ``fieldstone.kvs`` does."""

    def get(self, key: str, default: Any) -> Any: ...
    def set(self, key: str, value: Any, ttl: float | None) -> None: ...
    def delete(self, key: str) -> object: ...


_of_this_process = MemoryRegion()


class EphemeralKeyValueStore(KeyValueStore):  # type: ignore[misc]  # xblock publishes no types
    """Fields of any scope, each in a region for ``ttl`` seconds from when it was set last: for authors' previews.

    Without a region they are in the memory of this process. Nothing is shared between users but what its scope
    shares; who may use the store is for the caller to check.
    """

    def __init__(self, region: Region | None = None, *, ttl: float = DAY) -> None:
        self._region: Region = _of_this_process if region is None else region
        self._ttl = ttl

    def get(self, key: KeyValueStore.Key) -> Any:
        """The value, a new object at each call. Raises ``KeyError`` when none is kept."""
        value = self._region.get(_text(key), MISSING)
        if value is MISSING:
            raise KeyError(key.field_name)
        return value

    def has(self, key: KeyValueStore.Key) -> bool:
        return self._region.get(_text(key), MISSING) is not MISSING

    def set(self, key: KeyValueStore.Key, value: Any) -> None:
        """Raises ``InvalidValueError`` for what JSON cannot write."""
        self._region.set(_text(key), value, self._ttl)

    def set_many(self, kv_dict: Mapping[KeyValueStore.Key, Any]) -> None:
        """Each value in turn: a region has no transactions."""
        for key, value in kv_dict.items():
            self.set(key, value)

    def delete(self, key: KeyValueStore.Key) -> None:
        """Raises ``KeyError`` when none is kept."""
        if not self.has(key):
            raise KeyError(key.field_name)
        self._region.delete(_text(key))


def _text(key: KeyValueStore.Key) -> str:
    """The key as text. As JSON, so that no part of one key can be taken for a part of another."""
    block = None if key.block_scope_id is None else str(key.block_scope_id)
    return f"ephemeral {encode_value([key.scope.name, key.user_id, block, key.field_name, key.block_family])}"

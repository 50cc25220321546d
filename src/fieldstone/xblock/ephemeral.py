"""``EphemeralKeyValueStore``: fields that are worth keeping for a while only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xblock.runtime import KeyValueStore

from fieldstone.errors import NotFound
from fieldstone.kvs import Region
from fieldstone.values import MISSING, encode_value

DAY = 24 * 60 * 60


# JSON, as the store writes fields: MessagePack nests less deep, and keeps keys that are no text.
_of_this_process = Region("ephemeral").configure("memory", serializer="json")


class EphemeralKeyValueStore(KeyValueStore):  # type: ignore[misc]  # xblock publishes no types
    """Fields of any scope, each in a region for ``ttl`` seconds from when it was set last: for authors' previews.

    The region has the serializer ``json``; without a region they are in the memory of this process. Nothing is
    shared between users but what its scope shares; who may use the store is for the caller to check.
    """

    def __init__(self, region: Region | None = None, *, ttl: float = DAY) -> None:
        self._region = _of_this_process if region is None else region
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
        self._region.set(_text(key), value, ttl=self._ttl)

    def set_many(self, kv_dict: Mapping[KeyValueStore.Key, Any]) -> None:
        """All of them, or none where the region's ``abilities.atomic_bulk`` says so."""
        self._region.set_multi({_text(key): value for key, value in kv_dict.items()}, ttl=self._ttl)

    def delete(self, key: KeyValueStore.Key) -> None:
        """Raises ``KeyError`` when none is kept."""
        try:
            self._region.delete(_text(key))
        except NotFound as error:
            raise KeyError(key.field_name) from error


def _text(key: KeyValueStore.Key) -> str:
    """The key as text. As JSON, so that no part of one key can be taken for a part of another."""
    block = None if key.block_scope_id is None else str(key.block_scope_id)
    return f"ephemeral {encode_value([key.scope.name, key.user_id, block, key.field_name, key.block_family])}"

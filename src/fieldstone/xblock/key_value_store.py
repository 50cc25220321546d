"""``DjangoKeyValueStore``: XBlock's key-value store over a ``FieldDataCache``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xblock.runtime import KeyValueStore

from fieldstone.xblock.field_data_cache import FieldDataCache


class DjangoKeyValueStore(KeyValueStore):  # type: ignore[misc]  # xblock publishes no types
    """Reads from the cache, without a query; writes through it; it says what is raised."""

    def __init__(self, field_data_cache: FieldDataCache) -> None:
        self._cache = field_data_cache

    def get(self, key: KeyValueStore.Key) -> Any:
        return self._cache.get(key)

    def has(self, key: KeyValueStore.Key) -> bool:
        return self._cache.has(key)

    def set(self, key: KeyValueStore.Key, value: Any) -> None:
        self._cache.set_many({key: value})

    def set_many(self, kv_dict: Mapping[KeyValueStore.Key, Any]) -> None:
        self._cache.set_many(kv_dict)

    def delete(self, key: KeyValueStore.Key) -> None:
        self._cache.delete(key)

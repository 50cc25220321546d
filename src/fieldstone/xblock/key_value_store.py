"""``DjangoKeyValueStore``: XBlock's key-value store over a ``FieldDataCache``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.db import Error as DatabaseError
from xblock.exceptions import InvalidScopeError, KeyValueMultiSaveError
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from fieldstone.errors import CrossLearnerError, FieldstoneError, ReadOnlyError
from fieldstone.values import DELETED
from fieldstone.xblock.field_data_cache import LEARNER_SCOPES, FieldDataCache

log = logging.getLogger(__name__)


class DjangoKeyValueStore(KeyValueStore):  # type: ignore[misc]  # xblock publishes no types
    """Reads from the cache, without a query; writes through it to the store.

    Each call raises ``InvalidScopeError`` for a scope that is not the learner's, and ``CrossLearnerError`` for a
    key of another learner.
    """

    def __init__(self, field_data_cache: FieldDataCache) -> None:
        self._cache = field_data_cache

    def get(self, key: KeyValueStore.Key) -> Any:
        """The value, a new object at each call; ``None`` is a value. Raises ``KeyError`` when none is stored."""
        _check_scope(key)
        return self._cache.fields_at(key)[key.field_name]

    def has(self, key: KeyValueStore.Key) -> bool:
        """Whether a value is stored."""
        _check_scope(key)
        return key.field_name in self._cache.fields_at(key)

    def set(self, key: KeyValueStore.Key, value: Any) -> None:
        """Store one value; ``set_many`` of it."""
        self.set_many({key: value})

    def set_many(self, kv_dict: Mapping[KeyValueStore.Key, Any]) -> None:
        """Store values of any blocks and scopes, all or none.

        Raises ``KeyValueMultiSaveError`` with no saved field names when the store refuses: then nothing is
        stored, the cache shows what was there before, and the same call may be tried again.
        """
        for key in kv_dict:
            _check_scope(key)
        try:
            self._cache.save(kv_dict)
        except (CrossLearnerError, ReadOnlyError):
            raise
        except (DatabaseError, FieldstoneError) as error:
            names = sorted(key.field_name for key in kv_dict)
            log.exception("Nothing of %s was saved", ", ".join(names))
            raise KeyValueMultiSaveError([]) from error

    def delete(self, key: KeyValueStore.Key) -> None:
        """Delete a value. Raises ``KeyError`` when none is stored."""
        if not self.has(key):
            raise KeyError(key.field_name)
        self.set_many({key: DELETED})


def _check_scope(key: KeyValueStore.Key) -> None:
    if key.scope is not Scope.user_state and key.scope not in LEARNER_SCOPES:
        raise InvalidScopeError(key, LEARNER_SCOPES)

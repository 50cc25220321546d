"""The first generation's calls over the store of today: ``LmsKeyValueStore`` and ``ModelDataCache``.

What they did with learners' fields was another store each; here it is ``FieldDataCache``, with its checks and its
saves that happen whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opaque_keys.edx.keys import CourseKey
from xblock.core import XBlock
from xblock.exceptions import InvalidScopeError
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from fieldstone.errors import InvalidWriteError
from fieldstone.xblock.field_data_cache import FieldDataCache

AUTHORED_SCOPES = (Scope.content, Scope.settings, Scope.parent, Scope.children)


class ModelDataCache(FieldDataCache):
    """``FieldDataCache`` as it was first called; a course may be given as text."""

    def __init__(
        self, descriptors: Iterable[XBlock], course_id: CourseKey | str, user: Any, **options: Any
    ) -> None:
        if isinstance(course_id, str):
            course_id = CourseKey.from_string(course_id)
        super().__init__(descriptors, course_id, user, **options)

    @property
    def cache(self) -> Mapping[Any, Any]:
        """What is stored, as far as it is known: fields by scope and name of their place."""
        return {
            (scope, name): state.fields
            for scope, known in super().cache.items()
            for name, state in known.states.items()
            if state.fields
        }


class LmsKeyValueStore(KeyValueStore):  # type: ignore[misc]  # xblock publishes no types
    """What the author wrote comes from a mapping by field name, what the learner did from a ``ModelDataCache``.

    Writing or deleting a field of ``content``, ``settings``, ``parent`` or ``children`` raises
    ``InvalidWriteError``, and nothing of the call is saved. A block without a parent has ``None``.
    """

    def __init__(self, descriptor_model_data: Mapping[str, Any], model_data_cache: FieldDataCache | None) -> None:
        """Without a cache there is no learner: any learner's field raises ``InvalidScopeError``."""
        self._authored = descriptor_model_data
        self._cache = model_data_cache

    def get(self, key: KeyValueStore.Key) -> Any:
        if key.scope not in AUTHORED_SCOPES:
            return self._learner(key).get(key)
        if key.scope == Scope.parent:
            return self._authored.get(key.field_name)
        return self._authored[key.field_name]

    def has(self, key: KeyValueStore.Key) -> bool:
        if key.scope not in AUTHORED_SCOPES:
            return self._learner(key).has(key)
        return key.scope == Scope.parent or key.field_name in self._authored

    def set(self, key: KeyValueStore.Key, value: Any) -> None:
        self.set_many({key: value})

    def set_many(self, kv_dict: Mapping[KeyValueStore.Key, Any]) -> None:
        for key in kv_dict:
            self._check_write(key)
        if kv_dict:
            self._learner(next(iter(kv_dict))).set_many(kv_dict)

    def delete(self, key: KeyValueStore.Key) -> None:
        self._check_write(key)
        self._learner(key).delete(key)

    def _check_write(self, key: KeyValueStore.Key) -> None:
        if key.scope in AUTHORED_SCOPES:
            raise InvalidWriteError(key.field_name, key.scope.name)

    def _learner(self, key: KeyValueStore.Key) -> FieldDataCache:
        if self._cache is None:
            raise InvalidScopeError(key, AUTHORED_SCOPES)
        return self._cache

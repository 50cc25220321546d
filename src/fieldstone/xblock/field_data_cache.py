"""``FieldDataCache``: the learner's fields of a page of blocks, fetched at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.core import XBlock
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from fieldstone.errors import CrossLearnerError, ReadOnlyError
from fieldstone.store.places import Place, Preferences, Summary, UserInfo, key_text
from fieldstone.store.states import State
from fieldstone.store.store import Store
from fieldstone.values import encode_changes

LEARNER_SCOPES = (Scope.user_state, Scope.user_state_summary, Scope.preferences, Scope.user_info)

PlaceName: TypeAlias = tuple[Any, ...] | str
"""What a place is looked up by: the text of a usage key costs a third of the hash of the key itself."""


class FieldDataCache:
    """The fields of one learner in the four learner scopes, for the blocks that were added.

    One query a scope that occurs, whatever the number of blocks; reads after that cost none. A save goes to the
    store first and into the cache once it is there.
    """

    def __init__(
        self,
        blocks: Iterable[XBlock],
        course_id: CourseKey,
        user: Any,
        *,
        read_only: bool = False,
        origin: str = "",
        using: str = "default",
    ) -> None:
        self.course_id = course_id
        self.user = user
        self.read_only = read_only
        self.origin = origin  # kept in the history of what is saved through this cache
        self._store = Store(using)
        self._fields: dict[PlaceName, dict[str, str]] = {}  # JSON text by field name; a place met is always here
        self._batch: _Batch | None = None
        self.add_blocks_to_cache(blocks)

    def add_blocks_to_cache(self, blocks: Iterable[XBlock]) -> None:
        """Fetch what the fields of these blocks may need; nothing for what is here already."""
        missing: dict[PlaceName, Place] = {}
        for block in blocks:
            for place in _places_of(block):
                name = _name_of(place)
                if name not in self._fields:
                    missing[name] = place
        if not missing:
            return
        found = self._store.read(self.user, missing.values()) if self.user.is_authenticated else {}
        fetched = {_name_of(place): dict(state.fields.encoded) for place, state in found.items()}
        for name in missing:
            self._fields[name] = fetched.get(name, {})

    def fields_at(self, key: KeyValueStore.Key) -> Mapping[str, str]:
        """The fields of the place that a key is at, as JSON text. Raises ``CrossLearnerError``."""
        self._check_learner(key)
        return self._fields.get(_name_of(_place_of(key)), {})

    def save(self, updates: Mapping[KeyValueStore.Key, Any]) -> None:
        """Save values, ``DELETED`` to delete; all of them or none, and the cache follows the store.

        Inside ``saving_at_the_end`` the values are seen at once and stored when it ends.
        """
        changes: dict[Place, dict[str, Any]] = {}
        for key, value in updates.items():
            self._check_learner(key)
            changes.setdefault(_place_of(key), {})[key.field_name] = value
        if self.read_only:
            raise ReadOnlyError("This field data cache is read-only: nothing was saved.")
        if self._batch is None:
            self._store_now(changes)
            return
        encoded = {place: encode_changes(place, fields) for place, fields in changes.items()}
        for place, fields in changes.items():
            name = _name_of(place)
            self._batch.stored.setdefault(name, dict(self._fields.get(name, {})))
            self._batch.changes.setdefault(place, {}).update(fields)
            self._overlay(place, encoded[place])

    @contextmanager
    def saving_at_the_end(self) -> Iterator[None]:
        """Make one save of all that is saved within: a page of blocks costs one write, not one a block.

        Nothing is stored when the body raises. Raises what ``Store.save`` raises, as the body ends; after any
        error the cache shows what is stored.
        """
        self._batch = batch = _Batch()
        try:
            yield
            self._batch = None
            self._store_now(batch.changes)
        except BaseException:
            self._batch = None
            self._fields.update(batch.stored)
            raise

    def _store_now(self, changes: Mapping[Place, Mapping[str, Any]]) -> None:
        states = self._store.save(self.user, changes, origin=self.origin).states
        for place, fields in changes.items():
            merged: State | None = states.get(place)
            if merged is not None:  # with what other processes saved since the prefetch
                self._fields[_name_of(place)] = dict(merged.fields.encoded)
            else:
                self._overlay(place, encode_changes(place, fields))

    def _overlay(self, place: Place, encoded: Mapping[str, str | None]) -> None:
        fields = self._fields.setdefault(_name_of(place), {})
        for name, text in encoded.items():
            if text is None:
                fields.pop(name, None)
            else:
                fields[name] = text

    def _check_learner(self, key: KeyValueStore.Key) -> None:
        # An `if` and not an assert: `python -O` must not open other learners' state.
        if key.scope in _PER_LEARNER and self.user.is_authenticated and key.user_id != self.user.pk:
            raise CrossLearnerError(key.user_id, self.user.pk)


@dataclass
class _Batch:
    """Saves that wait for the end of ``saving_at_the_end``."""

    changes: dict[Place, dict[str, Any]] = field(default_factory=dict)
    stored: dict[PlaceName, dict[str, str]] = field(default_factory=dict)  # the cache before them, to go back to


_PER_LEARNER = frozenset({Scope.user_state, Scope.preferences, Scope.user_info})


def _places_of(block: XBlock) -> Iterator[Place]:
    """The places that the learner fields of a block are at."""
    scopes = {declared.scope for declared in block.fields.values()}
    usage_key: UsageKey = block.scope_ids.usage_id
    if Scope.user_state in scopes:
        yield usage_key
    if Scope.user_state_summary in scopes:
        yield Summary(usage_key)
    if Scope.preferences in scopes:
        yield Preferences(block.scope_ids.block_type)
    if Scope.user_info in scopes:
        yield UserInfo()


def _place_of(key: KeyValueStore.Key) -> Place:
    if key.scope == Scope.user_state:
        usage_key: UsageKey = key.block_scope_id
        return usage_key
    if key.scope == Scope.user_state_summary:
        return Summary(key.block_scope_id)
    if key.scope == Scope.preferences:
        return Preferences(key.block_scope_id)
    return UserInfo()


def _name_of(place: Place) -> PlaceName:
    if isinstance(place, Summary):
        return Scope.user_state_summary.name, key_text(place.usage_key)
    if isinstance(place, Preferences):
        return Scope.preferences.name, place.block_type
    if isinstance(place, UserInfo):
        return (Scope.user_info.name,)
    return key_text(place)

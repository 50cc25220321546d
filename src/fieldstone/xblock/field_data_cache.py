"""``FieldDataCache``: the learner's fields of a page of blocks, fetched at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.core import XBlock
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from fieldstone.errors import CrossLearnerError, ReadOnlyError
from fieldstone.store.places import Place, PlaceName, Preferences, Summary, UserInfo, name_of
from fieldstone.store.states import Grade, State
from fieldstone.store.store import Store
from fieldstone.values import DELETED, Fields, decode_value, encode_changes

LEARNER_SCOPES = (Scope.user_state, Scope.user_state_summary, Scope.preferences, Scope.user_info)


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
        self._learner_id = user.pk
        self._fields: dict[PlaceName, Fields] = {}  # a place that was met is always here
        self._batch: _Batch | None = None
        self.add_blocks_to_cache(blocks)

    def add_blocks_to_cache(self, blocks: Iterable[XBlock]) -> None:
        """Fetch what the fields of these blocks may need; nothing for what is here already."""
        missing: dict[PlaceName, Place] = {}
        for block in blocks:
            for place in _places_of(block):
                name = name_of(place)
                if name not in self._fields:
                    missing[name] = place
        if missing:
            self._fetch(missing)

    def _fetch(self, missing: Mapping[PlaceName, Place]) -> None:
        found: Mapping[PlaceName, State] = {}
        if self.user.is_authenticated:
            found = self._store.read(self.user, missing.values()).by_name
        for name in missing:
            state = found.get(name)
            self._fields[name] = _NO_FIELDS if state is None else state.fields

    def fields_at(self, key: KeyValueStore.Key) -> Fields:
        """The fields of the place that a key is at. Raises ``CrossLearnerError``."""
        self._check_learner(key)
        if key.scope is Scope.user_state:  # nearly always; a scope's own comparison and hash run in Python
            fields = self._fields.get(str(key.block_scope_id))
            if fields is not None:
                return fields
        return self._fields_of(_place_of(key))

    def _fields_of(self, place: Place) -> Fields:
        """The fields of a place, fetched now if its block was never added: an empty answer could be wrong."""
        name = name_of(place)
        if name not in self._fields:
            self._fetch({name: place})
        return self._fields[name]

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
        for place, fields in encoded.items():
            self._batch.stored.setdefault(name_of(place), self._fields_of(place))
            # Copies: what the block does to a value after its save belongs to its next save.
            copies = {name: DELETED if text is None else decode_value(text) for name, text in fields.items()}
            self._batch.changes.setdefault(place, {}).update(copies)
            self._overlay(place, fields)

    def save_grade(self, usage_key: UsageKey, grade: Grade) -> None:
        """Save a learner's grade at a block; inside ``saving_at_the_end``, together with all else."""
        if self.read_only:
            raise ReadOnlyError("This field data cache is read-only: the grade was not saved.")
        if self._batch is None:
            self._store.save(self.user, {}, grades={usage_key: grade}, origin=self.origin)
        else:
            self._batch.grades[usage_key] = grade

    @contextmanager
    def saving_at_the_end(self) -> Iterator[None]:
        """Make one save of all that is saved within: a page of blocks costs one write, not one a block.

        Nothing is stored when the body raises. Raises what ``Store.save`` raises, as the body ends; after any
        error the cache shows what is stored.
        """
        if self._batch is not None:  # the page around this one saves
            yield
            return
        self._batch = batch = _Batch()
        try:
            yield
            self._batch = None
            self._store_now(batch.changes, batch.grades)
        except BaseException:
            self._batch = None
            self._fields.update(batch.stored)
            raise

    def _store_now(
        self, changes: Mapping[Place, Mapping[str, Any]], grades: Mapping[UsageKey, Grade] | None = None
    ) -> None:
        merged = self._store.save(self.user, changes, grades=grades, origin=self.origin).states.by_name
        for place, fields in changes.items():
            state = merged.get(name_of(place))
            if state is not None:  # with what other processes saved since the prefetch
                self._fields[name_of(place)] = state.fields
            elif name_of(place) in self._fields:
                self._overlay(place, encode_changes(place, fields))

    def _overlay(self, place: Place, encoded: Mapping[str, str | None]) -> None:
        name = name_of(place)
        self._fields[name] = self._fields[name].overlaid(encoded)

    def _check_learner(self, key: KeyValueStore.Key) -> None:
        # An `if` and not an assert: `python -O` must not open other learners' state.
        if key.user_id == self._learner_id or key.scope not in _PER_LEARNER:
            return
        if self.user.is_authenticated:
            raise CrossLearnerError(key.user_id, self._learner_id)


@dataclass
class _Batch:
    """Saves that wait for the end of ``saving_at_the_end``."""

    changes: dict[Place, dict[str, Any]] = field(default_factory=dict)
    grades: dict[UsageKey, Grade] = field(default_factory=dict)
    stored: dict[PlaceName, Fields] = field(default_factory=dict)  # the cache before them, to go back to


_NO_FIELDS = Fields({})
_PER_LEARNER = frozenset({Scope.user_state, Scope.preferences, Scope.user_info})


@cache
def _scopes_of(cls: Any) -> frozenset[Scope]:
    """The scopes that occur among the fields of a class of blocks; they never change."""
    return frozenset(declared.scope for declared in cls.fields.values())


def _places_of(block: XBlock) -> Iterator[Place]:
    """The places that the learner fields of a block are at."""
    cls: Any = type(block)
    scopes = _scopes_of(cls)
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

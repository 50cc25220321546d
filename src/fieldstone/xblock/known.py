"""What is known of one learner's fields, fetched where it is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opaque_keys.edx.keys import CourseKey
from xblock.core import XBlock
from xblock.exceptions import InvalidScopeError
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from fieldstone.errors import CrossLearnerError
from fieldstone.store.places import Summary, key_text
from fieldstone.store.reading import Wanted
from fieldstone.store.states import State
from fieldstone.xblock.backing import Backing
from fieldstone.xblock.declared import declared_by
from fieldstone.xblock.scopes import (
    LEARNER_SCOPES,
    BlockTypes,
    Cell,
    Learner,
    ScopeCache,
    UserState,
    UserStateSummary,
    in_course,
)

_USER_STATE, _SUMMARY = Scope.user_state, Scope.user_state_summary


class Known:
    """The fields of one learner, or of an anonymous visitor: for one nothing is fetched but what is nobody's.

    ``keeps_visitors``: the backing has fields of visitors, too.
    """

    def __init__(self, course_id: CourseKey, user: Any, backing: Backing, *, keeps_visitors: bool = False) -> None:
        self.course_id = course_id
        self.learner = user if user.is_authenticated else None
        self._has_own = keeps_visitors or user.is_authenticated
        self._learner_id = user.pk
        self._backing = backing
        self._cells: dict[tuple[ScopeCache, str], Cell] = {}
        self.states = UserState(course_id)
        self.summaries = UserStateSummary(course_id)
        self.preferences = BlockTypes(course_id)
        self.user_info = Learner(course_id)
        caches = (self.states, self.summaries, self.preferences, self.user_info)
        self.by_scope: dict[Scope, ScopeCache] = dict(zip(LEARNER_SCOPES, caches, strict=True))

    def add(self, blocks: Iterable[XBlock], aside_types: Iterable[str]) -> None:
        """Fetch what the fields of blocks and their asides may need and is not here."""
        wanted, names, types = Wanted(), set[str](), set[str]()
        states, summaries, preferences = self.states.whole, self.summaries.whole, self.preferences.whole
        for declared, given_key, block_type in declared_by(blocks, aside_types):
            usage_key = in_course(given_key, self.course_id)
            name = key_text(usage_key)
            names.add(name)
            types.add(block_type)
            if declared.user_state and name not in states:
                wanted.usages[name] = usage_key
            if declared.user_state_summary and name not in summaries:
                wanted.summaries[name] = Summary(usage_key)
            if declared.preferences and block_type not in preferences:
                wanted.preferences.add(block_type)
            if declared.user_info and not self.user_info.whole:
                wanted.user_info = True
        self._fetch(wanted)
        added = (names, names, types, {""} if names else ())
        for cache, of_scope in zip(self.by_scope.values(), added, strict=True):
            cache.added.update(of_scope)

    def _fetch(self, wanted: Wanted) -> None:
        if not self._has_own:
            wanted = Wanted(summaries=wanted.summaries)
        if not wanted:
            return
        found = self._backing.read(self.learner, wanted)
        self.states.put(wanted.usages, found.usages)
        self.summaries.put({name: place.usage_key for name, place in wanted.summaries.items()}, found.summaries)
        self.preferences.put({name: name for name in wanted.preferences}, found.preferences)
        if wanted.user_info:
            self.user_info.put({"": None}, {"": found.user_info} if found.user_info else {})

    def state(self, key: KeyValueStore.Key) -> State:
        """The state that a key's value is in: whole, or at least right about this one field.

        Raises ``InvalidScopeError`` or ``CrossLearnerError``.
        """
        scope, user_id, block_scope_id, field_name, _ = key
        # The commonest keys first, by identity: a scope's own comparison and hash run in Python.
        state = None
        if scope is _USER_STATE and user_id == self._learner_id:
            state = self.states.by_identity.get(id(block_scope_id))
        elif scope is _SUMMARY:
            state = self.summaries.by_identity.get(id(block_scope_id))
        if state is not None:
            return state
        cache = self._checked(key)
        subject = cache.subject_of(key)
        name = cache.name_of(subject)
        state = cache.states.get(name, cache.nothing)
        # Of a block that was never added an empty answer could be wrong. One that was is taken at its word: what
        # it declares no field for is not asked for.
        if name in cache.whole or field_name in state.fields or name in cache.added:
            return state
        self._fetch(Wanted.of([cache.place_of(subject)]))
        return cache.states.get(name, cache.nothing)

    def cell(self, key: KeyValueStore.Key, *, whole: bool) -> Cell:
        """Where a key's value is written to; ``whole``: with all that is stored there fetched.

        Raises ``InvalidScopeError`` or ``CrossLearnerError``.
        """
        cache = self._checked(key)
        subject = cache.subject_of(key)
        name = cache.name_of(subject)
        cell = self._cells.get((cache, name))
        if cell is None:
            cell = self._cells[cache, name] = Cell(cache, name, cache.place_of(subject))
        if whole and name not in cache.whole:
            self._fetch(Wanted.of([cell.place]))
        return cell

    def _checked(self, key: KeyValueStore.Key) -> ScopeCache:
        cache = self.by_scope.get(key.scope)
        if cache is None:
            raise InvalidScopeError(key, LEARNER_SCOPES)
        # An `if` and not an assert: `python -O` must not open other learners' state.
        if cache.is_personal and key.user_id != self._learner_id and self._has_own:
            raise CrossLearnerError(key.user_id, self._learner_id)
        return cache

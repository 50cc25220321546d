"""What is known of each scope: the states of its places, by name, and by the very objects that keys are made of.

A *subject* is what a place is of in its scope: a usage key, a block type, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opaque_keys.edx.block_types import XBLOCK_V1, XMODULE_V1, BlockTypeKeyV1
from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from fieldstone.store.places import Place, Preferences, Summary, UserInfo, key_text
from fieldstone.store.states import RowFields, State
from fieldstone.values import Fields

LEARNER_SCOPES = (Scope.user_state, Scope.user_state_summary, Scope.preferences, Scope.user_info)

NEVER = datetime.min.replace(tzinfo=UTC)


class ScopeCache:
    """What is known of one scope. Its length is the number of stored fields, as far as they are known."""

    is_personal = True
    nothing = State(RowFields((), lambda at: at), NEVER)
    """The state of a place where nothing is stored."""

    def __init__(self, course_id: CourseKey) -> None:
        self.course_id = course_id
        self.states: dict[str, State] = {}
        self.whole: dict[str, Any] = {}  # subjects, by name, of the places of which all that is stored is known
        self.added: set[str] = set()  # names of the places of blocks that were added, with fields here or without
        # Of whole places, by the subjects themselves: to ask a dictionary by a usage key takes twice as long as a
        # whole get. They are held in `whole`, so none of these ids is another object's.
        self.by_identity: dict[int, State] = {}

    def __len__(self) -> int:
        return sum(len(state.fields) for state in self.states.values())

    def subject_of(self, key: KeyValueStore.Key) -> Any:
        """The subject of the place that a key is at."""
        raise NotImplementedError

    def name_of(self, subject: Any) -> str:
        """The name of a subject's place."""
        raise NotImplementedError

    def place_of(self, subject: Any) -> Place:
        """The store's place of a subject."""
        raise NotImplementedError

    def put(self, subjects: Mapping[str, Any], found: Mapping[str, State]) -> None:
        """Take up what was read of the places of subjects."""
        self.whole.update(subjects)
        nothing, states, by_identity = self.nothing, self.states, self.by_identity
        for name, subject in subjects.items():
            states[name] = by_identity[id(subject)] = found.get(name, nothing)

    def change(self, name: str, state: State) -> None:
        """Take up the state that a place has from now on, as far as it is known."""
        self.states[name] = state
        if name in self.whole:
            self.by_identity[id(self.whole[name])] = state


class OfBlocks(ScopeCache):
    """A scope whose places are of usage keys."""

    def subject_of(self, key: KeyValueStore.Key) -> UsageKey:
        usage_key: UsageKey = in_course(key.block_scope_id, self.course_id)
        return usage_key

    def name_of(self, subject: UsageKey) -> str:
        return key_text(subject)


class UserState(OfBlocks):
    """``user_state``: the usage key is the place. One row has all its fields, so the length is in places."""

    nothing = State(Fields({}), NEVER)

    def __len__(self) -> int:
        return sum(1 for state in self.states.values() if state.fields)

    def place_of(self, subject: UsageKey) -> Place:
        return subject


class UserStateSummary(OfBlocks):
    """``user_state_summary``: nobody's."""

    is_personal = False

    def place_of(self, subject: UsageKey) -> Place:
        return Summary(subject)


class BlockTypes(ScopeCache):
    """``preferences``: of block types, told apart by family."""

    def subject_of(self, key: KeyValueStore.Key) -> str:
        return type_text(key.block_scope_id, key.block_family)

    def name_of(self, subject: str) -> str:
        return subject

    def place_of(self, subject: str) -> Place:
        return Preferences(subject)


class Learner(ScopeCache):
    """``user_info``: one place, of nothing."""

    def subject_of(self, key: KeyValueStore.Key) -> None:
        return None

    def name_of(self, subject: None) -> str:
        return ""

    def place_of(self, subject: None) -> Place:
        return UserInfo()


class Cell:
    """One place that is written to."""

    __slots__ = ("cache", "name", "place")

    def __init__(self, cache: ScopeCache, name: str, place: Place) -> None:
        self.cache = cache
        self.name = name
        self.place = place

    @property
    def state(self) -> State:
        """The state, as far as it is known."""
        return self.cache.states.get(self.name, self.cache.nothing)

    @state.setter
    def state(self, state: State) -> None:
        self.cache.change(self.name, state)

    def take_whole(self, state: State) -> None:
        """Take up a state of ``user_state`` that has all that is stored."""
        self.cache.whole.setdefault(self.name, self.place)  # there the place is the subject
        self.state = state


def in_course(usage_key: Any, course_id: CourseKey) -> Any:
    """A usage key with its run: old keys may come without, and are then of the cache's course."""
    if getattr(usage_key, "deprecated", False) and usage_key.course_key.run is None:
        return usage_key.map_into_course(course_id)
    return usage_key


def type_text(block_type: str, family: str) -> str:
    """What preferences are stored under: the block type, or for another family a ``BlockTypeKey``'s text."""
    if family in (XBLOCK_V1, XMODULE_V1):
        return block_type
    key: Any = BlockTypeKeyV1
    return str(key(family, block_type))

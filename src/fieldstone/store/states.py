"""What the store gives back: states, revisions, receipts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from opaque_keys.edx.keys import UsageKey

from fieldstone.store.places import Place, Preferences, Summary, UserInfo, key_text
from fieldstone.values import Fields


class Grade(NamedTuple):
    """What a learner has got at a block, of how much. ``NO_GRADE`` takes a grade away."""

    value: float | None
    maximum: float | None


NO_GRADE = Grade(None, None)


class RowFields(Fields):
    """The fields of a place with a row per field, put together when they are asked for, as others are."""

    __slots__ = ("_rows", "_to_datetime")

    def __init__(self, rows: Sequence[tuple[Any, ...]], to_datetime: Callable[[Any], datetime]) -> None:
        """Of rows that end with revision, name, value and what ``to_datetime`` makes a moment of."""
        self._encoded = None
        self._rows = rows
        self._to_datetime = to_datetime

    @property
    def encoded(self) -> Mapping[str, str]:
        if self._encoded is None:
            self._encoded = {row[-3]: row[-2] for row in self._rows}
        return self._encoded

    @property
    def times(self) -> Mapping[str, datetime]:
        """Names to the moments of their last saves."""
        return {row[-3]: self._to_datetime(row[-1]) for row in self._rows}

    @property
    def revisions(self) -> Mapping[str, int]:
        """Names to revisions: +1 a save of the field."""
        return {row[-3]: row[-4] for row in self._rows}

    def overlaid_at(self, changes: Mapping[str, str | None], at: datetime) -> RowFields:
        """These fields with encoded changes over them, which were saved at a moment."""
        times = {**self.times, **dict.fromkeys(changes, at)}
        # What another has saved meanwhile is not known: the revision counts from what was read.
        revisions = {**self.revisions, **{name: self.revisions.get(name, 0) + 1 for name in changes}}
        fields = self.overlaid(changes).encoded.items()
        return RowFields([(revisions[name], name, text, times[name]) for name, text in fields], lambda at: at)


class State(NamedTuple):
    """The fields of one place as they were read. A tuple: a frozen dataclass takes four times as long to make."""

    fields: Fields
    modified: datetime  # of the last save, aware, UTC
    revision: int | None = None  # +1 a save; None in the scopes that keep a row per field, and revisions of each
    grade: float | None = None
    max_grade: float | None = None
    done: str = "na"

    @property
    def revisions(self) -> Mapping[str, int] | None:
        """The revision of each field, in the scopes that keep a row per field."""
        return self.fields.revisions if isinstance(self.fields, RowFields) else None

    @property
    def times(self) -> Mapping[str, datetime] | None:
        """When each field was last saved, in the scopes that keep a row per field."""
        return self.fields.times if isinstance(self.fields, RowFields) else None


NO_STATE = State(Fields({}), datetime.min.replace(tzinfo=UTC), 0)
"""Of whom nothing is stored."""


class Revision(NamedTuple):
    """What one save changed at one place. A tuple, as ``State`` is, for the same reason."""

    number: int  # from 1, without gaps
    at: datetime
    origin: str  # what wrote it: "handler:vote"
    actor_id: int | None  # who wrote it, when that was not the learner
    changes: Mapping[str, Any]  # names to values, DELETED for a field that was deleted


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a save: it is committed, or will be with the caller's own transaction."""

    states: States  # every saved user_state, merged with what other writers had saved
    at: datetime  # when it was saved, by the store's clock
    repeated: bool = False  # the save had been written before under its token, and was not written again


class States(Mapping[Place, State]):
    """Places to their states; a place where nothing is stored is not in it.

    The attributes have the states by scope. Usage keys and summaries are in them by ``key_text``, since hashing a
    usage key itself costs more than fetching its row.
    """

    __slots__ = ("_by_identity", "_keys", "_summaries", "preferences", "summaries", "usages", "user_info")

    def __init__(
        self, keys: Mapping[str, UsageKey] | None = None, summaries: Mapping[str, Summary] | None = None
    ) -> None:
        """``keys`` and ``summaries`` have the places of what will be put into ``usages`` and ``summaries``."""
        self.usages: dict[str, State] = {}
        self.summaries: dict[str, State] = {}
        self.preferences: dict[str, State] = {}  # by block type
        self.user_info: State | None = None
        self._keys = keys or {}
        self._summaries = summaries or {}
        self._by_identity: dict[int, State] | None = None

    def __getitem__(self, place: Place) -> State:
        if self._by_identity is None:
            # Whoever reads most often asks by the very objects that it gave: that spares their texts. They are
            # held here, so none of these ids is given to another object.
            self._by_identity = {id(place): state for place, state in self._pairs()}
        state = self._by_identity.get(id(place)) or self._found(place)
        if state is None:
            raise KeyError(place)
        return state

    def _found(self, place: Place) -> State | None:
        if isinstance(place, Summary):
            return self.summaries.get(key_text(place.usage_key))
        if isinstance(place, Preferences):
            return self.preferences.get(place.block_type)
        return self.user_info if isinstance(place, UserInfo) else self.usages.get(key_text(place))

    def _pairs(self) -> Iterator[tuple[Place, State]]:
        for text, state in self.usages.items():
            yield self._keys[text], state
        for text, state in self.summaries.items():
            yield self._summaries[text], state

    def __iter__(self) -> Iterator[Place]:
        for place, _ in self._pairs():
            yield place
        yield from map(Preferences, self.preferences)
        if self.user_info is not None:
            yield UserInfo()

    def __len__(self) -> int:
        return len(self.usages) + len(self.summaries) + len(self.preferences) + (self.user_info is not None)

    def __repr__(self) -> str:
        return f"States({dict(self)!r})"

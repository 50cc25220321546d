"""What the store gives back: states, revisions, receipts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fieldstone.store.places import Place, Preferences, Summary, UserInfo, key_text
from fieldstone.values import Fields


@dataclass(frozen=True, slots=True)
class State:
    """The fields of one place as they were read."""

    fields: Fields
    modified: datetime  # of the last save, aware, UTC
    revision: int | None = None  # +1 a save; None in the scopes that keep a row per field
    grade: float | None = None
    max_grade: float | None = None
    done: str = "na"


@dataclass(frozen=True, slots=True)
class Revision:
    """What one save changed at one place."""

    number: int  # from 1, without gaps
    at: datetime
    origin: str  # what wrote it: "handler:vote"
    actor_id: int | None  # who wrote it, when that was not the learner
    changes: Mapping[str, Any]  # names to values, DELETED for a field that was deleted


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a save: it is committed, or will be with the caller's own transaction."""

    states: States  # every saved user_state, merged with what other writers had saved


class States(Mapping[Place, State]):
    """Places to their states; a place where nothing is stored is not in it.

    Keyed by the text of a usage key, because hashing an opaque key costs more than fetching its row.
    """

    __slots__ = ("_by_name", "_places")

    def __init__(self) -> None:
        self._by_name: dict[object, State] = {}
        self._places: list[Place] = []

    def add(self, place: Place, state: State) -> None:
        self._by_name[_name(place)] = state
        self._places.append(place)

    def __getitem__(self, place: Place) -> State:
        return self._by_name[_name(place)]

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"States({dict(self.items())!r})"


def _name(place: Place) -> object:
    if isinstance(place, Summary):
        return Summary, key_text(place.usage_key)
    if isinstance(place, Preferences | UserInfo):
        return type(place), tuple(place)
    return key_text(place)

"""What the store gives back: states, revisions, receipts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from fieldstone.store.places import Place, PlaceName, name_of
from fieldstone.values import Fields


class Grade(NamedTuple):
    """What a learner has got at a block, of how much. ``NO_GRADE`` takes a grade away."""

    value: float | None
    maximum: float | None


NO_GRADE = Grade(None, None)


class State(NamedTuple):
    """The fields of one place as they were read. A tuple: a frozen dataclass takes four times as long to make."""

    fields: Fields
    modified: datetime  # of the last save, aware, UTC
    revision: int | None = None  # +1 a save; None in the scopes that keep a row per field
    grade: float | None = None
    max_grade: float | None = None
    done: str = "na"
    times: Mapping[str, datetime] | None = None  # of each field's last save, where there is a row per field


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
    """Places to their states; a place where nothing is stored is not in it."""

    __slots__ = ("_by_identity", "_places", "by_name")

    def __init__(self) -> None:
        self.by_name: dict[PlaceName, State] = {}  # by ``name_of``, in the order of the places
        self._places: list[Place] = []
        # Whoever reads most often asks by the very objects that it gave: that spares their names. They are held
        # above, so none of these ids is given to another object.
        self._by_identity: dict[int, State] = {}

    def add(self, place: Place, name: PlaceName, state: State) -> None:
        self.by_name[name] = state
        self._places.append(place)
        self._by_identity[id(place)] = state

    def __getitem__(self, place: Place) -> State:
        state = self._by_identity.get(id(place))
        return self.by_name[name_of(place)] if state is None else state

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"States({dict(zip(self._places, self.by_name.values(), strict=True))!r})"

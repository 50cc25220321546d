"""Reading states: at most a query a scope, from one database alias."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connections
from django.db.backends.utils import CursorWrapper
from opaque_keys.edx.keys import UsageKey

from fieldstone.store.engines import engine_of
from fieldstone.store.places import Place, PlaceName, Preferences, Summary, UserInfo, key_text, name_of
from fieldstone.store.states import State, States
from fieldstone.store.tables import PREFERENCES, USAGE, USER_INFO
from fieldstone.store.usages import KeyTable
from fieldstone.values import Fields


@dataclass(slots=True)
class Wanted:
    """Places, sorted by the table that they are in; usage keys by their ``key_text``.

    ``Store.read`` makes one of the places that it is given. Who has the texts already makes it himself.
    """

    usages: dict[str, UsageKey] = field(default_factory=dict)
    summaries: dict[str, UsageKey] = field(default_factory=dict)
    preferences: set[str] = field(default_factory=set)  # block types
    user_info: bool = False

    @classmethod
    def of(cls, places: Iterable[Place]) -> Wanted:
        """Raises ``InvalidPlaceError``."""
        wanted = cls()
        for place in places:
            if isinstance(place, Summary):
                wanted.summaries[key_text(place.usage_key)] = place.usage_key
            elif isinstance(place, Preferences):
                wanted.preferences.add(place.block_type)
            elif isinstance(place, UserInfo):
                wanted.user_info = True
            else:
                wanted.usages[key_text(place)] = place
        return wanted

    @property
    def is_personal(self) -> bool:
        """Whether any of it is of one learner."""
        return bool(self.usages or self.preferences or self.user_info or not self.summaries)


class Reader:
    """Puts the rows of an alias together as states.

    Ids are remembered by alias: what a replica has shown is committed, and what the primary has shown may not have
    reached the replica, where the state that it belongs to is then missing as well.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._engine = engine_of(connections[using])

    def read(self, learner_id: int, wanted: Wanted) -> States:
        """What ``Store.read`` gives."""
        states = States()
        with connections[self._using].cursor() as cursor:
            if wanted.usages:
                self._read_states(cursor, learner_id, wanted.usages, states)
            if wanted.summaries:
                self._read_summaries(cursor, wanted.summaries, states)
            if wanted.preferences:
                places = [(learner_id, block_type) for block_type in sorted(wanted.preferences)]
                rows = self._engine.read_fields(cursor, PREFERENCES, places)
                self._add_fields(states, (row[1:] for row in rows), _preferences)
            if wanted.user_info:
                rows = self._engine.read_fields(cursor, USER_INFO, [(learner_id,)])
                self._add_fields(states, rows, _user_info)
        return states

    def _read_states(
        self, cursor: CursorWrapper, learner_id: int, usages: Mapping[str, UsageKey], states: States
    ) -> None:
        table = KeyTable(USAGE, self._using)
        ids = table.known(usages)
        if len(ids) == len(usages):
            texts = {usage_id: text for text, usage_id in ids.items()}
            self.add_states(states, usages, texts, self._engine.read_states(cursor, learner_id, list(texts)))
            return
        rows = self._engine.read_states_by_key(cursor, learner_id, list(usages))
        texts = {usage_id: text for text, usage_id, *_ in rows}
        self.add_states(states, usages, texts, [row for _, *row in rows if row[1] is not None])
        table.remember({text: usage_id for usage_id, text in texts.items() if text not in ids})

    def add_states(
        self,
        states: States,
        usages: Mapping[str, UsageKey],
        texts: Mapping[int, str],
        rows: Iterable[Sequence[Any]],
    ) -> None:
        """Put ``StateRow``s in, given the texts of their ids and the keys of those texts."""
        to_datetime, from_text = self._engine.to_datetime, Fields.from_text
        for usage_id, fields, revision, modified, grade, max_grade, done in rows:
            text = texts[usage_id]
            state = State(from_text(fields), to_datetime(modified), revision, grade, max_grade, done)
            states.add(usages[text], text, state)

    def _read_summaries(self, cursor: CursorWrapper, usages: Mapping[str, UsageKey], states: States) -> None:
        ids = KeyTable(USAGE, self._using).known(usages)
        texts: dict[Any, str]
        if len(ids) == len(usages):
            texts = {usage_id: text for text, usage_id in ids.items()}
            rows = self._engine.read_summaries(cursor, list(texts))
        else:
            texts = {text: text for text in usages}
            rows = self._engine.read_summaries_by_key(cursor, list(usages))

        def summary(told: Any) -> tuple[Place, PlaceName]:
            text = texts[told]
            return Summary(usages[text]), (Summary, text)

        self._add_fields(states, rows, summary)

    def _add_fields(
        self,
        states: States,
        rows: Iterable[tuple[Any, ...]],
        place_of: Callable[[Any], tuple[Place, PlaceName]],
    ) -> None:
        """Put rows of ``(what tells the place, field name, value, modified)`` together, a state per place."""
        found: dict[Any, tuple[dict[str, str], dict[str, datetime]]] = {}
        to_datetime = self._engine.to_datetime
        for place, name, value, modified in rows:
            if place not in found:
                found[place] = {}, {}
            fields, times = found[place]
            fields[name] = value
            times[name] = to_datetime(modified)
        for place, (fields, times) in found.items():
            states.add(*place_of(place), State(Fields(fields), max(times.values()), times=times))


def _preferences(block_type: str) -> tuple[Place, PlaceName]:
    place = Preferences(block_type)
    return place, name_of(place)


def _user_info(_: int) -> tuple[Place, PlaceName]:
    place = UserInfo()
    return place, name_of(place)

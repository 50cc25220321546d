"""Reading states: at most a query a scope, from one database alias."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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


class Reader:
    """Puts the rows of an alias together as states.

    Ids are remembered by alias: what a replica has shown is committed, and what the primary has shown may not have
    reached the replica, where the state that it belongs to is then missing as well.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._engine = engine_of(connections[using])

    def read(self, learner_id: int, places: Iterable[Place]) -> States:
        """What ``Store.read`` gives."""
        usages: dict[str, UsageKey] = {}
        summaries: dict[str, Summary] = {}
        rest: list[Preferences | UserInfo] = []
        for place in places:
            if isinstance(place, Summary):
                summaries[key_text(place.usage_key)] = place
            elif isinstance(place, Preferences | UserInfo):
                rest.append(place)
            else:
                usages[key_text(place)] = place
        states = States()
        with connections[self._using].cursor() as cursor:
            if usages:
                self._read_states(cursor, learner_id, usages, states)
            if summaries:
                self._read_summaries(cursor, summaries, states)
            block_types = {place.block_type for place in rest if isinstance(place, Preferences)}
            if block_types:
                rows = self._engine.read_fields(
                    cursor, PREFERENCES, [(learner_id, t) for t in sorted(block_types)]
                )
                self._add_fields(states, (row[1:] for row in rows), _preferences)
            if any(isinstance(place, UserInfo) for place in rest):
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

    def _read_summaries(self, cursor: CursorWrapper, places: Mapping[str, Summary], states: States) -> None:
        ids = KeyTable(USAGE, self._using).known(places)
        texts: dict[Any, str]
        if len(ids) == len(places):
            texts = {usage_id: text for text, usage_id in ids.items()}
            rows = self._engine.read_summaries(cursor, list(texts))
        else:
            texts = {text: text for text in places}
            rows = self._engine.read_summaries_by_key(cursor, list(places))

        def summary(told: Any) -> tuple[Place, PlaceName]:
            return places[texts[told]], (Summary, texts[told])

        self._add_fields(states, rows, summary)

    def _add_fields(
        self,
        states: States,
        rows: Iterable[tuple[Any, ...]],
        place_of: Callable[[Any], tuple[Place, PlaceName]],
    ) -> None:
        """Put rows of ``(what tells the place, field name, value, modified)`` together, a state per place."""
        found: dict[Any, tuple[dict[str, str], list[Any]]] = {}
        for place, name, value, modified in rows:
            if place not in found:
                found[place] = {}, []
            fields, times = found[place]
            fields[name] = value
            times.append(modified)
        for place, (fields, times) in found.items():
            states.add(*place_of(place), State(Fields(fields), self._engine.to_datetime(max(times))))


def _preferences(block_type: str) -> tuple[Place, PlaceName]:
    place = Preferences(block_type)
    return place, name_of(place)


def _user_info(_: int) -> tuple[Place, PlaceName]:
    place = UserInfo()
    return place, name_of(place)

"""Reading states: at most a query a scope, from one database alias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        summaries: dict[str, UsageKey] = {}
        rest: list[Preferences | UserInfo] = []
        for place in places:
            if isinstance(place, Summary):
                summaries[key_text(place.usage_key)] = place.usage_key
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
                self._add_fields(states, ((Preferences(block_type), *field) for _, block_type, *field in rows))
            if any(isinstance(place, UserInfo) for place in rest):
                rows = self._engine.read_fields(cursor, USER_INFO, [(learner_id,)])
                self._add_fields(states, ((UserInfo(), *field) for _, *field in rows))
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
        if len(ids) == len(usages):
            places = {usage_id: Summary(usages[text]) for text, usage_id in ids.items()}
            rows = self._engine.read_summaries(cursor, list(places))
            self._add_fields(states, ((places[usage_id], *field) for usage_id, *field in rows))
        else:
            rows = self._engine.read_summaries_by_key(cursor, list(usages))
            self._add_fields(states, ((Summary(usages[text]), *field) for text, *field in rows))

    def _add_fields(self, states: States, rows: Iterable[tuple[Any, ...]]) -> None:
        """Put rows of ``(place, field name, value, modified)`` together, a state per place."""
        found: dict[PlaceName, tuple[Place, dict[str, str], list[Any]]] = {}
        for place, name, value, modified in rows:
            _, fields, times = found.setdefault(name_of(place), (place, {}, []))
            fields[name] = value
            times.append(modified)
        for place_name, (place, fields, times) in found.items():
            states.add(place, place_name, State(Fields(fields), self._engine.to_datetime(max(times))))

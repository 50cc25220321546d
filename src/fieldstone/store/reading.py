"""Reading states: at most a query a scope, from one database alias."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.db.backends.utils import CursorWrapper
from opaque_keys.edx.keys import UsageKey

from fieldstone.store.engines import engine_of
from fieldstone.store.places import Place, Preferences, Summary, UserInfo, key_text
from fieldstone.store.states import RowFields, State, States
from fieldstone.store.tables import PREFERENCES, USAGE, USER_INFO
from fieldstone.store.usages import KeyTable
from fieldstone.values import Fields


@dataclass(slots=True)
class Wanted:
    """Places, sorted by the table that they are in; usage keys by their ``key_text``.

    ``Store.read`` makes one of the places that it is given. Who has the texts already makes it himself.
    """

    usages: dict[str, UsageKey] = field(default_factory=dict)
    summaries: dict[str, Summary] = field(default_factory=dict)
    preferences: set[str] = field(default_factory=set)  # block types
    user_info: bool = False

    @classmethod
    def of(cls, places: Iterable[Place]) -> Wanted:
        """Raises ``InvalidPlaceError``."""
        wanted = cls()
        for place in places:
            if isinstance(place, Summary):
                wanted.summaries[key_text(place.usage_key)] = place
            elif isinstance(place, Preferences):
                wanted.preferences.add(place.block_type)
            elif isinstance(place, UserInfo):
                wanted.user_info = True
            else:
                wanted.usages[key_text(place)] = place
        return wanted

    def __bool__(self) -> bool:
        return bool(self.usages or self.summaries or self.preferences or self.user_info)

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
        states = States(wanted.usages, wanted.summaries)
        with connections[self._using].cursor() as cursor:
            if wanted.usages:
                self._read_states(cursor, learner_id, wanted.usages, states)
            if wanted.summaries:
                self._read_summaries(cursor, wanted.summaries, states)
            if wanted.preferences:
                places = [(learner_id, block_type) for block_type in sorted(wanted.preferences)]
                rows = self._engine.read_fields(cursor, PREFERENCES, places)
                states.preferences.update(self._together(row[1:] for row in rows))
            if wanted.user_info:
                rows = self._engine.read_fields(cursor, USER_INFO, [(learner_id,)])
                states.user_info = dict(self._together(rows)).get(learner_id)
        return states

    def _read_states(
        self, cursor: CursorWrapper, learner_id: int, usages: Mapping[str, UsageKey], states: States
    ) -> None:
        table = KeyTable(USAGE, self._using)
        ids = table.known(usages)
        if len(ids) == len(usages):
            texts = {usage_id: text for text, usage_id in ids.items()}
            self.add_states(states, texts, self._engine.read_states(cursor, learner_id, list(texts)))
            return
        rows = self._engine.read_states_by_key(cursor, learner_id, list(usages))
        texts = {usage_id: text for text, usage_id, *_ in rows}
        self.add_states(states, texts, [row for _, *row in rows if row[2] is not None])
        table.remember({text: usage_id for usage_id, text in texts.items() if text not in ids})

    def add_states(self, states: States, texts: Mapping[int, str], rows: Iterable[Sequence[Any]]) -> None:
        """Put ``StateRow``s in, given the texts of their ids."""
        to_datetime, from_text, usages = self._engine.to_datetime, Fields.from_text, states.usages
        for usage_id, fields, revision, modified, grade, max_grade, done in rows:
            usages[texts[usage_id]] = State(
                from_text(fields), to_datetime(modified), revision, grade, max_grade, done
            )

    def _read_summaries(self, cursor: CursorWrapper, places: Mapping[str, Summary], states: States) -> None:
        ids = KeyTable(USAGE, self._using).known(places)
        if len(ids) < len(places):
            rows = self._engine.read_summaries_by_key(cursor, list(places))
            states.summaries.update(self._together(rows))
            return
        texts = {usage_id: text for text, usage_id in ids.items()}
        for usage_id, state in self._together(self._engine.read_summaries(cursor, list(texts))):
            states.summaries[texts[usage_id]] = state

    def _together(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, State]]:
        """Put rows of ``(what tells the place, field name, value, modified)`` together, a state a place."""
        found: dict[Any, tuple[tuple[Any, ...], ...]] = {}
        for row in rows:
            place = row[0]
            found[place] = (*found[place], row) if place in found else (row,)
        to_datetime = self._engine.to_datetime
        for place, of_place in found.items():
            latest = of_place[0][-1] if len(of_place) == 1 else max(row[-1] for row in of_place)
            yield place, State(RowFields(of_place, to_datetime), to_datetime(latest))

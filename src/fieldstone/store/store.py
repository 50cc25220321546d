"""``Store``: the one way in to learner state. Stateless and cheap: make one wherever you need it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import InvalidLearnerError
from fieldstone.store.engines import engine_of
from fieldstone.store.engines.base import StateRow, Write
from fieldstone.store.places import Place, Preferences, Summary, UserInfo, key_text
from fieldstone.store.plan import Plan
from fieldstone.store.states import Receipt, Revision, State, States
from fieldstone.store.tables import ORIGIN_LENGTH, PREFERENCES, SUMMARY, USAGE, USER_INFO, FieldTable
from fieldstone.store.usages import KeyTable, intern_usages
from fieldstone.values import DELETED, Fields, decode_value


class Store:
    """Fields of places, for learners, on one database alias.

    A learner is a saved user or the integer primary key of one. A place is a usage key (scope ``user_state``),
    ``Summary(usage_key)``, ``Preferences(block_type)`` or ``UserInfo()``.

    Errors of the database come through as Django's ``django.db.Error``; after one, nothing of the save is stored.
    """

    def __init__(self, using: str = "default", *, clock: Callable[[], datetime] = timezone.now) -> None:
        self.using = using
        self._clock = clock

    # Reading

    def read(self, learner: Any, places: Iterable[Place]) -> States:
        """The states of one learner at these places; at most one query a scope, whatever the number of places."""
        learner_id = _learner_id(learner)
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
        connection = connections[self.using]
        with connection.cursor() as cursor:
            if usages:
                self._read_states(cursor, learner_id, usages, states)
            if summaries:
                rows = engine_of(connection).read_summaries(cursor, list(summaries))
                self._add_fields(states, ((Summary(summaries[key]), *field) for key, *field in rows))
            block_types = {place.block_type for place in rest if isinstance(place, Preferences)}
            if block_types:
                found = self._read_fields(cursor, PREFERENCES, [(learner_id, t) for t in sorted(block_types)])
                self._add_fields(states, ((Preferences(block_type), *field) for _, block_type, *field in found))
            if any(isinstance(place, UserInfo) for place in rest):
                found = self._read_fields(cursor, USER_INFO, [(learner_id,)])
                self._add_fields(states, ((UserInfo(), *field) for _, *field in found))
        return states

    def _read_states(
        self, cursor: CursorWrapper, learner_id: int, usages: Mapping[str, UsageKey], states: States
    ) -> None:
        engine = engine_of(connections[self.using])
        table = KeyTable(USAGE, self.using)
        ids = table.known(usages)
        if len(ids) == len(usages):
            keys = {usage_id: usages[text] for text, usage_id in ids.items()}
            for row in engine.read_states(cursor, learner_id, list(keys)):
                states.add(keys[row.usage_id], self._state(row))
            return
        fresh = {}
        for text, usage_id, row in engine.read_states_by_key(cursor, learner_id, list(usages)):
            if text not in ids:
                fresh[text] = usage_id
            if row is not None:
                states.add(usages[text], self._state(row))
        table.remember(fresh)

    def _read_fields(
        self, cursor: CursorWrapper, table: FieldTable, places: list[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        return engine_of(connections[self.using]).read_fields(cursor, table, places)

    def _add_fields(self, states: States, rows: Iterable[tuple[Any, ...]]) -> None:
        """Put rows of ``(place, field name, value, modified)`` together, a state per place."""
        to_datetime = engine_of(connections[self.using]).to_datetime
        found: dict[str, tuple[Place, dict[str, str], datetime]] = {}
        for place, name, value, modified in rows:
            at = to_datetime(modified)
            _, fields, latest = found.get(str(place), (place, {}, at))
            fields[name] = value
            found[str(place)] = (place, fields, max(at, latest))
        for place, fields, modified in found.values():
            states.add(place, State(Fields(fields), modified))

    def _state(self, row: StateRow) -> State:
        modified = engine_of(connections[self.using]).to_datetime(row.modified)
        return State(Fields.from_text(row.fields), modified, row.revision, row.grade, row.max_grade, row.done)

    # Saving

    def save(
        self,
        learner: Any,
        changes: Mapping[Place, Mapping[str, Any]],
        *,
        origin: str = "",
        actor: Any = None,
    ) -> Receipt:
        """Write fields of any number of places in any scopes of one learner: all of it, or nothing and an error.

        ``changes`` maps places to fields; ``DELETED`` as a value deletes the field, fields not named stay as they
        are. ``origin`` says what writes ("handler:vote", cut at 64 characters), ``actor`` who, if not the
        learner; both are kept in the history.

        Raises ``InvalidLearnerError``, ``InvalidPlaceError`` or ``InvalidValueError`` before anything is written.
        """
        plan = Plan.of(changes)
        actor_id = None if actor is None else _learner_id(actor)
        write = Write(_learner_id(learner), self._clock(), actor_id, origin[:ORIGIN_LENGTH])
        receipt = Receipt(States())
        if not (plan.states or plan.rows_per_field):
            return receipt
        if not connections[self.using].in_atomic_block:
            # Keys are facts, good whether the save succeeds or not: interned first, in a transaction of their
            # own, they hold no lock while the save runs and are known to the process at once.
            intern_usages(plan.keys, self.using)
        with self._whole(plan), connections[self.using].cursor() as cursor:
            self._write(cursor, plan, write, receipt)
        return receipt

    def _whole(self, plan: Plan) -> AbstractContextManager[Any]:
        """A transaction around the save, where it is more than one statement or a part of a larger transaction."""
        connection = connections[self.using]
        one_statement = engine_of(connection).saves_states_in_one_statement and not plan.rows_per_field
        if one_statement and not connection.in_atomic_block:
            return nullcontext()
        return transaction.atomic(self.using)

    def _write(self, cursor: CursorWrapper, plan: Plan, write: Write, receipt: Receipt) -> None:
        engine = engine_of(connections[self.using])
        ids = intern_usages(plan.keys, self.using)
        if plan.states:
            # Sorted: two saves of the same blocks lock their rows in the same order and cannot deadlock.
            deltas = sorted((ids[text], delta) for text, delta in plan.states.items())
            keys = {ids[text]: plan.keys[text] for text in plan.states}
            for row in engine.save_states(cursor, write, deltas):
                receipt.states.add(keys[row.usage_id], self._state(row))
        learner = write.learner_id
        for table, places in (
            (SUMMARY, {(ids[text],): fields for text, fields in plan.summaries.items()}),
            (PREFERENCES, {(learner, block_type): fields for block_type, fields in plan.preferences.items()}),
            (USER_INFO, {(learner,): plan.user_info}),
        ):
            rows = [(place, name, text) for place, fields in places.items() for name, text in fields.items()]
            if rows:
                engine.save_fields(cursor, write, table, rows)

    # History

    def history(self, learner: Any, usage_key: UsageKey) -> list[Revision]:
        """Every save of one learner's ``user_state`` at a block, latest first; one query."""
        connection = connections[self.using]
        engine = engine_of(connection)
        with connection.cursor() as cursor:
            rows = engine.read_history(cursor, _learner_id(learner), key_text(usage_key))
        return [
            Revision(
                number=row.revision,
                at=engine.to_datetime(row.created),
                origin=row.origin,
                actor_id=row.actor_id,
                changes={
                    name: DELETED if text is None else decode_value(text)
                    for name, text in json.loads(row.delta).items()
                },
            )
            for row in rows
        ]


def _learner_id(learner: Any) -> int:
    learner_id = getattr(learner, "pk", learner)
    if isinstance(learner_id, bool) or not isinstance(learner_id, int):
        raise InvalidLearnerError(learner)
    return learner_id

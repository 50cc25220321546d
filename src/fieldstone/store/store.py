"""``Store``: the one way in to learner state. Stateless and cheap: make one wherever you need it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone.errors import ConflictError, InvalidLearnerError, InvalidPlaceError, NoSuchRevisionError
from fieldstone.store.engines import Engine, engine_of
from fieldstone.store.engines.base import Write
from fieldstone.store.places import Place, PlaceName, Preferences, Summary, UserInfo, key_text, name_of
from fieldstone.store.plan import Plan
from fieldstone.store.scan import Scanned, scan
from fieldstone.store.states import NO_GRADE, Grade, Receipt, Revision, State, States
from fieldstone.store.tables import ORIGIN_LENGTH, PREFERENCES, SUMMARY, USAGE, USER_INFO
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
        with connections[self.using].cursor() as cursor:
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

    @property
    def _engine(self) -> Engine:
        return engine_of(connections[self.using])

    def _read_states(
        self, cursor: CursorWrapper, learner_id: int, usages: Mapping[str, UsageKey], states: States
    ) -> None:
        table = KeyTable(USAGE, self.using)
        ids = table.known(usages)
        if len(ids) == len(usages):
            texts = {usage_id: text for text, usage_id in ids.items()}
            self._add_states(states, usages, texts, self._engine.read_states(cursor, learner_id, list(texts)))
            return
        rows = self._engine.read_states_by_key(cursor, learner_id, list(usages))
        texts = {usage_id: text for text, usage_id, *_ in rows}
        self._add_states(states, usages, texts, [row for _, *row in rows if row[1] is not None])
        table.remember({text: usage_id for usage_id, text in texts.items() if text not in ids})

    def _add_states(
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
        ids = KeyTable(USAGE, self.using).known(usages)
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

    # Saving

    def save(
        self,
        learner: Any,
        changes: Mapping[Place, Mapping[str, Any]],
        *,
        grades: Mapping[UsageKey, Grade] | None = None,
        expected: Mapping[UsageKey, int] | None = None,
        token: UUID | None = None,
        origin: str = "",
        actor: Any = None,
    ) -> Receipt:
        """Write fields of any number of places in any scopes of one learner: all of it, or nothing and an error.

        ``changes`` maps places to fields; ``DELETED`` as a value deletes the field, fields not named stay as they
        are. ``origin`` says what writes ("handler:vote", cut at 64 characters), ``actor`` who, if not the
        learner; both are kept in the history.

        ``grades`` maps usage keys, of the places or others, to grades; a block's grade that is not named stays,
        and a grade alone touches no fields.

        ``expected`` maps usage keys among the places to the revision that the caller read, 0 for none: where
        somebody has saved since, ``ConflictError`` is raised and nothing is written.

        ``token``, made once with ``uuid4`` and given at every try of the same save, lets a caller try again when
        it does not know whether the save arrived: it is written once. It is kept with the history of
        ``user_state``, so a save that has none is written again, with the same values.

        Raises ``InvalidLearnerError``, ``InvalidPlaceError`` or ``InvalidValueError`` before anything is written.
        """
        plan = Plan.of(changes, grades or {})
        actor_id = None if actor is None else _learner_id(actor)
        write = Write(_learner_id(learner), self._clock(), actor_id, origin[:ORIGIN_LENGTH], token)
        receipt = Receipt(States())
        _check_expected(expected or {}, plan)
        if not plan:
            return receipt
        if not connections[self.using].in_atomic_block:
            # Keys are facts, good whether the save succeeds or not: interned first, in a transaction of their
            # own, they hold no lock while the save runs and are known to the process at once.
            intern_usages(plan.keys, self.using)
        try:
            with self._whole(plan, expected or token), connections[self.using].cursor() as cursor:
                self._write(cursor, plan, write, receipt)
                if token is not None and plan.states:
                    ids = intern_usages(plan.keys, self.using)
                    if self._engine.was_saved(cursor, write, [ids[text] for text in plan.states]):
                        raise _RepeatedError  # rolls this try back
                _check_revisions(expected or {}, receipt)
        except _RepeatedError:
            return Receipt(self.read(learner, [plan.keys[text] for text in plan.states]), repeated=True)
        return receipt

    def _whole(self, plan: Plan, checked: object) -> AbstractContextManager[Any]:
        """A transaction around the save, unless it is one statement that no check can undo."""
        if plan.statements(self._engine) == 1 and not checked and not connections[self.using].in_atomic_block:
            return nullcontext()
        return transaction.atomic(self.using)

    def _write(self, cursor: CursorWrapper, plan: Plan, write: Write, receipt: Receipt) -> None:
        ids = intern_usages(plan.keys, self.using)
        if plan.states:
            # Sorted: two saves of the same blocks lock their rows in the same order and cannot deadlock.
            rows = sorted(
                (ids[text], delta, *plan.grades.get(text, NO_GRADE)) for text, delta in plan.states.items()
            )
            for usage_id in sorted(ids[text] for text, grade in plan.grades.items() if grade == NO_GRADE):
                self._engine.clear_grade(cursor, write.learner_id, usage_id)
            texts = {ids[text]: text for text in plan.states}
            self._add_states(receipt.states, plan.keys, texts, self._engine.save_states(cursor, write, rows))
        learner = write.learner_id
        for table, places in (
            (SUMMARY, {(ids[text],): fields for text, fields in plan.summaries.items()}),
            (PREFERENCES, {(learner, block_type): fields for block_type, fields in plan.preferences.items()}),
            (USER_INFO, {(learner,): plan.user_info}),
        ):
            fields_of = [(place, name, text) for place, fields in places.items() for name, text in fields.items()]
            if fields_of:
                self._engine.save_fields(cursor, write, table, fields_of)

    def scan(
        self,
        *,
        context: LearningContextKey | None = None,
        usage_key: UsageKey | None = None,
        block_type: str | None = None,
        batch: int = 1000,
    ) -> Iterator[Scanned]:
        """Every learner's ``user_state`` of a learning context or of one block, of one block type if it is given.

        By block, then by learner, in constant memory: ``batch`` rows a query or two. Rows may be saved meanwhile:
        none comes twice, and those that were there throughout come once.

        Raises ``TypeError`` unless either ``context`` or ``usage_key`` is given.
        """
        return scan(self.using, context, usage_key, block_type, batch)

    # History

    def history(self, learner: Any, usage_key: UsageKey) -> list[Revision]:
        """Every save of one learner's ``user_state`` at a block, latest first; one query."""
        engine = self._engine
        with connections[self.using].cursor() as cursor:
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

    def at(
        self, learner: Any, usage_key: UsageKey, *, revision: int | None = None, moment: datetime | None = None
    ) -> State:
        """The state of one learner at a block as of a revision, or of a moment (aware). One query.

        As of a revision: raises ``NoSuchRevisionError`` where there is none of that number. As of a moment before
        the first save: a state without fields, of revision 0.
        """
        if (revision is None) == (moment is None):
            raise TypeError("at() takes either a revision or a moment.")
        engine, learner_id = self._engine, _learner_id(learner)
        with connections[self.using].cursor() as cursor:
            rows = engine.read_until(cursor, learner_id, key_text(usage_key), revision, moment)
        if revision is not None and (not rows or rows[-1][0] != revision):
            raise NoSuchRevisionError(usage_key, revision)
        fields = Fields({})
        for _, delta, snapshot, *_ in rows:
            fields = fields.overlaid(json.loads(delta)) if snapshot is None else Fields.from_text(snapshot)
        if not rows:
            return State(fields, moment or self._clock(), 0)
        number, _, _, created, grade, max_grade = rows[-1]
        return State(fields, engine.to_datetime(created), number, grade, max_grade)

    def restore(
        self, learner: Any, usage_key: UsageKey, *, revision: int, origin: str = "restore", actor: Any = None
    ) -> Receipt:
        """Make the state what it was at a revision, by a new revision: nothing of the history is lost.

        Writes nothing when it is so already.

        Raises ``NoSuchRevisionError``; ``ConflictError`` when somebody saves meanwhile.
        """
        wanted = self.at(learner, usage_key, revision=revision)
        current = self.read(learner, [usage_key])[usage_key]
        changes: dict[str, Any] = dict.fromkeys(
            current.fields.encoded.keys() - wanted.fields.encoded.keys(), DELETED
        )
        for name, text in wanted.fields.encoded.items():
            if current.fields.encoded.get(name) != text:
                changes[name] = decode_value(text)
        had, has = Grade(wanted.grade, wanted.max_grade), Grade(current.grade, current.max_grade)
        grades = {usage_key: had} if had != has else {}
        expected = {usage_key: current.revision or 0} if changes or grades else {}
        return self.save(
            learner, {usage_key: changes}, grades=grades, expected=expected, origin=origin, actor=actor
        )


class _RepeatedError(Exception):
    """The save had been written before."""


def _check_revisions(expected: Mapping[UsageKey, int], receipt: Receipt) -> None:
    for usage_key, revision in expected.items():
        # The rows are locked by now, and what was there before is one less than what is there.
        current = (receipt.states[usage_key].revision or 0) - 1
        if current != revision:
            raise ConflictError(usage_key, revision, current)


def _check_expected(expected: Mapping[UsageKey, int], plan: Plan) -> None:
    for usage_key in expected:
        if key_text(usage_key) not in plan.states:
            raise InvalidPlaceError(f"A revision of {usage_key} is expected, but no field of it is saved.")


def _learner_id(learner: Any) -> int:
    learner_id = getattr(learner, "pk", learner)
    if isinstance(learner_id, bool) or not isinstance(learner_id, int):
        raise InvalidLearnerError(learner)
    return learner_id

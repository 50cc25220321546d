"""``user_state`` of many learners in one save: a few statements, whatever their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.backends.utils import CursorWrapper
from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import ConflictError
from fieldstone.store.engines import engine_of
from fieldstone.store.engines.base import LearnerStateWrite, Write
from fieldstone.store.engines.history import RevisionKey
from fieldstone.store.places import ExpectedRevisions, Place, key_text
from fieldstone.store.plan import Plan
from fieldstone.store.reading import Reader
from fieldstone.store.states import NO_GRADE, Grade, States
from fieldstone.store.tables import USAGE
from fieldstone.store.usages import Ids, KeyTable, intern_usages
from fieldstone.store.writing import TRIES

Revisions = Mapping[tuple[int, int], int]
"""Learner's id and usage's id to the revision that is stored."""


@dataclass(frozen=True)
class LearnerSave:
    """What is to be saved of one learner: all of it, or nothing where somebody has saved since it was read."""

    learner_id: int
    plan: Plan
    expected: ExpectedRevisions = field(default_factory=dict)  # as ``Store.save`` takes it

    @property
    def is_of_states(self) -> bool:
        """Whether it is of ``user_state`` alone, which many can be saved of at once."""
        return not self.plan.field_tables() and all(isinstance(number, int) for number in self.expected.values())

    @classmethod
    def of(
        cls,
        learner_id: int,
        changes: Mapping[Place, Mapping[str, Any]],
        grades: Mapping[UsageKey, Grade] | None = None,
        expected: ExpectedRevisions | None = None,
    ) -> LearnerSave:
        """Raises ``InvalidPlaceError`` or ``InvalidValueError``."""
        return cls(learner_id, Plan.of(changes, grades or {}), expected or {})


@dataclass(frozen=True)
class BulkReceipt:
    """What became of a save of many."""

    states: Mapping[int, States]  # by learner: what is stored now
    refused: Sequence[int]  # learners of whom nothing was saved: somebody has saved since it was read
    revisions: Sequence[RevisionKey] = ()  # what was written

    def and_of(self, other: BulkReceipt) -> BulkReceipt:
        """Of both together."""
        return BulkReceipt(
            {**self.states, **other.states}, [*self.refused, *other.refused], [*self.revisions, *other.revisions]
        )


def read_many(using: str, learner_ids: Sequence[int], usages: Mapping[str, UsageKey]) -> dict[int, States]:
    """What ``Store.read_many`` gives."""
    with connections[using].cursor() as cursor:
        ids = KeyTable(USAGE, using).find(usages)
        rows = engine_of(connections[using]).read_states_of_many(cursor, learner_ids, sorted(ids.values()))
    return _together(using, rows, ids, usages)


def learners_at(using: str, key: str, after: int, until: int, limit: int) -> list[int]:
    """What ``Store.learners_at`` gives."""
    ids = KeyTable(USAGE, using).find([key])
    if not ids:
        return []
    with connections[using].cursor() as cursor:
        return engine_of(connections[using]).learners_at(cursor, ids[key], after, until, limit)


def _together(
    using: str, rows: Iterable[Sequence[Any]], ids: Ids, usages: Mapping[str, UsageKey]
) -> dict[int, States]:
    texts = {usage_id: text for text, usage_id in ids.items()}
    reader, states = Reader(using), dict[int, States]()
    for learner_id, *row in rows:
        reader.add_states(states.setdefault(learner_id, States(usages)), texts, [row])
    return states


def save_many(saves: Iterable[LearnerSave], write: Write, using: str) -> BulkReceipt:
    """What ``Store.save_many`` does; ``write`` names no learner. Raises ``ValueError`` for two saves of one."""
    by_learner: dict[int, LearnerSave] = {}
    for save in saves:
        if by_learner.setdefault(save.learner_id, save) is not save:
            raise ValueError(f"There are two saves of learner {save.learner_id}: put what they change into one.")
    plans = {learner_id: save.plan for learner_id, save in by_learner.items()}
    keys = {text: key for plan in plans.values() for text, key in plan.keys.items()}
    if not keys:
        return BulkReceipt({}, ())
    connection = connections[using]
    tries_left = 0 if connection.in_atomic_block or not connection.get_autocommit() else TRIES - 1
    while True:
        try:
            ids = intern_usages(keys, using)
            with transaction.atomic(using):
                return _Bulk(using, write, ids, keys).save(by_learner, plans)
        except (ConflictError, OperationalError) as error:
            # A row that somebody has made meanwhile is there to be locked at the next try.
            is_over = isinstance(error, OperationalError) and not engine_of(connection).is_deadlock(error)
            if is_over or not tries_left:
                raise
            tries_left -= 1


class _Bulk:
    """One try, in its transaction."""

    def __init__(self, using: str, write: Write, ids: Ids, keys: Mapping[str, UsageKey]) -> None:
        self._using = using
        self._engine = engine_of(connections[using])
        self._write = write
        self._ids = ids
        self._keys = keys

    def save(self, saves: Mapping[int, LearnerSave], plans: Mapping[int, Plan]) -> BulkReceipt:
        with connections[self._using].cursor() as cursor:
            revisions = self._lock(cursor, plans)
            refused = [learner_id for learner_id in plans if self._is_late(saves[learner_id], revisions)]
            chosen = {learner_id: plans[learner_id] for learner_id in plans.keys() - set(refused)}
            rows = sorted(self._rows(chosen))
            if not rows:
                return BulkReceipt({}, refused)
            self._clear_grades(cursor, chosen)
            saved = self._engine.save_states_of_many(cursor, self._write, rows)
        self._check_new(saved, revisions)
        written = [(learner_id, usage_id, revision) for learner_id, usage_id, _, revision, *_ in saved]
        return BulkReceipt(_together(self._using, saved, self._ids, self._keys), refused, written)

    def _lock(self, cursor: CursorWrapper, plans: Mapping[int, Plan]) -> Revisions:
        """Lock what is stored already, in the order in which all saves lock rows; its revisions."""
        usage_ids = sorted({self._ids[text] for plan in plans.values() for text in plan.states})
        rows = self._engine.lock_states(cursor, sorted(plans), usage_ids)
        return {(learner_id, usage_id): revision for learner_id, usage_id, revision in rows}

    def _is_late(self, save: LearnerSave, revisions: Revisions) -> bool:
        return any(
            revisions.get((save.learner_id, self._ids[key_text(place)]), 0) != expected
            for place, expected in save.expected.items()
            if isinstance(place, UsageKey)
        )

    def _rows(self, plans: Mapping[int, Plan]) -> Iterable[LearnerStateWrite]:
        for learner_id, plan in plans.items():
            for text in plan.states:
                yield learner_id, self._ids[text], plan.delta(text), *plan.grades.get(text, NO_GRADE)

    def _clear_grades(self, cursor: CursorWrapper, plans: Mapping[int, Plan]) -> None:
        """Under the row locks, and before the merge, which keeps a grade where none is given."""
        learners: dict[str, list[int]] = {}
        for learner_id, plan in sorted(plans.items()):
            for text in plan.cleared:
                learners.setdefault(text, []).append(learner_id)
        for text in sorted(learners):
            self._engine.clear_grades_of_many(cursor, self._ids[text], learners[text])

    def _check_new(self, saved: Iterable[Sequence[Any]], revisions: Revisions) -> None:
        """What was not there could not be locked. Raises ``ConflictError`` where another has made it meanwhile."""
        texts = {usage_id: text for text, usage_id in self._ids.items()}
        for learner_id, usage_id, _, revision, *_ in saved:
            before = revisions.get((learner_id, usage_id), 0)
            if revision != before + 1:
                raise ConflictError(self._keys[texts[usage_id]], before, revision - 1)

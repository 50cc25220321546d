"""A store without a database, as plain as can be: what the real one is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from opaque_keys.edx.keys import UsageKey

from fieldstone.store import DELETED, NO_GRADE, Grade, Place, Summary
from fieldstone.testing.contracts.stores.samples import NEW_YEAR

Texts = dict[str, Any]
"""Names to the JSON text of their values, or to DELETED: what compares equal is the same."""
Changes = dict[Place, dict[str, Any]]
Grades = dict[UsageKey, Grade]
Row = tuple[int, UsageKey]
"""A learner and a block."""


class Past(NamedTuple):
    """What a revision should be."""

    fields: Texts
    grade: Grade
    at: datetime
    changes: Texts
    origin: str


NOTHING = Past({}, NO_GRADE, NEW_YEAR - timedelta(days=1000), {}, "")


def encoded(changes: Mapping[str, Any]) -> Texts:
    return {name: value if value is DELETED else json.dumps(value) for name, value in changes.items()}


def merged(stored: Texts, changes: Texts) -> Texts:
    return {name: text for name, text in (stored | changes).items() if text is not DELETED}


def blocks_of(changes: Changes, grades: Grades) -> set[UsageKey]:
    """Those that get a revision by a save."""
    return {place for place, new in changes.items() if new and isinstance(place, UsageKey)} | grades.keys()


class Model:
    """What is stored of learners: a history a row, and the fields of the other scopes."""

    def __init__(self) -> None:
        self.past: dict[Row, list[Past]] = {}
        self.others: dict[tuple[int | None, Place], Texts] = {}
        self.written: set[tuple[int, UsageKey, UUID]] = set()

    def copy(self) -> Model:
        model = Model()
        model.past = {row: list(revisions) for row, revisions in self.past.items()}
        model.others, model.written = dict(self.others), set(self.written)
        return model

    def save(
        self,
        learner: int,
        changes: Changes,
        grades: Grades,
        at: datetime,
        token: UUID | None = None,
        origin: str = "",
    ) -> None:
        for block in blocks_of(changes, grades):
            before, delta = self.latest(learner, block), encoded(changes.get(block, {}))
            grade = grades.get(block, before.grade)
            self._add(learner, block, Past(merged(before.fields, delta), grade, at, delta, origin))
            if token is not None:
                self.written.add((learner, block, token))
        for place, new in changes.items():
            if not isinstance(place, UsageKey):
                owner = None if isinstance(place, Summary) else learner
                self.others[owner, place] = merged(self.others.get((owner, place), {}), encoded(new))

    def restore(self, learner: int, block: UsageKey, revision: int, at: datetime) -> None:
        wanted, current = self.revisions(learner, block)[revision - 1], self.latest(learner, block)
        if (wanted.fields, wanted.grade) == (current.fields, current.grade):
            return
        changes: Texts = dict.fromkeys(current.fields.keys() - wanted.fields.keys(), DELETED)
        changes |= {name: text for name, text in wanted.fields.items() if current.fields.get(name) != text}
        self._add(learner, block, Past(wanted.fields, wanted.grade, at, changes, "restore"))

    def _add(self, learner: int, block: UsageKey, past: Past) -> None:
        at = max(past.at, self.latest(learner, block).at)
        self.past.setdefault((learner, block), []).append(past._replace(at=at))

    def is_written(self, learner: int, changes: Changes, grades: Grades, token: UUID) -> bool:
        return any((learner, block, token) in self.written for block in blocks_of(changes, grades))

    def revisions(self, learner: int, block: UsageKey) -> list[Past]:
        return self.past.get((learner, block), [])

    def latest(self, learner: int, block: UsageKey) -> Past:
        return self.revision(learner, block, len(self.revisions(learner, block)))

    def revision(self, learner: int, block: UsageKey, number: int) -> Past:
        """What it should be; of revision 0, which is before the first, nothing."""
        return self.revisions(learner, block)[number - 1] if number else NOTHING

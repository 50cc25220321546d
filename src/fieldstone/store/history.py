"""Earlier states: the history of a row read back, from the two tables where it may be, and replayed.

What each function promises is written at ``Store``, which calls it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import DamagedHistoryError, HistoryTrimmedError, NoSuchRevisionError
from fieldstone.store.engines.histories import Histories
from fieldstone.store.engines.history import Change, HistoryRow
from fieldstone.store.engines.placeholders import batched
from fieldstone.store.places import key_text
from fieldstone.store.routing import Home
from fieldstone.store.states import Revision, State
from fieldstone.store.tables import HIGHEST_ID
from fieldstone.store.usages import find_usage
from fieldstone.values import DELETED, Fields, decode_value

Row = TypeVar("Row", HistoryRow, Change)

Earlier: TypeAlias = State | NoSuchRevisionError | HistoryTrimmedError | DamagedHistoryError
"""A state as it was, or why there is none: an error that is given and not raised, since it is one learner's."""

Asked: TypeAlias = Mapping[int, int | datetime]
"""By learner, as of which revision or which moment the state is asked for."""

LEARNERS_TO_A_QUERY = 1000


class History:
    """The history of the states of one home."""

    def __init__(self, home: Home) -> None:
        self._states = home.states
        # The outbox first: a row that is moved between the two looks is seen by both, and not by neither.
        self._tables = [Histories(alias) for alias in dict.fromkeys(home)]

    def revisions(self, learner_id: int, usage_key: UsageKey) -> list[Revision]:
        """Every revision that is kept, latest first."""
        usage_id = find_usage(key_text(usage_key), self._states)
        if usage_id is None:
            return []
        rows = [table.changes(learner_id, usage_id) for table in self._tables]
        changes = rows[0] if len(rows) == 1 else reversed(_together(rows))
        return [
            Revision(
                change.revision,
                change.created,
                change.origin,
                change.actor_id,
                {
                    name: DELETED if text is None else decode_value(text)
                    for name, text in json.loads(change.delta).items()
                },
            )
            for change in changes
        ]

    def states(self, learner_id: int, usage_key: UsageKey) -> list[State]:
        """The state after every revision that is kept, latest first."""
        usage_id = find_usage(key_text(usage_key), self._states)
        if usage_id is None:
            return []
        damaged = 0
        for _ in self._tables:  # once more for the second table, as in ``_state``
            rows = _together(table.read_all(learner_id, usage_id) for table in self._tables)
            damaged = _first_without_base(rows)
            if not damaged:
                return _replayed(rows)[::-1]
        raise DamagedHistoryError(usage_key, learner_id, damaged)

    def at_revision(self, learner_id: int, usage_key: UsageKey, revision: int) -> State:
        """The state as of a revision."""
        return self._at(learner_id, usage_key, revision)

    def at_moment(self, learner_id: int, usage_key: UsageKey, moment: datetime) -> State:
        """The state as of a moment; before the first save one without fields, of revision 0."""
        return self._at(learner_id, usage_key, moment)

    def _at(self, learner_id: int, usage_key: UsageKey, asked: int | datetime) -> State:
        state, ends = self._state(learner_id, usage_key, asked)
        found = state or _answer_without(usage_key, learner_id, asked, ends)
        if isinstance(found, State):
            return found
        raise found

    def at_many(self, usage_key: UsageKey, asked: Asked) -> dict[int, Earlier]:
        """The states of many learners, by learner: each as of a revision, or as of a moment."""
        usage_id = find_usage(key_text(usage_key), self._states)
        found: dict[int, Earlier] = {}
        for some in batched(sorted(asked), LEARNERS_TO_A_QUERY):
            of_some = {learner_id: asked[learner_id] for learner_id in some}
            states, ends = ({}, {}) if usage_id is None else self._states_of_many(usage_id, of_some)
            for learner_id, what in of_some.items():
                found[learner_id] = states.get(learner_id) or _answer_without(
                    usage_key, learner_id, what, ends.get(learner_id, [])
                )
        return found

    def _states_of_many(self, usage_id: int, asked: Asked) -> tuple[dict[int, State], dict[int, list[HistoryRow]]]:
        """What ``_state`` gives, by learner."""
        states: dict[int, State] = {}
        left = asked
        for _ in self._tables:
            states |= self._rebuilt(usage_id, left)
            left = {learner_id: what for learner_id, what in asked.items() if learner_id not in states}
            if not left:
                return states, {}
        ends = _by_learner(table.ends_of_many(usage_id, list(left)) for table in self._tables)
        return states, ends

    def _rebuilt(self, usage_id: int, asked: Asked) -> dict[int, State]:
        """The states that can be rebuilt of those that are asked for; a query a table and moment."""
        states: dict[int, State] = {}
        for moment in {what if isinstance(what, datetime) else None for what in asked.values()}:
            latest = {n: what for n, what in asked.items() if moment is None and isinstance(what, int)}
            latest |= {n: HIGHEST_ID for n, what in asked.items() if moment is not None and what == moment}
            rows = _by_learner(table.read_until_of_many(usage_id, latest, moment) for table in self._tables)
            for learner_id, of_one in rows.items():
                state = _sound(of_one)
                if state is not None and (moment is not None or state.revision == asked[learner_id]):
                    states[learner_id] = state
        return states

    def saved_as(self, origin: str, usage_key: UsageKey, learner_ids: Sequence[int]) -> dict[int, list[int]]:
        """The revisions that were saved under an origin, by learner, in order; those without are not in it."""
        usage_id = find_usage(key_text(usage_key), self._states)
        found: dict[int, set[int]] = {}
        if usage_id is not None and learner_ids:
            for table in self._tables:
                for learner_id, revision in table.saved_as(origin, usage_id, learner_ids):
                    found.setdefault(learner_id, set()).add(revision)
        return {learner_id: sorted(revisions) for learner_id, revisions in found.items()}

    def _state(
        self, learner_id: int, usage_key: UsageKey, asked: int | datetime
    ) -> tuple[State | None, list[HistoryRow]]:
        """The state of the last revision up to what is asked for; without one, the ends of the history."""
        usage_id = find_usage(key_text(usage_key), self._states)
        if usage_id is None:
            return None, []
        # Once more for the second table: what does not fit together was trimmed between the looks at the two.
        for _ in self._tables:
            state = state_of(_together(table.read_until(learner_id, usage_id, asked) for table in self._tables))
            if state is not None and asked == (state.revision if isinstance(asked, int) else asked):
                return state, []
        return None, _together(table.ends(learner_id, usage_id) for table in self._tables)

    def is_repeated(self, learner_id: int, token: UUID, saved: Mapping[int, int]) -> bool:
        """Whether any of these rows, usage id to the revision just saved, had been saved before under the token.

        Asked in the transaction of the save, while its row locks are held: of two tries at once one waits for the
        other.
        """
        older = [usage_id for usage_id, revision in saved.items() if revision > 1]
        return bool(older) and any(
            first < saved[usage_id]
            for table in self._tables
            for usage_id, first in table.first_under(learner_id, older, token).items()
        )


def state_of(rows: Sequence[HistoryRow]) -> State | None:
    """The state after the last of these revisions of one row; ``None`` if there is a gap in what leads to it."""
    since = max((index for index, row in enumerate(rows) if row.snapshot is not None), default=0)
    rows = rows[since:]
    if not rows or (rows[0].snapshot is None and rows[0].revision != 1):
        return None
    if rows[-1].revision - rows[0].revision != len(rows) - 1:
        return None
    last = rows[-1]
    return State(_added_up(rows), last.created, last.revision, last.grade, last.max_grade)


def _added_up(rows: Sequence[HistoryRow]) -> Fields:
    """The fields after the last of these revisions, of which the first may have a snapshot, and no other."""
    first = rows[0]
    if first.snapshot is not None and len(rows) == 1:
        return Fields.from_text(first.snapshot)
    # In one dict: a copy for each revision would be most of the time.
    fields = {} if first.snapshot is None else dict(Fields.from_text(first.snapshot).encoded)
    for row in rows if first.snapshot is None else rows[1:]:
        for name, text in json.loads(row.delta).items():
            if text is None:
                fields.pop(name, None)
            else:
                fields[name] = text
    return Fields(fields)


def _replayed(rows: Iterable[HistoryRow]) -> list[State]:
    """The state after each of these revisions of one row, which follow from each other or have a snapshot."""
    states, fields = [], Fields({})
    for row in rows:
        fields = fields.overlaid(json.loads(row.delta)) if row.snapshot is None else Fields.from_text(row.snapshot)
        states.append(State(fields, row.created, row.revision, row.grade, row.max_grade))
    return states


def _sound(rows: Sequence[HistoryRow]) -> State | None:
    """``state_of``; ``None`` also where a text is damaged, which it would only come upon when fields are read."""
    try:
        state = state_of(rows)
        if state is not None:
            state.fields.as_dict()
    except (ValueError, TypeError, AttributeError, RecursionError):  # what is no object of JSON texts ends in one
        return None
    return state


def _answer_without(
    usage_key: UsageKey, learner_id: int, asked: int | datetime, ends: Sequence[HistoryRow]
) -> Earlier:
    """What there is to say of a state that is not to be rebuilt, given the ends of its history."""
    if isinstance(asked, int):
        if not ends or not 1 <= asked <= ends[-1].revision:
            return NoSuchRevisionError(usage_key, asked)
        is_older = asked < ends[0].revision
    else:
        is_older = bool(ends) and asked < ends[0].created
        if not ends or (is_older and ends[0].revision == 1):
            return State(Fields({}), asked, 0)
    if is_older and is_trimmed(ends[0]):
        return HistoryTrimmedError(usage_key, asked, ends[0].revision)
    return DamagedHistoryError(usage_key, learner_id, asked)


def _first_without_base(rows: Iterable[HistoryRow]) -> int:
    """The first of these revisions that nothing is there to rebuild from; 0 if there is none."""
    base = 0
    for row in rows:
        if row.snapshot is None and row.revision != base + 1:
            return row.revision
        base = row.revision
    return 0


def is_trimmed(first: HistoryRow) -> bool:
    """Whether a history that begins with this revision was trimmed, and did not merely lose what was before it."""
    return first.revision > 1 and first.snapshot is not None


def changes_between(fields: Fields, wanted: Fields) -> dict[str, Any]:
    """What turns fields into others, compared as the texts that are stored: 1, 1.0 and true are not the same."""
    changes: dict[str, Any] = dict.fromkeys(fields.encoded.keys() - wanted.encoded.keys(), DELETED)
    for name, text in wanted.encoded.items():
        if fields.encoded.get(name) != text:
            changes[name] = decode_value(text)
    return changes


def _by_learner(rows_of_tables: Iterable[Sequence[HistoryRow]]) -> dict[int, list[HistoryRow]]:
    """The same of the rows of many learners at one usage."""
    found: dict[int, dict[int, HistoryRow]] = {}
    for rows in rows_of_tables:
        for row in rows:
            found.setdefault(row.learner_id, {})[row.revision] = row
    return {learner_id: [rows[revision] for revision in sorted(rows)] for learner_id, rows in found.items()}


def _together(rows_of_tables: Iterable[Sequence[Row]]) -> list[Row]:
    """The rows of one row of state, oldest first, each once; the later table's, which may have a snapshot more."""
    found = {row.revision: row for rows in rows_of_tables for row in rows}
    return [found[revision] for revision in sorted(found)]

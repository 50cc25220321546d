"""Earlier states: the history of a row read back, from the two tables where it may be, and replayed.

What each function promises is written at ``Store``, which calls it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import DamagedHistoryError, HistoryTrimmedError, NoSuchRevisionError
from fieldstone.store.engines.history import Change, HistoryRow, HistoryTable
from fieldstone.store.places import key_text
from fieldstone.store.routing import Home
from fieldstone.store.states import Revision, State
from fieldstone.store.usages import find_usage
from fieldstone.values import DELETED, Fields, decode_value

Row = TypeVar("Row", HistoryRow, Change)


class History:
    """The history of the states of one home."""

    def __init__(self, home: Home) -> None:
        self._states = home.states
        # The outbox first: a row that is moved between the two looks is seen by both, and not by neither.
        self._tables = [HistoryTable(alias) for alias in dict.fromkeys(home)]

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
        state, ends = self._state(learner_id, usage_key, revision)
        if state is not None and state.revision == revision:
            return state
        if not ends or not 1 <= revision <= ends[-1].revision:
            raise NoSuchRevisionError(usage_key, revision)
        if revision < ends[0].revision and is_trimmed(ends[0]):
            raise HistoryTrimmedError(usage_key, revision, ends[0].revision)
        raise DamagedHistoryError(usage_key, learner_id, revision)

    def at_moment(self, learner_id: int, usage_key: UsageKey, moment: datetime) -> State | None:
        """The state as of a moment; ``None`` before the first save."""
        state, ends = self._state(learner_id, usage_key, moment)
        if state is not None or not ends or (ends[0].revision == 1 and moment < ends[0].created):
            return state
        if moment < ends[0].created and is_trimmed(ends[0]):
            raise HistoryTrimmedError(usage_key, moment, ends[0].revision)
        raise DamagedHistoryError(usage_key, learner_id, moment)

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
    return _replayed(rows)[-1]


def _replayed(rows: Iterable[HistoryRow]) -> list[State]:
    """The state after each of these revisions of one row, which follow from each other or have a snapshot."""
    states, fields = [], Fields({})
    for row in rows:
        fields = fields.overlaid(json.loads(row.delta)) if row.snapshot is None else Fields.from_text(row.snapshot)
        states.append(State(fields, row.created, row.revision, row.grade, row.max_grade))
    return states


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


def _together(rows_of_tables: Iterable[Sequence[Row]]) -> list[Row]:
    """The rows of one row of state, oldest first, each once; the later table's, which may have a snapshot more."""
    found = {row.revision: row for rows in rows_of_tables for row in rows}
    return [found[revision] for revision in sorted(found)]

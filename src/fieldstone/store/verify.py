"""Does each state follow from its history? Replays the deltas of rows, and says where they disagree.

States and history are read side by side, a batch a query, in constant memory. Saves may go on meanwhile: states
are read before their history, which grows at its end, so whatever a state has is there to be replayed; what the
history has beyond a state is reported only if the state, read once more, has not caught up. A trimming takes from
its beginning: that a history begins late or jumps is reported only if it does not begin later still by now.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections

from fieldstone.store.engines import engine_of, walk
from fieldstone.store.engines.history import HistoryTable, RevisionKey
from fieldstone.store.engines.walk import Part, RevisionRead, RowKey, StateRead
from fieldstone.store.routing import home_for_writing
from fieldstone.store.states import NO_GRADE, Grade
from fieldstone.store.tables import HIGHEST_ID, LOWEST_ID, SNAPSHOT_EVERY, USAGE
from fieldstone.values import decode_value

_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that disagrees in one row."""

    learner_id: int
    key: str  # the usage key's text
    what: str  # a clause: "the history ends at revision 3, the state is at 5"


class _Doubt(NamedTuple):
    """What may become a finding, unless a second look settles it."""

    what: str
    saved_at: int | None = None  # settled by the state's being at this revision by now: a save came between
    trimmed_to: int | None = None  # settled by the history's beginning there by now, or later: a trimming did


class Verification:
    """One walk over a part of the store; ``states`` and ``revisions`` count what it has read so far."""

    def __init__(self, using: str | None, part: Part, batch: int = 1000) -> None:
        self._home = home_for_writing(using)
        self._part = part
        self._batch = batch
        self.states = 0
        self.revisions = 0

    def total(self) -> int:
        """How many states there are to read, for a progress bar; one query."""
        with connections[self._home.states].cursor() as cursor:
            return walk.count_states(cursor, self._part)

    def batches(self) -> Iterator[list[Finding]]:
        """What each batch of states, with its history, has brought to light: mostly empty lists."""
        after: RowKey = (LOWEST_ID, LOWEST_ID)
        while True:
            with connections[self._home.states].cursor() as cursor:
                states = walk.read_states(cursor, self._part, after, self._batch)
            # After the last state there may still be history, of states that are gone.
            is_last = len(states) < self._batch
            until = (HIGHEST_ID, HIGHEST_ID) if is_last else states[-1][:2]
            self.states += len(states)
            yield from self._compared(states, self._history((*after, HIGHEST_ID), (*until, HIGHEST_ID)))
            if is_last:
                return
            after = until

    def _history(self, after: RevisionKey, until: RevisionKey) -> Iterator[RevisionRead]:
        """The revisions after one key, up to another, fetched in batches of their own."""
        for batch, end in self._read(self._home.states, self._part, after, until):
            rows: Iterator[RevisionRead] = iter(batch)
            if self._home.is_divided:
                # Each batch of the outbox before what has been moved: a row that is moved meanwhile is seen twice.
                moved = chain.from_iterable(
                    rows for rows, _ in self._read(self._home.history, self._part_moved, after, end)
                )
                rows = _each_once(heapq.merge(moved, batch, key=itemgetter(0, 1, 2)))
            for row in rows:
                self.revisions += 1
                yield row
            after = end

    def _read(
        self, using: str, part: Part, after: RevisionKey, until: RevisionKey
    ) -> Iterator[tuple[list[RevisionRead], RevisionKey]]:
        """Batches of revisions, each with the key up to which it has everything."""
        while after < until:
            with connections[using].cursor() as cursor:
                rows = walk.read_revisions(cursor, part, after, until, self._batch)
            after = rows[-1][:3] if len(rows) == self._batch else until
            yield rows, after

    @cached_property
    def _part_moved(self) -> Part:
        """The part as the alias of the history can tell it, which has no usages."""
        if self._part.context_id is None:
            return self._part
        with connections[self._home.states].cursor() as cursor:
            usage_ids = walk.read_usages(cursor, self._part.context_id)
        return replace(self._part, context_id=None, usage_ids=usage_ids)

    def _compared(self, states: list[StateRead], history: Iterator[RevisionRead]) -> Iterator[list[Finding]]:
        """The findings of these rows, no more than a batch in a list, however much is wrong."""
        doubts: list[tuple[RowKey, _Doubt]] = []
        sides: tuple[Iterable[StateRead | RevisionRead], ...] = (states, history)
        row_key = itemgetter(0, 1)
        # The merge is stable: a state comes before the history of its row.
        for row, items in groupby(heapq.merge(*sides, key=row_key), row_key):
            for doubt in _disagreements(items):
                doubts.append((row, doubt))
                if len(doubts) >= self._batch:
                    yield self._confirmed(doubts)
                    doubts = []
        yield self._confirmed(doubts)

    def _confirmed(self, doubts: list[tuple[RowKey, _Doubt]]) -> list[Finding]:
        """The doubts that a second look does not settle; a few queries, none when there are none."""
        if not doubts:
            return []
        saved = sorted({row for row, doubt in doubts if doubt.saved_at is not None})
        trimmed = sorted({row for row, doubt in doubts if doubt.trimmed_to is not None})
        engine = engine_of(connections[self._home.states])
        with connections[self._home.states].cursor() as cursor:
            now = walk.read_numbers(cursor, saved) if saved else {}
            keys = engine.select_keys(cursor, USAGE, sorted({row[1] for row, _ in doubts}))
        begins: dict[RowKey, int] = {}
        for alias in dict.fromkeys(self._home) if trimmed else ():
            for row, oldest in HistoryTable(alias).oldest_of(trimmed).items():
                begins[row] = min(oldest, begins.get(row, oldest))
        return [
            Finding(row[0], keys.get(row[1], f"(usage {row[1]}, whose key is missing)"), doubt.what)
            for row, doubt in doubts
            if not (doubt.saved_at is not None and now.get(row, -1) >= doubt.saved_at)
            and not (doubt.trimmed_to is not None and begins.get(row, -1) >= doubt.trimmed_to)
        ]


def _each_once(rows: Iterable[RevisionRead]) -> Iterator[RevisionRead]:
    for _, same in groupby(rows, itemgetter(0, 1, 2)):
        yield next(same)


def _disagreements(items: Iterator[StateRead | RevisionRead]) -> Iterator[_Doubt]:
    """What is wrong in one row: its state, if there is one, then its history."""
    state, replay, at_state = None, _Replay(), None
    for item in items:
        if isinstance(item, StateRead):
            state = item
            continue
        yield from replay.add(item)
        if state is not None and item.revision == state.revision:
            at_state = None if replay.fields is None else dict(replay.fields)
            had, has = Grade(item.grade, item.max_grade), Grade(state.grade, state.max_grade)
            if had != has:
                yield _Doubt(f"the grade is {_shown(has)}, in the history {_shown(had)}")
    if state is None:
        yield _Doubt(f"there is history, to revision {replay.last}, and no state", saved_at=replay.last)
        return
    if replay.last is None:
        yield _Doubt(f"the state is at revision {state.revision} and has no history")
    elif replay.last < state.revision:
        yield _Doubt(f"the history ends at revision {replay.last}, the state is at {state.revision}")
    elif replay.last > state.revision:
        what = f"the history goes on to revision {replay.last}, the state is at {state.revision}"
        yield _Doubt(what, saved_at=replay.last)
    yield from map(_Doubt, _differences("the state", state.fields, at_state, "its replay"))


def _shown(grade: Grade) -> str:
    return "none" if grade == NO_GRADE else f"{grade.value} of {grade.maximum}"


class _Replay:
    """What the history of one row adds up to, revision by revision."""

    def __init__(self) -> None:
        self.fields: dict[str, str] | None = {}  # None: not to be known, until a snapshot says it
        self.last: int | None = None  # revision

    def add(self, row: RevisionRead) -> Iterator[_Doubt]:
        """Take up the next revision; gives what is wrong with it."""
        if self.last is None and row.revision != 1:
            self.fields = None
            if row.revision < 1 or row.snapshot is None:  # else it was trimmed
                what = f"the history begins at revision {row.revision}, not at 1"
                yield _Doubt(what, trimmed_to=row.revision + 1)
        elif self.last is not None and row.revision != self.last + 1:
            self.fields = None
            what = f"the history jumps from revision {self.last} to {row.revision}"
            yield _Doubt(what, trimmed_to=row.revision)
        self.last = row.revision
        try:
            delta = _parsed(row.delta)
        except _DamageError as damage:
            yield _Doubt(f"the delta of revision {row.revision} {damage}")
            self.fields = None
        else:
            self._overlay(delta)
        if row.snapshot is not None:
            name = f"the snapshot of revision {row.revision}"
            yield from map(_Doubt, _differences(name, row.snapshot, self.fields, "the replay"))
            if self.fields is None:
                self._resume(row.snapshot)
        elif row.revision % SNAPSHOT_EVERY == 0 and row.revision > 0:
            yield _Doubt(f"revision {row.revision} has no snapshot")

    def _overlay(self, delta: dict[str, str | None]) -> None:
        """Raw ``null`` deletes. In place: a history is long, and each state is all fields."""
        if self.fields is None:
            return
        for name, text in delta.items():
            if text is None:
                self.fields.pop(name, None)
            else:
                self.fields[name] = text

    def _resume(self, snapshot: str) -> None:
        try:
            self.fields = _present(_parsed(snapshot))
        except _DamageError:
            return  # reported when it was compared


def _differences(name: str, text: str, replayed: dict[str, str] | None, replay: str) -> Iterator[str]:
    """What is wrong with the text of a fields column that should hold these fields, if they are known."""
    try:
        fields = _present(_parsed(text))
    except _DamageError as damage:
        yield f"{name} {damage}"
        return
    # The texts themselves: what decodes to equal values need not be the same, as 1, 1.0 and true.
    if replayed is not None and fields != replayed:
        names = (fields.keys() | replayed.keys()) - {n for n, text in fields.items() if replayed.get(n) == text}
        yield f"{name} differs from {replay} in {_listed(names)}"


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ("fields " if len(shown) > 1 else "field ") + ", ".join(map(repr, shown[:_NAMES_SHOWN])) + more


class _DamageError(Exception):
    """A text is not what a fields column holds; its message continues a clause about it."""


def _parsed(text: Any) -> dict[str, str | None]:
    """The encoded fields in the text of a fields column, checked down to each value. Raises ``_DamageError``."""
    try:
        encoded = decode_value(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise _DamageError(f"is not JSON ({error})") from error
    if not isinstance(encoded, dict):
        raise _DamageError("is not a JSON object")
    for name, value in encoded.items():
        if value is None or value == "":  # deleted: see fieldstone.values
            continue
        try:
            decode_value(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise _DamageError(f"has no JSON text in field {name!r}") from error
    return encoded


def _present(encoded: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in encoded.items() if text}

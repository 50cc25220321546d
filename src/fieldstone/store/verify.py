"""Does each state follow from its history? Replays the deltas of rows, and says where they disagree.

States and history are read side by side, a batch a query, in constant memory. Saves may go on meanwhile: states
are read before their history, which only ever grows, so whatever a state has is there to be replayed; what the
history has beyond a state is reported only if the state, read once more, has not caught up.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections

from fieldstone.errors import NothingStoredError
from fieldstone.store.engines import engine_of, walk
from fieldstone.store.engines.walk import Part, RevisionRead, RowKey, StateRead
from fieldstone.store.tables import CONTEXT, HIGHEST_ID, LOWEST_ID, USAGE
from fieldstone.values import decode_value

_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that disagrees in one row."""

    learner_id: int
    key: str  # the usage key's text
    what: str  # a clause: "the history ends at revision 3, the state is at 5"


class _Doubt(NamedTuple):
    """What may become a finding."""

    row: RowKey
    what: str
    settled_at: int | None  # by the state's being at this revision by now: there was a save meanwhile


def part_of(
    using: str, *, learner_id: int | None = None, context: str | None = None, usage: str | None = None
) -> Part:
    """The part of the store that has these in common, keys given as text; all of it if none is given.

    Raises ``NothingStoredError`` for a context or usage that the store never met.
    """
    return Part(learner_id, _id_of(using, CONTEXT, context), _id_of(using, USAGE, usage))


def _id_of(using: str, table: str, key: str | None) -> int | None:
    if key is None:
        return None
    with connections[using].cursor() as cursor:
        ids = engine_of(connections[using]).select_ids(cursor, table, [key])
    if key not in ids:
        raise NothingStoredError(key, using)
    return ids[key]


class Verification:
    """One walk over a part of the store; ``states`` and ``revisions`` count what it has read so far."""

    def __init__(self, using: str, part: Part, batch: int = 1000) -> None:
        self._using = using
        self._part = part
        self._batch = batch
        self.states = 0
        self.revisions = 0

    def total(self) -> int:
        """How many states there are to read, for a progress bar; one query."""
        with connections[self._using].cursor() as cursor:
            return walk.count_states(cursor, self._part)

    def batches(self) -> Iterator[list[Finding]]:
        """What each batch of states, with its history, has brought to light: mostly empty lists."""
        after: RowKey = (LOWEST_ID, LOWEST_ID)
        while True:
            with connections[self._using].cursor() as cursor:
                states = walk.read_states(cursor, self._part, after, self._batch)
            # After the last state there may still be history, of states that are gone.
            is_last = len(states) < self._batch
            until = (HIGHEST_ID, HIGHEST_ID) if is_last else states[-1][:2]
            self.states += len(states)
            yield from self._compared(states, self._history(after, until))
            if is_last:
                return
            after = until

    def _history(self, after: RowKey, until: RowKey) -> Iterator[RevisionRead]:
        """The revisions of the rows after one key, up to another, fetched in batches of their own."""
        last = (*after, HIGHEST_ID)
        while True:
            with connections[self._using].cursor() as cursor:
                rows = walk.read_revisions(cursor, self._part, last, until, self._batch)
            self.revisions += len(rows)
            yield from rows
            if len(rows) < self._batch:
                return
            last = rows[-1][:3]

    def _compared(self, states: list[StateRead], history: Iterator[RevisionRead]) -> Iterator[list[Finding]]:
        """The findings of these rows, no more than a batch in a list, however much is wrong."""
        doubts: list[_Doubt] = []
        sides: tuple[Iterable[StateRead | RevisionRead], ...] = (states, history)
        row_key = itemgetter(0, 1)
        # The merge is stable: a state comes before the history of its row.
        for row, items in groupby(heapq.merge(*sides, key=row_key), row_key):
            for what, settled_at in _disagreements(items):
                doubts.append(_Doubt(row, what, settled_at))
                if len(doubts) >= self._batch:
                    yield self._confirmed(doubts)
                    doubts = []
        yield self._confirmed(doubts)

    def _confirmed(self, doubts: list[_Doubt]) -> list[Finding]:
        """The doubts that a second look does not settle; two queries at most, none when there are none."""
        if not doubts:
            return []
        again = sorted({doubt.row for doubt in doubts if doubt.settled_at is not None})
        engine = engine_of(connections[self._using])
        with connections[self._using].cursor() as cursor:
            now = walk.read_numbers(cursor, again) if again else {}
            keys = engine.select_keys(cursor, USAGE, sorted({doubt.row[1] for doubt in doubts}))
        return [
            Finding(row[0], keys.get(row[1], f"(usage {row[1]}, whose key is missing)"), what)
            for row, what, settled_at in doubts
            if settled_at is None or row not in now or now[row] < settled_at
        ]


def _disagreements(items: Iterator[StateRead | RevisionRead]) -> Iterator[tuple[str, int | None]]:
    """What is wrong in one row: its state, if there is one, then its history; as in ``_Doubt``."""
    state, replay, at_state = None, _Replay(), None
    for item in items:
        if isinstance(item, StateRead):
            state = item
            continue
        for what in replay.add(item):
            yield what, None
        if state is not None and item.revision == state.revision and replay.fields is not None:
            at_state = dict(replay.fields)
    if state is None:
        yield f"there is history, to revision {replay.last}, and no state", replay.last
        return
    if replay.last is None:
        yield f"the state is at revision {state.revision} and has no history", None
    elif replay.last < state.revision:
        yield f"the history ends at revision {replay.last}, the state is at {state.revision}", None
    elif replay.last > state.revision:
        yield f"the history goes on to revision {replay.last}, the state is at {state.revision}", replay.last
    for what in _differences("the state", state.fields, at_state, "its replay"):
        yield what, None


class _Replay:
    """What the history of one row adds up to, revision by revision."""

    def __init__(self) -> None:
        self.fields: dict[str, str] | None = {}  # None: not to be known, until a snapshot says it
        self.last: int | None = None  # revision

    def add(self, row: RevisionRead) -> Iterator[str]:
        """Take up the next revision; gives what is wrong with it."""
        if self.last is None and row.revision != 1:
            yield f"the history begins at revision {row.revision}, not at 1"
            self.fields = None
        elif self.last is not None and row.revision != self.last + 1:
            yield f"the history jumps from revision {self.last} to {row.revision}"
            self.fields = None
        self.last = row.revision
        try:
            delta = _parsed(row.delta)
        except _DamageError as damage:
            yield f"the delta of revision {row.revision} {damage}"
            self.fields = None
        else:
            self._overlay(delta)
        if row.snapshot is not None:
            name = f"the snapshot of revision {row.revision}"
            yield from _differences(name, row.snapshot, self.fields, "the replay")
            if self.fields is None:
                self._resume(row.snapshot)

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
        if value is None:
            continue
        try:
            decode_value(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise _DamageError(f"has no JSON text in field {name!r}") from error
    return encoded


def _present(encoded: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in encoded.items() if text is not None}

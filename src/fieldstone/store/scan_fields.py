"""Every learner's fields of a place, and every summary of a context: the scopes with a row per field, in bulk.

Read by keyset as in ``store/scan.py``. A batch ends with a whole place, and the fields of a place come from one
statement: no state is put together of what was there before a save and what was there after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone.errors import InvalidPlaceError
from fieldstone.store.engines import engine_of
from fieldstone.store.places import Preferences, UserInfo, context_text, parse_key
from fieldstone.store.states import RowFields, State
from fieldstone.store.tables import CONTEXT, LOWEST_ID, PREFERENCES, USER_INFO, FieldTable


class ScannedFields(NamedTuple):
    """One learner's fields of the place that is scanned."""

    learner_id: int
    state: State


class ScannedSummary(NamedTuple):
    """The ``user_state_summary`` of one block."""

    key: str  # the usage key's text
    block_type: str
    state: State

    @property
    def usage_key(self) -> UsageKey:
        """The usage key, parsed when it is asked for."""
        return parse_key(self.key)


def scan_fields(using: str, place: Preferences | UserInfo, batch: int) -> Iterator[ScannedFields]:
    """What ``Store.scan_fields`` gives; wrong arguments raise here and not at the first row."""
    if not isinstance(place, Preferences | UserInfo):
        raise InvalidPlaceError(
            f"scan_fields() takes Preferences(block_type) or UserInfo(), not {place!r}: for a usage key there is"
            " scan(), for the summaries of a context scan_summaries(), for one summary read()."
        )
    table = PREFERENCES if isinstance(place, Preferences) else USER_INFO
    return _Places(using, batch).of_learners(table, tuple(place))


def scan_summaries(
    using: str, context: LearningContextKey, block_type: str | None, batch: int
) -> Iterator[ScannedSummary]:
    """What ``Store.scan_summaries`` gives; wrong arguments raise here and not at the first row."""
    return _Places(using, batch).of_context(context_text(context), block_type)


class _Places:
    """The batches of one scan: nothing is kept between them but where the last one ended."""

    def __init__(self, using: str, batch: int) -> None:
        if batch < 1:
            raise ValueError(f"A batch is at least one row, not {batch}.")
        self._using = using
        self._batch = batch
        self._engine = engine_of(connections[using])

    def of_learners(self, table: FieldTable, rest: tuple[Any, ...]) -> Iterator[ScannedFields]:
        after = LOWEST_ID
        while True:
            rows = self._fetch(self._engine.scan_fields, table, rest, after, self._batch)
            found = _by_first(rows)
            if len(rows) == self._batch:
                # The batch may have ended amid a learner, who is read whole.
                after = rows[-1][0]
                whole = self._fetch(self._engine.read_fields, table, [(after, *rest)])
                found |= {after: [row[-4:] for row in whole]}
            for learner_id, fields in found.items():
                if fields:  # or they were deleted between the two statements
                    yield ScannedFields(learner_id, self._state(fields))
            if len(rows) < self._batch:
                return

    def of_context(self, context: str, block_type: str | None) -> Iterator[ScannedSummary]:
        context_id = self._fetch(self._engine.select_ids, CONTEXT, [context]).get(context)
        after = LOWEST_ID
        while context_id is not None:
            usages = self._fetch(self._engine.scan_usages, context_id, block_type, after, self._batch)
            if not usages:
                return
            rows = self._fetch(self._engine.read_summaries, [row[0] for row in usages])
            found = _by_first(sorted(rows, key=itemgetter(0)))
            for usage_id, key, type_ in usages:
                if usage_id in found:
                    yield ScannedSummary(key, type_, self._state(found[usage_id]))
            after = usages[-1][0]

    def _fetch(self, statement: Callable[..., Any], *arguments: Any) -> Any:
        with connections[self._using].cursor() as cursor:
            return statement(cursor, *arguments)

    def _state(self, rows: Sequence[tuple[Any, ...]]) -> State:
        to_datetime = self._engine.to_datetime
        return State(RowFields(rows, to_datetime), to_datetime(max(row[-1] for row in rows)))


def _by_first(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    """The rest of each row by its first column, which the rows are sorted by."""
    return {first: [row[1:] for row in of_one] for first, of_one in groupby(rows, itemgetter(0))}

"""Every learner's ``user_state`` of a block or of a whole learning context, in constant memory.

Rows are read by keyset, in the order of (usage, learner), which no save ever changes. So a scan needs no
transaction and holds none open: whatever is saved meanwhile, no row comes twice, and every row that was there
from beginning to end comes once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db import connections
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone.store.engines import engine_of
from fieldstone.store.places import context_text, key_text, parse_key
from fieldstone.store.states import State
from fieldstone.store.tables import CONTEXT, LOWEST_ID, USAGE
from fieldstone.values import Fields


class Scanned(NamedTuple):
    """One learner's state at one block. A tuple, as ``State`` is, for the same reason."""

    learner_id: int
    key: str  # the usage key's text
    block_type: str
    state: State

    @property
    def usage_key(self) -> UsageKey:
        """The usage key, parsed when it is asked for."""
        return parse_key(self.key)


def scan(
    using: str, context: LearningContextKey | None, usage_key: UsageKey | None, block_type: str | None, batch: int
) -> Iterator[Scanned]:
    """What ``Store.scan`` gives; wrong arguments raise here and not at the first row."""
    if (context is None) == (usage_key is None):
        raise TypeError("scan() takes either a context or a usage key.")
    if batch < 1:
        raise ValueError(f"A batch is at least one row, not {batch}.")
    rows = _Rows(using, batch)
    if usage_key is not None:
        key = key_text(usage_key)
        return rows.of_key(key, usage_key.block_type) if block_type in (None, usage_key.block_type) else iter(())
    return rows.of_context(context_text(context), block_type)


class _Rows:
    """The batches of one scan: a query each, and nothing kept between them but the last row's key."""

    def __init__(self, using: str, batch: int) -> None:
        self._using = using
        self._batch = batch
        self._engine = engine_of(connections[using])

    def of_key(self, key: str, block_type: str) -> Iterator[Scanned]:
        usage_id = self._id_of(USAGE, key)
        if usage_id is not None:
            yield from self._of_usage(usage_id, key, block_type, LOWEST_ID)

    def of_context(self, context: str, block_type: str | None) -> Iterator[Scanned]:
        context_id, after = self._id_of(CONTEXT, context), LOWEST_ID
        while context_id is not None:
            rows = self._fetch(self._engine.scan_context, context_id, block_type, after)
            for key, type_, *row in rows:
                yield self._scanned(key, type_, row)
            if len(rows) < self._batch:
                return
            # The batch may have ended amid a usage: its other learners first, then the usages after it.
            key, type_, learner_id, after, *_ = rows[-1]
            yield from self._of_usage(after, key, type_, learner_id)

    def _of_usage(self, usage_id: int, key: str, block_type: str, after: int) -> Iterator[Scanned]:
        while True:
            rows = self._fetch(self._engine.scan_usage, usage_id, after)
            for row in rows:
                yield self._scanned(key, block_type, row)
            if len(rows) < self._batch:
                return
            after = rows[-1][0]

    def _fetch(self, statement: Callable[..., list[tuple[Any, ...]]], *arguments: Any) -> list[tuple[Any, ...]]:
        with connections[self._using].cursor() as cursor:
            return statement(cursor, *arguments, self._batch)

    def _id_of(self, table: str, key: str) -> int | None:
        with connections[self._using].cursor() as cursor:
            return self._engine.select_ids(cursor, table, [key]).get(key)

    def _scanned(self, key: str, block_type: str, row: Sequence[Any]) -> Scanned:
        learner_id, _, fields, revision, modified, grade, max_grade, done = row
        state = State(
            Fields.from_text(fields), self._engine.to_datetime(modified), revision, grade, max_grade, done
        )
        return Scanned(learner_id, key, block_type, state)

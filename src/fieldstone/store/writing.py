"""A save, written: in one transaction, its checks with it, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import ConflictError
from fieldstone.kvs.fencing import Fence, check_fence
from fieldstone.store.engines import engine_of
from fieldstone.store.engines.base import Write
from fieldstone.store.history import History
from fieldstone.store.plan import Plan
from fieldstone.store.reading import Reader
from fieldstone.store.routing import Home
from fieldstone.store.states import NO_GRADE, Receipt, States
from fieldstone.store.tables import PREFERENCES, SUMMARY, USER_INFO
from fieldstone.store.usages import Ids, intern_usages

TRIES = 10
"""How often a save is tried that deadlocks whatever it does (``Engine.is_deadlock``)."""


class RepeatedError(Exception):
    """The save had been written before."""


def written(
    plan: Plan, write: Write, expected: Mapping[UsageKey, int], home: Home, fence: Fence | None = None
) -> Receipt:
    """Write it all, or raise; ``RepeatedError`` for a save that was there already."""
    connection = connections[home.states]
    tries_left = 0 if connection.in_atomic_block or not connection.get_autocommit() else TRIES - 1
    while True:
        try:
            # Keys are facts, good whether the save succeeds or not: interned first, in a transaction of their own,
            # they hold no lock while the save runs and are known to the process at once.
            ids = {} if connection.in_atomic_block else intern_usages(plan.keys, home.states)
            with _whole(plan, connection, expected or write.token or fence), connection.cursor() as cursor:
                if fence:  # first: a later holder of its lock waits until this save is committed
                    check_fence(fence, home.states)
                ids = ids or intern_usages(plan.keys, home.states)
                receipt = Receipt(_write(cursor, plan, write, connection, ids), write.at)
                _check_token(write, plan, receipt.states, home, ids)
                _check_revisions(expected, receipt)
            return receipt
        except OperationalError as error:
            # Nothing of such a try is left. Inside a caller's own transaction it is for the caller to repeat.
            if not tries_left or not engine_of(connection).is_deadlock(error):
                raise
            tries_left -= 1


def _whole(plan: Plan, connection: BaseDatabaseWrapper, checked: object) -> AbstractContextManager[Any]:
    """A transaction around the save, or a savepoint, unless it is one statement that no check can undo."""
    # Of a state's save within a caller's transaction a failure must leave that transaction usable. A field of the
    # other scopes is as cheap there as any row that Django saves: it fails as that does, too.
    needed = checked or (connection.in_atomic_block and plan.states)
    if not needed and plan.statements(engine_of(connection)) == 1:
        return nullcontext()
    return transaction.atomic(connection.alias)


def _write(cursor: CursorWrapper, plan: Plan, write: Write, connection: BaseDatabaseWrapper, ids: Ids) -> States:
    engine, states, learner_id = engine_of(connection), States(plan.keys), write.learner_id
    if plan.states:
        # Sorted: two saves of the same blocks lock their rows in the same order and cannot deadlock.
        rows = sorted((ids[text], plan.delta(text), *plan.grades.get(text, NO_GRADE)) for text in plan.states)
        saved = engine.save_states(cursor, write, rows)
        if plan.cleared:
            saved = engine.clear_grades(cursor, write, saved, [ids[text] for text in plan.cleared])
        Reader(connection.alias).add_states(states, {ids[text]: text for text in plan.states}, saved)
    for table, places in (
        (SUMMARY, {(ids[text],): fields for text, fields in plan.summaries.items()}),
        (PREFERENCES, {(learner_id, block_type): fields for block_type, fields in plan.preferences.items()}),
        (USER_INFO, {(learner_id,): plan.user_info}),
    ):
        fields_of = [(place, name, text) for place, fields in places.items() for name, text in fields.items()]
        if fields_of:
            engine.save_fields(cursor, write, table, fields_of)
    return states


def _check_token(write: Write, plan: Plan, states: States, home: Home, ids: Ids) -> None:
    """Raises ``RepeatedError``, which rolls this try back."""
    if write.token is None or not plan.states:
        return
    saved = {ids[text]: states.usages[text].revision or 0 for text in plan.states}
    if History(home).is_repeated(write.learner_id, write.token, saved):
        raise RepeatedError


def _check_revisions(expected: Mapping[UsageKey, int], receipt: Receipt) -> None:
    for usage_key, revision in expected.items():
        # The rows are locked by now, and what was there before is one less than what is there.
        current = (receipt.states[usage_key].revision or 0) - 1
        if current != revision:
            raise ConflictError(usage_key, revision, current)

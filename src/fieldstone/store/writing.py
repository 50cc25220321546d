"""A save, written: in one transaction, its checks with it, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.transaction import TransactionManagementError

from fieldstone.errors import ConflictError
from fieldstone.kvs.fencing import Fence, check_fence
from fieldstone.store.engines import engine_of
from fieldstone.store.engines.base import Write
from fieldstone.store.history import History
from fieldstone.store.places import ExpectedRevisions, Place, Preferences, Summary, key_text
from fieldstone.store.plan import Encoded, Plan
from fieldstone.store.reading import Reader, Wanted
from fieldstone.store.routing import Home
from fieldstone.store.states import NO_GRADE, Receipt, States
from fieldstone.store.tables import PREFERENCES, STATE, SUMMARY, USAGE, USER_INFO, FieldTable
from fieldstone.store.usages import Ids, KeyTable, intern_usages

TRIES = 10
"""How often a save is tried that deadlocks whatever it does (``Engine.is_deadlock``)."""


class RepeatedError(Exception):
    """The save had been written before."""


def written(
    plan: Plan, write: Write, expected: ExpectedRevisions, home: Home, fence: Fence | None = None
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
                states = _write_states(cursor, plan, write, connection, ids)
                revisions = _write_fields(cursor, plan, write, connection, ids, revisions_too=bool(expected))
                _check_token(write, plan, states, home, ids)
                _check_revisions(expected, states, revisions)
            return Receipt(states, write.at)
        except OperationalError as error:
            # Nothing of such a try is left. Inside a caller's own transaction it is for the caller to repeat.
            if not tries_left or not engine_of(connection).is_deadlock(error):
                raise
            tries_left -= 1


def lock_places(learner_id: int, wanted: Wanted, using: str) -> None:
    """Lock rows in the order in which a save writes them."""
    connection = connections[using]
    connection.validate_no_broken_transaction()
    if not connection.in_atomic_block:
        raise TransactionManagementError("Locks on rows last until the end of a transaction: there is none.")
    engine, table = engine_of(connection), KeyTable(USAGE, using)
    with connection.cursor() as cursor:
        of_states, of_summaries = (table.find(texts) for texts in (wanted.usages, wanted.summaries))
        for name, key, rows in (
            (STATE, ("student_id", "usage_id"), [(learner_id, usage_id) for usage_id in of_states.values()]),
            (SUMMARY.name, SUMMARY.columns, [(usage_id,) for usage_id in of_summaries.values()]),
            (PREFERENCES.name, PREFERENCES.columns, [(learner_id, name) for name in wanted.preferences]),
            (USER_INFO.name, USER_INFO.columns, [(learner_id,)] if wanted.user_info else []),
        ):
            if rows:
                rows_of_fields = () if name == STATE else ("field_name",)
                engine.lock_rows(cursor, name, key, sorted(rows), order=(*key, *rows_of_fields))


def _whole(plan: Plan, connection: BaseDatabaseWrapper, checked: object) -> AbstractContextManager[Any]:
    """A transaction around the save, or a savepoint, unless it is one statement that no check can undo."""
    # Of a state's save within a caller's transaction a failure must leave that transaction usable. A field of the
    # other scopes is as cheap there as any row that Django saves: it fails as that does, too.
    needed = checked or (connection.in_atomic_block and plan.states)
    if not needed and plan.statements(engine_of(connection)) == 1:
        return nullcontext()
    return transaction.atomic(connection.alias)


def _write_states(
    cursor: CursorWrapper, plan: Plan, write: Write, connection: BaseDatabaseWrapper, ids: Ids
) -> States:
    engine, states = engine_of(connection), States(plan.keys)
    if plan.states:
        # Sorted: two saves of the same blocks lock their rows in the same order and cannot deadlock.
        rows = sorted((ids[text], plan.delta(text), *plan.grades.get(text, NO_GRADE)) for text in plan.states)
        saved = engine.save_states(cursor, write, rows)
        if plan.cleared:
            saved = engine.clear_grades(cursor, write, saved, [ids[text] for text in plan.cleared])
        Reader(connection.alias).add_states(states, {ids[text]: text for text in plan.states}, saved)
    return states


Revisions = Mapping[tuple[str, str], Mapping[str, int]]
"""Of saved fields with a row each: table's name and place's (``_name_of``), to the fields' names, to revisions."""


def _write_fields(
    cursor: CursorWrapper,
    plan: Plan,
    write: Write,
    connection: BaseDatabaseWrapper,
    ids: Ids,
    *,
    revisions_too: bool,
) -> Revisions:
    engine, learner_id = engine_of(connection), write.learner_id
    revisions: dict[tuple[str, str], dict[str, int]] = {}
    tables: list[tuple[FieldTable, dict[tuple[Any, ...], tuple[str, Encoded]]]] = [
        (SUMMARY, {(ids[text],): (text, fields) for text, fields in plan.summaries.items()}),
        (PREFERENCES, {(learner_id, name): (name, fields) for name, fields in plan.preferences.items()}),
        (USER_INFO, {(learner_id,): ("", plan.user_info)}),
    ]
    for table, places in tables:
        fields_of = [(row, name, text) for row, (_, fields) in places.items() for name, text in fields.items()]
        if fields_of:
            saved = engine.save_fields(cursor, write, table, fields_of, revisions_too=revisions_too)
            for (*row, field_name), revision in saved.items():
                revisions.setdefault((table.name, places[tuple(row)][0]), {})[field_name] = revision
    return revisions


def _check_token(write: Write, plan: Plan, states: States, home: Home, ids: Ids) -> None:
    """Raises ``RepeatedError``, which rolls this try back."""
    if write.token is None or not plan.states:
        return
    saved = {ids[text]: states.usages[text].revision or 0 for text in plan.states}
    if History(home).is_repeated(write.learner_id, write.token, saved):
        raise RepeatedError


def _check_revisions(expected: ExpectedRevisions, states: States, fields: Revisions) -> None:
    # The rows are locked by now, and what was there before is one less than what is there.
    for place, wanted in expected.items():
        if isinstance(wanted, int):
            current = (states[place].revision or 0) - 1
            if current != wanted:
                raise ConflictError(place, wanted, current)
            continue
        saved = fields[_name_of(place)]
        for name, revision in wanted.items():
            if saved[name] - 1 != revision:
                raise ConflictError(place, revision, saved[name] - 1, name)


def _name_of(place: Place) -> tuple[str, str]:
    """Of a place with a row per field: its table's name, and what tells it from others in a save."""
    if isinstance(place, Summary):
        return SUMMARY.name, key_text(place.usage_key)
    if isinstance(place, Preferences):
        return PREFERENCES.name, place.block_type
    return USER_INFO.name, ""

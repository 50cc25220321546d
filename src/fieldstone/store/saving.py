"""How rows of the models are saved: through ``Store.save``, as the difference from what was loaded.

So history and state agree whoever saves, and a row that was loaded long ago undoes nobody's work: what it did not
change is not written.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import ConflictError, InvalidLearnerError, InvalidPlaceError, InvalidValueError
from fieldstone.store.columns import context_key_of, encoded_state
from fieldstone.store.history import changes_between
from fieldstone.store.places import Place, Summary, context_text, key_text
from fieldstone.store.plan import Plan
from fieldstone.store.states import Grade, State
from fieldstone.store.store import NOBODY, Store
from fieldstone.store.usages import find_usage, intern_usages
from fieldstone.values import MISSING, Fields, decode_value, encode_value

ORIGIN = "StudentModule.save"

_SAVED = ("state", "grade", "max_grade", "done")
_IDENTITY = ("student_id", "usage_id")
_NEW: Mapping[str, Any] = {"state": None, "grade": None, "max_grade": None, "done": "na"}


# A row with all fields of a block


def remember_state(row: Any, names: Collection[str] | None = None) -> None:
    """Keep what a row holds now as what is stored; of these fields, or of all that it has loaded."""
    loaded = {name: row.__dict__[name] for name in (*_IDENTITY, *_SAVED) if name in row.__dict__}
    row._loaded = loaded if names is None else {**row._loaded, **{n: v for n, v in loaded.items() if n in names}}


def save_state(
    row: Any, using: str, *, force_insert: bool, force_update: bool, names: Collection[str] | None
) -> bool:
    """Save a ``StudentModule``, of the fields named or of all; whether the row was there.

    Raises ``IntegrityError`` for a new row where there is one, ``InvalidPlaceError`` and ``InvalidValueError``
    before anything is written.
    """
    key = checked_key(row)
    is_new = force_insert or (row._state.adding and not force_update) or _is_moved(row, key, using)
    wanted = [name for name in _SAVED if name in row.__dict__ and (names is None or name in names)]
    loaded = _NEW if is_new else row._loaded
    if "state" in wanted and "state" not in loaded:  # set without being looked at
        stored = type(row)._base_manager.using(using).filter(pk=row.pk).values_list("state", flat=True)
        loaded = {**loaded, "state": stored.first()}
    plan = _plan_of(row, key, loaded, wanted, is_new=is_new)
    done_changed = "done" in wanted and row.done != loaded.get("done")
    with transaction.atomic(using) if done_changed or force_update else nullcontext():
        if plan:
            try:
                receipt = Store(using).save_plan(
                    _learner_of(row), plan, expected={key: 0} if is_new else None, origin=ORIGIN
                )
            except ConflictError as conflict:
                raise IntegrityError(
                    f"Learner {row.student_id} has a row at {key} already: get_or_create() gives it."
                ) from conflict
            state = receipt.states[key]
            if force_update and state.revision == 1:
                raise DatabaseError("Forced update did not affect any rows.")
            _take_up(row, state, key, wanted, using, is_new=is_new)
        if done_changed:
            type(row)._base_manager.using(using).filter(pk=row.pk).update(done=row.done)
    remember_state(row, None if is_new else wanted)
    return not is_new


def checked_key(row: Any) -> UsageKey:
    """The usage key of a row, if what else was said of the block does not contradict it."""
    if row._loaded.get("usage_id", row.usage_id) not in (row.usage_id, None) and row.usage_id is not None:
        raise InvalidPlaceError("The usage of a stored row was changed: set module_state_key instead.")
    key: UsageKey = row.module_state_key
    key_text(key)  # refuses what cannot be stored
    text = context_text(key.context_key)
    if row._context is not None and context_text(context_key_of(row._context)) != text:
        raise InvalidPlaceError(
            f"course_id is {row._context}, and module_state_key {key} is of {text}. Nothing was saved: leave"
            " course_id out, or correct one of the two."
        )
    if row._block_type is not None and str(row._block_type) != key.block_type:
        what = f"module_type is {row._block_type!r}, and {key} is of type {key.block_type!r}, which is stored."
        warnings.warn(what, stacklevel=6)
    return key


def _is_moved(row: Any, key: UsageKey, using: str) -> bool:
    """Whether a row that was loaded has another learner or block now: then it is a copy, as for Django."""
    loaded = row._loaded
    if not loaded or row._state.adding:
        return False
    return bool(loaded["student_id"] != row.student_id or find_usage(key_text(key), using) != loaded["usage_id"])


def _learner_of(row: Any) -> Any:
    return row._meta.get_field("student").target_field.to_python(row.student_id)


def _plan_of(row: Any, key: UsageKey, loaded: Mapping[str, Any], wanted: Collection[str], *, is_new: bool) -> Plan:
    changes, is_looked_at = {}, False
    if "state" in wanted:
        stored = Fields(encoded_state(key, loaded["state"]))
        changes = changes_between(stored, Fields(encoded_state(key, row.state)))
        is_looked_at = row.state is not None and loaded["state"] is None
    grade = _grade_of(row, loaded, wanted)
    plan = Plan.of({key: changes}, {} if grade is None else {key: grade})
    if is_new or is_looked_at:
        plan.add_row(key, is_looked_at=is_looked_at)
    return plan


def _grade_of(row: Any, loaded: Mapping[str, Any], wanted: Collection[str]) -> Grade | None:
    """The grade, if it changed. What was not loaded of it is read now, since both its numbers are saved."""
    names = ("grade", "max_grade")
    if all(name not in wanted or row.__dict__[name] == loaded.get(name, MISSING) for name in names):
        return None
    value, maximum = (
        loaded[name] if name in loaded and name not in wanted else getattr(row, name) for name in names
    )
    return Grade(value, maximum)


def _take_up(row: Any, state: State, key: UsageKey, wanted: Collection[str], using: str, *, is_new: bool) -> None:
    """Let a row show what is stored now, with what other writers had saved meanwhile."""
    row.usage_id = find_usage(key_text(key), using)
    row.revision, row.modified = state.revision, state.modified
    if is_new:
        row.created = state.modified
    if "state" in wanted and encoded_state(key, row.state) != state.fields.encoded:
        row.state = state.fields.as_json()
    if {"grade", "max_grade"} & set(wanted):
        row.grade, row.max_grade = state.grade, state.max_grade


# A row a field


def prepare_field(row: Any, place: Place, using: str) -> None:
    """Check the new row of a field, and fill in what fills itself. Raises before anything is written."""
    text = _checked_value(row, place)
    Plan.of({place: {row.field_name: decode_value(text)}}, {})
    if isinstance(place, Summary):
        key = key_text(place.usage_key)
        row.interned_id = intern_usages({key: place.usage_key}, using)[key]
    elif row.student_id is None:
        raise InvalidLearnerError(None)
    row.value, row.revision = text, 1
    row.created = row.modified = timezone.now()


def update_field(row: Any, place: Place, using: str) -> None:
    """Save a field that has a row. Its next revision is read when it is asked for: others may save, too."""
    text = _checked_value(row, place)
    learner = NOBODY if isinstance(place, Summary) else _learner_of(row)
    receipt = Store(using).save(learner, {place: {row.field_name: decode_value(text)}})
    row.value, row.modified = text, receipt.at
    row.__dict__.pop("revision", None)


def _checked_value(row: Any, place: Place) -> str:
    try:
        return encode_value(decode_value(row.value))
    except (TypeError, ValueError, RecursionError) as error:
        reason = f"its value is JSON text, as json.dumps(value) makes it, not {row.value!r:.60}"
        raise InvalidValueError(place, row.field_name, reason) from error

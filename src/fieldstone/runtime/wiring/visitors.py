"""``claim_state``: what a visitor did becomes the account's that they register."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import ConflictError
from fieldstone.runtime.wiring.entries import Entry, Row, usage_key_of
from fieldstone.runtime.wiring.errors import StateClaimedError
from fieldstone.runtime.wiring.viewers import end_visit, owner_of, visitor_of, visitors_store
from fieldstone.store import Store
from fieldstone.store.places import Expected, Place, Preferences, UserInfo
from fieldstone.store.plan import Encoded, Plan
from fieldstone.store.states import NO_GRADE, State, States

ORIGIN = "claim"
TRIES = 100
"""How often a claim is tried that others are always faster than, at the visitor's state or the account's."""


@dataclass
class Claim:
    """What became of a visitor's state, by place."""

    moved: list[Place] = field(default_factory=list)  # is the account's now
    kept: list[Place] = field(default_factory=list)  # where the account had something already, which stays
    dropped: list[UsageKey] = field(default_factory=list)  # user_state_summary: a visitor's counts for nobody else


def claim_state(session: SessionBase, user: Any, *, overwrite: bool = False) -> Claim:
    """Move all that the session's visitor did, in any course, to a registered user, in one transaction.

    Where the account has state at a block already, that stays as it is; with ``overwrite`` the visitor's takes its
    place, whole. Preferences and fields of ``user_info`` go field by field. Grades and completions come along.

    A request of the visitor's that saves meanwhile is claimed too, or raises ``StateClaimedError``. To claim
    again, also after a crash in the middle, changes nothing more. Call it after ``login``, with the new session.

    Raises what ``Store.save`` and the region raise: then the account is as it was, and the visitor has everything.
    """
    visitor = visitor_of(session)
    if visitor is None:
        return Claim()
    visitors, owner = visitors_store(session), owner_of(visitor)
    before, claim = Entry(), Claim()
    for _ in range(TRIES):
        try:
            entry, version = visitors.load(owner)
        except StateClaimedError:
            break
        try:
            claim = _move(entry, before, claim, user, overwrite)
        except ConflictError:
            continue  # the account has saved meanwhile: look again at what it has
        before = entry
        if visitors.end(owner, version):
            break
    else:
        raise ConflictError(f"the state of visitor {visitor}", 0, 0)
    end_visit(session)
    return claim


def _move(entry: Entry, before: Entry, earlier: Claim, user: Any, overwrite: bool) -> Claim:
    """Save what is in an entry and was not ``before``, when it was moved as ``earlier`` says."""
    usages = {text: usage_key_of(text) for text in entry.usages}
    preferences = {block_type: Preferences(block_type) for block_type in entry.preferences}
    places: list[Place] = [*usages.values(), *preferences.values(), UserInfo()]
    states = Store().read(user, places)
    plan, expected = Plan(), dict[Place, Expected]()
    claim = Claim(dropped=[usage_key_of(text) for text in entry.summaries])
    ours = set(earlier.moved)
    for text, usage_key in usages.items():
        if text in before.usages and before.usages[text] == entry.usages[text]:
            (claim.moved if usage_key in ours else claim.kept).append(usage_key)
        elif overwrite or usage_key in ours or not _has_anything(states.get(usage_key)):
            _add_state(plan, entry, text, usage_key, states)
            expected[usage_key] = _revision(states.get(usage_key))
            claim.moved.append(usage_key)
        else:
            claim.kept.append(usage_key)
    for block_type, preferences_place in preferences.items():
        rows = entry.preferences[block_type]
        _add_fields(plan, claim, expected, preferences_place, rows, states, overwrite)
    _add_fields(plan, claim, expected, UserInfo(), entry.user_info, states, overwrite)
    Store().save_plan(user, plan, expected=expected, origin=ORIGIN)
    return claim


def _has_anything(state: State | None) -> bool:
    return state is not None and (bool(state.fields) or state.grade is not None)


def _revision(state: State | None) -> int:
    return 0 if state is None else state.revision or 0


def _add_state(plan: Plan, entry: Entry, text: str, usage_key: UsageKey, states: States) -> None:
    kept, stored = entry.usages[text], states.get(usage_key)
    # A block's fields belong together: of the account's none is left between the visitor's.
    changes: Encoded = dict.fromkeys(stored.fields, None) if stored else {}
    plan.add(usage_key, {**changes, **kept.fields})
    grade = entry.grade_of(text)
    if grade != NO_GRADE:
        plan.add_grade(usage_key, grade)


def _add_fields(
    plan: Plan,
    claim: Claim,
    expected: dict[Place, Expected],
    place: Preferences | UserInfo,
    rows: Mapping[str, Row],
    states: States,
    overwrite: bool,
) -> None:
    stored = states.get(place)
    has = {} if stored is None else stored.fields
    wanted = {name: row[2] for name, row in rows.items() if row[2] is not None and (overwrite or name not in has)}
    if wanted:
        plan.add(place, wanted)
        revisions = stored.revisions if stored is not None else None
        expected[place] = {name: (revisions or {}).get(name, 0) for name in wanted}
        claim.moved.append(place)
    elif rows:
        claim.kept.append(place)

"""``claim_state``: what a visitor did becomes the account's that they register."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.db import DatabaseError, connections, transaction
from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import ConflictError, FieldstoneError
from fieldstone.runtime.wiring.entries import Entry, Row, usage_key_of
from fieldstone.runtime.wiring.errors import StateClaimedError
from fieldstone.runtime.wiring.viewers import end_visit, visitor_of, visitors_store
from fieldstone.store import Store
from fieldstone.store.places import Expected, Place, Preferences, UserInfo
from fieldstone.store.plan import Encoded, Plan
from fieldstone.store.states import NO_GRADE, State, States

log = logging.getLogger(__name__)

Rows = Mapping[str, Row]

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

    Within the caller's transaction the state moves with it, and the visit ends when it is committed: when it is
    rolled back, the visitor has everything. What they save meanwhile is moved then, and is in the ``Claim`` too;
    where that fails it is logged, and the visit goes on, to be claimed again.

    A request of the visitor's that saves meanwhile is claimed too, or raises ``StateClaimedError``. To claim
    again, also after a crash in the middle, changes nothing more. Call it before ``login`` or after; after it,
    with the new session.

    Raises ``StateClaimedError`` when another account has claimed this visitor, or was about to when it crashed;
    what ``Store.save`` and the region raise: then the account is as it was, and the visitor has everything.
    """
    if visitor_of(session) is None:
        return Claim()
    claiming = _Claiming(session, user, overwrite)
    using = Store().using
    try:
        if connections[using].in_atomic_block:
            # Not reserved for the account: nobody would be told of a rollback, and it would be so for ever.
            claiming.move()
            transaction.on_commit(claiming.finish_after_commit, using=using, robust=True)
        else:
            claiming.reserve_and_finish()
    except StateClaimedError as error:
        if error.claimer != str(user.pk):
            raise
        end_visit(session)  # another request of the same user was faster
    return claiming.claim


class _Claiming:
    """A claim that is under way."""

    def __init__(self, session: SessionBase, user: Any, overwrite: bool) -> None:
        self.claim = Claim()
        self._session = session
        self._user = user
        self._claimer = str(user.pk)
        self._overwrite = overwrite
        self._visitors = visitors_store(session)
        self._moved = Entry()  # as it was when it was moved

    def reserve_and_finish(self) -> None:
        """All of it, with no other account in between."""
        try:
            self._visitors.reserve(self._claimer)
            self._finish()
        except BaseException:
            if not self._moved:
                with suppress(FieldstoneError, DatabaseError):  # then it stays this account's to claim
                    self._visitors.reserve(self._claimer, is_over=True)
            raise

    def finish_after_commit(self) -> None:
        """What the caller's transaction has saved is the account's now, whatever became of the visitor's."""
        try:
            self._finish()
        except StateClaimedError as error:
            end_visit(self._session)
            if error.claimer != self._claimer:
                log.warning(
                    "Users %s and %s claimed one visitor at once: both have it", self._claimer, error.claimer
                )

    def _finish(self) -> None:
        """Move what is not moved yet, and end the visit."""
        for _ in range(TRIES):
            if self._visitors.end(self._claimer, self.move()):
                return end_visit(self._session)
        raise ConflictError("the visitor's state", 0, 0)

    def move(self) -> bytes | None:
        """Save what the visitor has, as one save; the version of it. Raises ``StateClaimedError``."""
        for _ in range(TRIES):
            entry, version = self._visitors.load(self._claimer)
            entry.claimer = None
            try:
                claim = _move(entry, self._moved, self.claim, self._user, self._overwrite)
            except ConflictError:
                continue  # the account has saved meanwhile: look again at what it has
            self._moved = entry
            self.claim.moved, self.claim.kept, self.claim.dropped = claim.moved, claim.kept, claim.dropped
            return version
        raise ConflictError("the account's state", 0, 0)


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
    rows_at: dict[Preferences | UserInfo, tuple[Rows, Rows]] = {
        place: (entry.preferences[block_type], before.preferences.get(block_type, {}))
        for block_type, place in preferences.items()
    }
    for place, (rows, rows_before) in {**rows_at, UserInfo(): (entry.user_info, before.user_info)}.items():
        wanted = _wanted(rows, rows_before, states.get(place), overwrite)
        if wanted:
            plan.add(place, wanted)
            expected[place] = _revisions(states.get(place), wanted)
        if wanted or place in ours:
            claim.moved.append(place)
        elif rows:
            claim.kept.append(place)
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


def _wanted(rows: Rows, before: Rows, stored: State | None, overwrite: bool) -> Encoded:
    """The fields to save: those that the account has not, or has of an earlier move."""
    has = {} if stored is None else stored.fields.encoded
    wanted: Encoded = {}
    for name, (_, _, text, _) in rows.items():
        earlier = before[name][2] if name in before else None
        if text not in (None, earlier) and (overwrite or has.get(name) in (None, earlier)):
            wanted[name] = text
    return wanted


def _revisions(stored: State | None, names: Iterable[str]) -> dict[str, int]:
    revisions = (stored.revisions if stored is not None else None) or {}
    return {name: revisions.get(name, 0) for name in names}

"""``EphemeralStore``: a learner's state in an expiring region, behind the calls of ``Store``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from fieldstone.errors import NotFound, UnexpectedError
from fieldstone.kvs import Region
from fieldstone.runtime.wiring.entries import Entry, state_of_rows
from fieldstone.runtime.wiring.errors import NobodyError, StateClaimedError
from fieldstone.store import Store
from fieldstone.store.places import Expected, Place
from fieldstone.store.plan import Plan
from fieldstone.store.reading import Wanted
from fieldstone.store.states import Receipt, States

TRIES = 1000
"""How often a save is tried that others are always faster than: each time one of them has got on."""

CLAIMED = "claimed"


class EphemeralStore:
    """The state of one owner: a visitor, or the preview of an author.

    Fields of all four scopes are the owner's own, ``user_state_summary`` too: what is stored of that for everybody
    shows through where the owner has not written, and is never written to. ``ttl`` is in seconds, from the last
    save.

    An ``owner`` of ``None`` is nobody, who has nothing and whose saves raise ``NobodyError``.
    """

    def __init__(
        self,
        region: Region,
        owner: str | None,
        *,
        ttl: float,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._region = region
        self._owner = owner
        self._ttl = ttl
        self._clock = clock

    def read(self, learner: Any, places: Wanted) -> States:
        """What ``Store.read`` gives; one read of the region, and one query if summaries are among the places."""
        states = States(places.usages, places.summaries)
        entry = Entry() if self._owner is None else self.load()[0]
        for text in places.usages:
            if text in entry.usages:
                states.usages[text] = entry.usages[text].state()
        if places.summaries:
            shared = Store().read(None, Wanted(summaries=places.summaries)).summaries
            for text in places.summaries:
                state = state_of_rows(entry.summaries.get(text, {}), shared.get(text))
                if state is not None:
                    states.summaries[text] = state
        for block_type in places.preferences:
            state = state_of_rows(entry.preferences.get(block_type, {}))
            if state is not None:
                states.preferences[block_type] = state
        if places.user_info:
            states.user_info = state_of_rows(entry.user_info)
        return states

    def save_plan(
        self, learner: Any, plan: Plan, *, expected: Mapping[Place, Expected] | None = None, origin: str = ""
    ) -> Receipt:
        """What ``Store.save_plan`` does; there is no history.

        Raises ``NobodyError``; ``StateClaimedError`` when an account has taken the owner's state over meanwhile;
        what the region raises: then nothing is kept.
        """
        at = self._clock()
        if not plan:
            return Receipt(States(), at)
        for _ in range(TRIES):
            entry, version = self.load()
            entry.check(expected or {})
            entry.apply(plan, expected or {}, at)
            if self._keep(entry.as_json(), version):
                states = States(plan.keys)
                states.usages.update({text: entry.usages[text].state() for text in plan.states})
                return Receipt(states, at)
        raise UnexpectedError(f"Others were faster {TRIES} times at saving this state. Nothing was saved.")

    def load(self, claimer: str | None = None) -> tuple[Entry, bytes | None]:
        """What is kept of the owner, and its version for ``end``.

        Raises ``NobodyError``; ``StateClaimedError`` when it is claimed; with a ``claimer``, also while another
        account claims it.
        """
        try:
            value, version = self._region.get_with_version(self._key())
        except NotFound:
            return Entry(), None
        if CLAIMED in value:
            raise StateClaimedError(value[CLAIMED])
        entry = Entry.from_json(value)
        if claimer is not None and entry.claimer not in (None, claimer):
            raise StateClaimedError(entry.claimer)
        return entry, version

    def reserve(self, claimer: str, *, is_over: bool = False) -> None:
        """Let nobody else claim this; when it ``is_over``, let them. Raises what ``load`` does."""
        for _ in range(TRIES):
            entry, version = self.load(claimer)
            entry.claimer = None if is_over else claimer
            if self._keep(entry.as_json(), version):
                return
        raise UnexpectedError(f"Others were faster {TRIES} times at saving this state. Nothing was claimed.")

    def end(self, claimer: str, version: bytes | None) -> bool:
        """Let nobody save for this owner any more; ``False`` where somebody has saved since this version."""
        return self._keep({CLAIMED: claimer}, version)

    def _keep(self, value: dict[str, Any], version: bytes | None) -> bool:
        if version is None:
            return self._region.add(self._key(), value, ttl=self._ttl)
        return self._region.compare_and_set(self._key(), value, version, ttl=self._ttl)

    def _key(self) -> str:
        if self._owner is None:
            raise NobodyError
        return self._owner

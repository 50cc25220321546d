"""What a ``FieldDataCache`` reads from and saves to: the store, or something that keeps fields for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from fieldstone.store.places import Expected, Place
from fieldstone.store.plan import Plan
from fieldstone.store.reading import Wanted
from fieldstone.store.states import Receipt, States


class Backing(Protocol):
    """The two calls of ``Store`` that a cache makes; ``Store`` says what they raise."""

    def read(self, learner: Any, places: Wanted) -> States:
        """The states at these places."""

    def save_plan(
        self, learner: Any, plan: Plan, *, expected: Mapping[Place, Expected] | None = None, origin: str = ""
    ) -> Receipt:
        """Save it all, or nothing."""

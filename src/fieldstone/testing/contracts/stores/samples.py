"""Where the tests save, and how they look at what is stored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.store import DELETED, Place, State, Store

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
COURSE = CourseLocator("Org", "Course", "Run")
OTHER_COURSE = CourseLocator("Org", "Other", "Run")


def usage(name: str, block_type: str = "problem", course: CourseLocator = COURSE) -> UsageKey:
    key: UsageKey = cast(Any, course).make_usage_key(block_type, name)
    return key


A, B, C = usage("a"), usage("b"), usage("c", "html")
ELSEWHERE = usage("a", course=OTHER_COURSE)


def fields_of(store: Store, learner: int | None, place: Place) -> dict[str, Any] | None:
    """The fields that are read; ``None`` where nothing is stored."""
    state = store.read(learner, [place]).get(place)
    return None if state is None else dict(state.fields)


def all_fields_of(store: Store, learner: int | None, places: Iterable[Place]) -> dict[Place, dict[str, Any]]:
    """The fields of those places where something is stored."""
    return {place: dict(state.fields) for place, state in store.read(learner, [*places]).items()}


def dicts_of(states: Iterable[State]) -> list[dict[str, Any]]:
    return [dict(state.fields) for state in states]


def overlaid(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """What a save makes of fields."""
    return {name: value for name, value in (fields | changes).items() if value is not DELETED}


def replayed(store: Store, learner: int, place: UsageKey) -> dict[str, Any]:
    """The state that the deltas of a row add up to."""
    fields: dict[str, Any] = {}
    for revision in reversed(store.history(learner, place)):
        fields = overlaid(fields, dict(revision.changes))
    return fields


def exactly(fields: dict[str, Any] | None) -> str:
    """What is the same for the same fields only: ``1``, ``1.0`` and ``True`` are equal, and not the same."""
    return repr(sorted((fields or {}).items()))

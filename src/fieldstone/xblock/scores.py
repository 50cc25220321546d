"""Scores of one learner: those of many blocks in one query, and one set without touching the block's fields."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Self

from django.db import connections
from opaque_keys.edx.keys import CourseKey, UsageKey

from fieldstone.store.engines import engine_of
from fieldstone.store.places import key_text
from fieldstone.store.routing import alias_for_reading
from fieldstone.store.states import Grade
from fieldstone.store.store import Store
from fieldstone.xblock.scopes import in_course


class ScoresClient:
    """The scores of one learner at blocks of a course; usage keys that name no run are taken for the course's."""

    class Score(NamedTuple):
        """What a learner got; both ``None`` where there is a state without a grade, as in Open edX."""

        correct: float | None
        total: float | None
        created: datetime  # of the learner's first save at the block, aware, UTC

    def __init__(self, course_key: CourseKey, user_id: int, *, using: str | None = None) -> None:
        self.course_key = course_key
        self.user_id = user_id
        self._using = using
        self._scores: dict[str, ScoresClient.Score] | None = None  # by the text of the usage key

    @classmethod
    def create_for_locations(
        cls,
        course_id: CourseKey,
        user_id: int,
        scorable_locations: Iterable[UsageKey],
        *,
        using: str | None = None,
    ) -> Self:
        """A client that has fetched these."""
        client = cls(course_id, user_id, using=using)
        client.fetch_scores(scorable_locations)
        return client

    def fetch_scores(self, locations: Iterable[UsageKey]) -> None:
        """Fetch the scores at these blocks, beside those that were fetched before; one query."""
        keys = {self._text(location) for location in locations}
        scores = {} if self._scores is None else self._scores
        if keys:
            connection = connections[alias_for_reading(self._using)]
            engine = engine_of(connection)
            with connection.cursor() as cursor:
                rows = engine.read_scores(cursor, self.user_id, sorted(keys))
            for key, correct, total, created in rows:
                scores[key] = self.Score(correct, total, engine.to_datetime(created))
        self._scores = scores

    def get(self, location: UsageKey) -> Score | None:
        """The score at a block; ``None`` if there is none, or the block was not among those that were fetched.

        Raises ``ValueError`` before anything was fetched.
        """
        if self._scores is None:
            raise ValueError("No scores were fetched: call fetch_scores(locations) first.")
        return self._scores.get(self._text(location))

    def __contains__(self, location: UsageKey) -> bool:
        return self._scores is not None and self._text(location) in self._scores

    def _text(self, location: UsageKey) -> str:
        return key_text(in_course(location, self.course_key))


def set_score(
    user_id: int,
    usage_key: UsageKey,
    score: float | None,
    max_score: float | None,
    *,
    using: str | None = None,
) -> datetime:
    """Set a learner's score at a block, and none of its fields; when it was saved, aware, UTC.

    ``None`` for both takes the score away. Raises what ``Store.save`` raises: ``InvalidValueError`` for one
    ``None``, or for what is not a finite number.
    """
    receipt = Store(using).save(user_id, {}, grades={usage_key: Grade(score, max_score)}, origin="set_score")
    return receipt.states[usage_key].modified

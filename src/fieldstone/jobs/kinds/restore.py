"""States are made what they were at a moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds.base import Chunk, Kind, Task, option
from fieldstone.jobs.kinds.earlier import outcome_of
from fieldstone.jobs.outcomes import Outcome, Skip
from fieldstone.store import Store

HOW_TO_WRITE_IT = 'It is written with its time zone, such as "2026-03-31T23:59:00+02:00".'


@dataclass(frozen=True)
class Restore(Kind):
    """Each state is what it was at a moment; one that was not there yet is emptied, and the history stays."""

    name = "restore"
    action_name = "restored"
    scope: ClassVar[Literal["stored"]] = "stored"

    moment: str = option(f"when. {HOW_TO_WRITE_IT}")

    def __post_init__(self) -> None:
        self._moment()

    def check(self, usage_keys: Sequence[UsageKey], whose: Sequence[int] | None) -> None:
        if self._moment() > timezone.now():
            raise JobRefusedError(f"The moment {self.moment} is yet to come. {HOW_TO_WRITE_IT}")

    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        moment = self._moment()
        # Nobody's history is read who has not saved since: each save is later than the one before.
        asked = {learner_id: moment for learner_id, state in chunk.items() if state.modified > moment}
        found = Store(Store().using).at_many(chunk.usage_key, asked)  # where it is written, and not a replica
        for learner_id, state in chunk.items():
            if learner_id in found:
                yield learner_id, outcome_of(learner_id, chunk.usage_key, state, found[learner_id])
            else:
                yield learner_id, Skip()

    def _moment(self) -> datetime:
        """Raises ``JobRefusedError``."""
        if not self.moment:
            raise JobRefusedError(f"To which moment? {HOW_TO_WRITE_IT}")
        try:
            moment = datetime.fromisoformat(self.moment)
            if moment.utcoffset() is not None:
                return moment.astimezone(UTC)
        except (ValueError, TypeError, OverflowError) as error:
            raise JobRefusedError(f"{self.moment!r} is no moment. {HOW_TO_WRITE_IT}") from error
        raise JobRefusedError(f"The moment {self.moment} has no time zone. {HOW_TO_WRITE_IT}")

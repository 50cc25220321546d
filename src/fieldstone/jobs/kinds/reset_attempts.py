"""Attempts at problems are counted from zero again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fieldstone.jobs.kinds.base import Chunk, Kind, Task
from fieldstone.jobs.outcomes import Change, Outcome, Skip
from fieldstone.store.bulk import LearnerSave


@dataclass(frozen=True)
class ResetAttempts(Kind):
    """Answers and grades stay; who has no attempts is skipped."""

    name = "reset-attempts"
    action_name = "reset"

    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        for learner_id, state in chunk.items():
            attempts = state.fields.get("attempts", 0)
            if not attempts:
                yield learner_id, Skip()
                continue
            save = LearnerSave.of(
                learner_id,
                {chunk.usage_key: {"attempts": 0}},
                expected={chunk.usage_key: state.revision or 0},
            )
            yield learner_id, Change(save, f"attempts: {attempts} to 0")

"""What a learner did at a block is taken away: fields, and the grade. The history stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fieldstone.jobs.kinds.base import Chunk, Kind, Task
from fieldstone.jobs.outcomes import Change, Outcome, Skip
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.states import NO_GRADE
from fieldstone.values import DELETED


@dataclass(frozen=True)
class DeleteState(Kind):
    """Who has no fields and no grade is skipped."""

    name = "delete-state"
    action_name = "deleted"

    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        for learner_id, state in chunk.items():
            if not state.fields and state.grade is None:
                yield learner_id, Skip()
                continue
            save = LearnerSave.of(
                learner_id,
                {chunk.usage_key: dict.fromkeys(state.fields, DELETED)},
                {chunk.usage_key: NO_GRADE} if state.grade is not None else {},
                {chunk.usage_key: state.revision or 0},
            )
            yield learner_id, Change(save, f"{', '.join(state.fields) or 'the grade'} deleted")

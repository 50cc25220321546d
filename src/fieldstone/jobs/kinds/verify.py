"""States are compared with their histories; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from fieldstone.jobs.kinds.base import Chunk, Kind, Task
from fieldstone.jobs.outcomes import Done, Failure, Outcome, Skip
from fieldstone.store import Store
from fieldstone.store.verify_many import findings_at


@dataclass(frozen=True)
class Verify(Kind):
    """Each state is what its history adds up to, or it is listed with what disagrees; nothing is written."""

    name = "verify"
    action_name = "verified"
    scope: ClassVar[Literal["stored"]] = "stored"
    writes = False

    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        revisions = {learner_id: state.revision or 0 for learner_id, state in chunk.items()}
        found = findings_at(Store().using, chunk.usage_key, revisions)
        for learner_id, revision in revisions.items():
            if learner_id in found:
                yield learner_id, Failure(found[learner_id])
            else:
                yield learner_id, Done() if revision else Skip()

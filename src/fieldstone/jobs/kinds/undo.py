"""What a job has done is taken back, where nobody has done anything since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from fieldstone.jobs.kinds.base import Chunk, Kind, Task, option
from fieldstone.jobs.kinds.earlier import outcome_of
from fieldstone.jobs.outcomes import Failure, Outcome, Skip
from fieldstone.store import Store
from fieldstone.store.states import NO_STATE, State


@dataclass(frozen=True)
class Undo(Kind):
    """Each state is what it was before the job; a learner whose state has changed since is left, and listed."""

    name = "undo"
    action_name = "restored"
    scope: ClassVar[Literal["stored"]] = "stored"

    job: int = option("the job whose work is taken back")

    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        store = Store(Store().using)  # where it is written: a replica may not have all of the job's revisions yet
        written = store.revisions_of_origin(f"job:{self.job}", chunk.usage_key, chunk.states)
        refused = {learner_id: _refusal(state, written.get(learner_id, ())) for learner_id, state in chunk.items()}
        before = {
            learner_id: revisions[0] - 1
            for learner_id, revisions in written.items()
            if refused[learner_id] is None and revisions[0] > 1
        }
        found = store.at_many(chunk.usage_key, before)
        for learner_id, state in chunk.items():
            earlier = found.get(learner_id, NO_STATE)  # there was none before the first revision
            yield learner_id, refused[learner_id] or outcome_of(learner_id, chunk.usage_key, state, earlier)


def _refusal(state: State, written: Sequence[int]) -> Skip | Failure | None:
    """Why a state is left as it is, given the revisions that are the job's; ``None`` if it is not."""
    if not written:
        return Skip()
    if written[-1] != state.revision:
        return Failure(f"It has changed since: revision {written[-1]} was the job's, and {state.revision} is now.")
    if written[-1] - written[0] >= len(written):
        return Failure(
            f"It has changed between two saves of the job: of the revisions {written[0]} to {written[-1]} not all"
            " are the job's."
        )
    return None

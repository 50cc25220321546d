"""Everything that is stored in a learning context is emptied: of some learners, or of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opaque_keys.edx.keys import UsageKey

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds.delete_state import DeleteState


@dataclass(frozen=True)
class ResetLearner(DeleteState):
    """All that some learners have done in a course, with grades and completions; the history stays."""

    name = "reset-learner"
    action_name = "reset"
    scope = "stored"

    def check(self, usage_keys: Sequence[UsageKey], whose: Sequence[int] | None) -> None:
        if not whose:
            raise JobRefusedError("Name the learners to reset. reset-course is for all of them.")


@dataclass(frozen=True)
class ResetCourse(DeleteState):
    """All that anybody has done in a course, with grades and completions; the history stays."""

    name = "reset-course"
    action_name = "reset"
    scope = "stored"

    def check(self, usage_keys: Sequence[UsageKey], whose: Sequence[int] | None) -> None:
        if whose is not None:
            raise JobRefusedError("reset-course is for all learners. reset-learner is for some.")

"""What the learners did, and what they were told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from opaque_keys.edx.keys import UsageKey


class Kind(Enum):
    """What a learner does; the value is how tables call it."""

    PAGE = "page"
    CHECK = "problem_check"
    SAVE = "problem_save"
    VOTE = "vote"
    WORDS = "words"
    DONE = "done"


class Outcome(Enum):
    """What became of it, as far as the learner knows."""

    ACKNOWLEDGED = "acknowledged"  # it has to be stored
    REFUSED = "refused"  # the learner was told so: it must not be stored
    UNANSWERED = "unanswered"  # the connection broke: either


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a learner did."""

    learner_id: int
    kind: Kind
    usage_key: UsageKey
    said: str  # the answer, choice or word; of answers no two are the same
    is_right: bool = False  # an answer
    outcome: Outcome = Outcome.UNANSWERED


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered request."""

    kind: Kind
    seconds: float  # from the first byte sent to the last received
    queries: int | None  # None: the server does not say


@dataclass
class Journal:
    """All of it, in the order in which it was over."""

    actions: list[Action] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # what was refused or unanswered, and why
    stale: list[str] = field(default_factory=list)  # pages that did not show what had been acknowledged
    at: dict[int, Callable[[], None]] = field(default_factory=dict)
    """What to call when so many actions are over."""

    def add(self, action: Action) -> None:
        self.actions.append(action)
        if call := self.at.pop(len(self.actions), None):
            call()

"""What becomes of one learner's state in a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fieldstone.store.bulk import LearnerSave


@dataclass(frozen=True)
class Change:
    """It is saved. ``would`` is what a dry run says instead."""

    save: LearnerSave
    would: str
    events: Sequence[Callable[[], None]] = ()  # called once it is saved; each tells somebody after the commit


@dataclass(frozen=True)
class Done:
    """It succeeded, and nothing is saved: of a kind that only looks."""


@dataclass(frozen=True)
class Skip:
    """There is nothing to do."""


@dataclass(frozen=True)
class Failure:
    """It cannot be done, for this learner alone."""

    reason: str


Outcome: TypeAlias = Change | Done | Skip | Failure

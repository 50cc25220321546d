"""What the stage saw of one run."""

from __future__ import annotations

from dataclasses import dataclass, field

from fieldstone.testing.races.actors import Turn
from fieldstone.testing.races.exploring import Choice, preemptions
from fieldstone.testing.races.report import LockWait, Outcome, Step


@dataclass(frozen=True, slots=True)
class Deadlock:
    """A circle of waits."""

    victim: Turn
    """The step that was told."""
    waits: tuple[tuple[str, tuple[str, ...]], ...]
    """Who waited for whom."""


@dataclass(slots=True)
class Performance:
    """One run, as it went: filled while it goes."""

    choices: list[Choice] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    deadlocks: list[Deadlock] = field(default_factory=list)

    @property
    def order(self) -> str:
        return "".join(turn.actor for turn in self.turns)

    @property
    def preemptions(self) -> int:
        return preemptions(self.choices)

    def steps(self) -> tuple[Step, ...]:
        return tuple(turn.step() for turn in self.turns)

    def lock_waits(self) -> tuple[LockWait, ...]:
        return tuple(
            LockWait(self.order, step.actor, step.waited_for, step.sql, step.place)
            for step in self.steps()
            if step.waited_for
        )

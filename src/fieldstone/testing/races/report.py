"""What a race found: values, and the errors that carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from fieldstone.testing.places import Place

Kind = Literal["lost update", "anomaly", "deadlock", "error"]
KINDS: tuple[Kind, ...] = ("lost update", "anomaly", "deadlock", "error")


class RaceError(AssertionError):
    """The race could not be run, or not to its end: what stood in its way, and what to do."""


class RaceFound(AssertionError):
    """Steps that run at once do what they do not do one after the other. Its ``report`` has all of it."""

    def __init__(self, text: str, report: RaceReport) -> None:
        super().__init__(text)
        self.report = report


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of an actor: a statement, or the end of a transaction."""

    actor: str
    """Its letter, by position: ``a``, ``b``, ..."""
    alias: str
    """Of the database."""
    sql: str
    """With its values, shortened; ``COMMIT`` or ``ROLLBACK`` for the end of a transaction."""
    place: Place
    """Where the code under test asked for it."""
    waited_for: tuple[str, ...] = ()
    """The actors whose locks it had to wait for, as far as the database tells; empty if it went through."""
    error: BaseException | None = None
    """What the statement itself raised."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an actor came out of an interleaving."""

    value: Any = None
    """What its function returned."""
    error: BaseException | None = None
    """What its function raised."""


@dataclass(frozen=True, slots=True)
class LockWait:
    """A statement that had to wait for another actor. That is how locks work, and no failure."""

    order: str
    """The interleaving."""
    actor: str
    """Who waited."""
    waited_for: tuple[str, ...]
    """For whom, as far as the database tells."""
    sql: str
    """The statement that waited."""
    place: Place
    """Where it was asked for."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows of a table (or what ``observe`` gave) that are not as one of the serial orders leaves them."""

    table: str
    """Empty for what ``observe`` gave."""
    expected: tuple[str, ...]
    """Rows that are missing."""
    found: tuple[str, ...]
    """Rows that are there in their place."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that this interleaving does and no serial order does."""

    kind: Kind
    """Of ``KINDS``; ``anomaly`` is an end state that no serial order gives, not even of some of the actors."""
    order: str
    """The interleaving."""
    actors: tuple[str, ...]
    """Whose update was lost; who raised; the victim of a deadlock; all of them for an anomaly."""
    error: BaseException | None = None
    """What an actor raised, or what the victim of a deadlock was told."""
    waits: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of a deadlock: who waited for whom."""
    after: str = ""
    """The serial order that comes closest to the end state, for instance ``ab``."""
    differences: tuple[Difference, ...] = ()
    """How the end state differs from that order's."""
    tables: tuple[str, ...] = ()
    """Where the update was lost, if other tables have what the same actors wrote there."""


@dataclass(frozen=True, slots=True)
class Interleaving:
    """One run of all the actors."""

    order: str
    """Whose turn it was, one letter a turn, as ``race(order=...)`` takes it."""
    steps: tuple[Step, ...]
    """What was done in each turn."""
    outcomes: Mapping[str, Outcome]
    """By letter."""
    lock_waits: tuple[LockWait, ...] = ()
    """Statements that had to wait."""
    passed_over: tuple[int, ...] = ()
    """Turns of a declared order, counted from 1, whose actor was waiting for a lock: they were left out."""
    state: Any = None
    """The end state: by table the rows that differ from before, or what ``observe`` gave."""
    findings: tuple[Finding, ...] = ()
    """What no serial order does."""
    preemptions: int = 0
    """How often an actor lost its turn although it could have gone on."""


@dataclass(frozen=True)
class RaceReport:
    """What ``race`` saw."""

    engine: str
    """For instance ``PostgreSQL``; several, with commas, where it ran on several databases."""
    names: Mapping[str, str]
    """By letter the name of the function."""
    interleavings: tuple[Interleaving, ...]
    """Those that were run, in the order they were tried."""
    limit_reached: bool = False
    """There are more than were tried."""
    allow: tuple[Kind | type[BaseException], ...] = field(default=())
    """What is no failure here."""
    left_out: tuple[str, ...] = ()
    """Columns, as ``table.column``, that were not compared: two runs in the same order differ there."""

    @cached_property
    def findings(self) -> list[Finding]:
        """Of all the interleavings, allowed or not."""
        return [finding for each in self.interleavings for finding in each.findings]

    @property
    def failures(self) -> list[Finding]:
        """The findings that are not allowed."""
        return [finding for finding in self.findings if not self.is_allowed(finding)]

    @property
    def lost_updates(self) -> list[Finding]:
        """End states as if some of the actors that succeeded had never run."""
        return self._of("lost update")

    @property
    def anomalies(self) -> list[Finding]:
        """End states that no serial order gives."""
        return self._of("anomaly")

    @property
    def deadlocks(self) -> list[Finding]:
        """Circles of waits that the database had to break."""
        return self._of("deadlock")

    @property
    def errors(self) -> list[Finding]:
        """Exceptions of an actor that it raises in no serial order; those of deadlocks are in ``deadlocks``."""
        return self._of("error")

    @cached_property
    def lock_waits(self) -> list[LockWait]:
        """Of all the interleavings."""
        return [wait for each in self.interleavings for wait in each.lock_waits]

    def is_allowed(self, finding: Finding) -> bool:
        kinds = [each for each in self.allow if isinstance(each, str)]
        classes = tuple(each for each in self.allow if not isinstance(each, str))
        return finding.kind in kinds or isinstance(finding.error, classes)

    def _of(self, kind: Kind) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == kind]

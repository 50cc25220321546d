"""Load the two tables, look at the plans, and time the same work in both, in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from bench.databases import Database, beside
from bench.floors import PostgreSQLFloor
from bench.measuring import Budget, Comparison, compare
from bench.rows import MismatchError
from bench.scale.load import BLOCKS, Site, load
from bench.scale.plans import Plan, plans
from bench.scale.works import STRANGERS, WORKS, Ground, SizedWork, ground, strangers

NAME = "size"
STATES = 10_000_000
SMALL_LEARNERS = 10  # with 1,000 states each; half of them are of the course that is looked at
LIMIT = 1.3

Loading = Callable[[str, int], Callable[[int], None]]
"""Given what is loaded and how many states that is, shows it; gives what is told how many more are there."""


@dataclass(frozen=True)
class Scale:
    """Results: works with their times, and the plans at the large size."""

    works: Sequence[tuple[str, Comparison, float | None]]  # title, ours is the large table, limit
    plans: Sequence[Plan]
    small: Site
    large: Site

    @property
    def loaded(self) -> str:
        """What the large table holds, and what was seen of it."""
        statements, bad = len({plan.statement for plan in self.plans}), sum(plan.reads_all for plan in self.plans)
        return (
            f"Loaded: {self.large.states:,} states of {self.large.all_learners:,} learners and as many revisions;"
            f" the database is {self.large.bytes / 1e9:.1f} GB. {statements} statements with"
            f" {len(self.plans)} plans, of which {bad or 'none'} read a table or an index from end to end."
        )


def measure(database: Database, states: int, budget: Budget, loading: Loading) -> Scale:
    with beside(database, "large") as floor:
        small = _loaded(database.floor, "default", SMALL_LEARNERS, loading)
        large = _loaded(floor, "large", max(SMALL_LEARNERS, states // BLOCKS), loading)
        found = plans(large)
        known = ground(small), ground(large)
        unknown = strangers(small), strangers(large)
        return Scale(
            [
                *((work.title, _compared(work, *known, budget), LIMIT) for work in WORKS),
                *(
                    (f"{w.title}, each time another learner", _compared(w, *unknown, budget), None)
                    for w in STRANGERS
                ),
            ],
            found,
            small,
            large,
        )


def _loaded(floor: Any, alias: str, learners: int, loading: Loading) -> Site:
    advance = loading(f"loading {learners * BLOCKS:,} states", learners * BLOCKS)
    return load(cast(PostgreSQLFloor, floor), alias, learners, advance)


def _compared(work: SizedWork, small: Ground, large: Ground, budget: Budget) -> Comparison:
    sides: list[Any] = [work.make(large), work.make(small)]
    found = [len(side()) for side in sides]
    if found != [work.rows] * 2:
        raise MismatchError(f"{work.title}: {found} rows, where {work.rows} were expected.")
    return compare(sides[0], sides[1], budget)

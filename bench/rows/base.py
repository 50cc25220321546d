"""What a row of the table is: our side, the floor's, and what both must agree on.

Our side runs as in a process that has served the course before: usage keys are interned. Its sides are called
equally often, so that what they store can be compared when the clock has stopped, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.measuring import Work
from bench.workload import Fill, Workload, fill

STORE, XBLOCK, CLIENT = "Store", "FieldDataCache", "user state client"


class MismatchError(Exception):
    """Ours and the floor do not hold the same data: their times cannot be compared."""


@dataclass(frozen=True)
class Pair:
    """Both sides of a row, and what each of them has stored or fetched, whole."""

    ours: Work
    floor: Work
    seen_by_ours: Callable[[], object]
    seen_by_floor: Callable[[], object]

    def check(self) -> None:
        """Raises ``MismatchError``."""
        if self.seen_by_ours() != self.seen_by_floor():
            raise MismatchError("Ours and the floor do not hold the same data.")


@dataclass(frozen=True)
class Row:
    """A line of the table. ``limits`` are our time over the floor's, at most, by engine."""

    name: str
    title: str
    through: str
    limits: Mapping[str, float]
    pair: Callable[[Workload], Pair]
    fill: Fill  # rows with the same share a database
    least_rounds: int


ROWS: dict[str, Row] = {}


def row(
    name: str,
    title: str,
    through: str,
    *,
    postgresql: float,
    sqlite: float,
    data: Fill = fill,
    least_rounds: int = 15,
) -> Callable[[Any], Any]:
    """Add a row to the table. MariaDB is held to SQLite's limits: there, too, a save is more than a statement."""
    limits = {"postgresql": postgresql, "prepared": postgresql, "sqlite": sqlite, "mariadb": sqlite}

    def add(pair: Callable[[Workload], Pair]) -> Callable[[Workload], Pair]:
        ROWS[name] = Row(name, title, through, limits, pair, data, least_rounds)
        return pair

    return add

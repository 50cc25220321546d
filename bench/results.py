"""What a run found: rows that compare times, the page, amounts, a large table, regions, and the test kit."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field

import django

from bench.kit import MOST_SECONDS, Added
from bench.measuring import Comparison, Quartiles
from bench.page import PageCost
from bench.regions import Measured
from bench.rows import Row
from bench.scale import Plan
from bench.weighing import Amount


def verdict_on(found: Comparison, limit: float) -> str:
    """Judged by the interval: a limit inside it is neither met nor missed."""
    low, high = found.interval
    if high <= limit:
        return "met"
    return "not yet" if low > limit else "too close to say"


@dataclass(frozen=True)
class RowResult:
    """A row on an engine."""

    engine: str
    row: Row
    comparison: Comparison

    @property
    def limit(self) -> float:
        return self.row.limits[self.engine]

    @property
    def verdict(self) -> str:
        return verdict_on(self.comparison, self.limit)


@dataclass(frozen=True)
class PageResult:
    engine: str
    cost: PageCost


@dataclass(frozen=True)
class SizeResult:
    """The same work in a large table (ours, in the comparison) and in a small one (the floor)."""

    title: str
    small: int  # states
    large: int
    comparison: Comparison
    limit: float | None  # None is for looking

    @property
    def verdict(self) -> str:
        return "" if self.limit is None else verdict_on(self.comparison, self.limit)


@dataclass(frozen=True)
class RegionResult:
    """A row of regions or locks, on a server or a database."""

    server: str
    found: Measured

    @property
    def verdict(self) -> str:
        found = self.found
        if found.most_seconds is not None:
            ours = found.comparison.ours
            return verdict_on(Comparison(ours, [found.most_seconds] * len(ours)), 1.0)
        return "" if found.limit is None else verdict_on(found.comparison, found.limit)


@dataclass(frozen=True)
class KitResult:
    """What a tool of the test kit adds to a test."""

    engine: str
    added: Added

    @property
    def more(self) -> float:
        """Seconds, of the medians."""
        found = self.added.comparison
        return Quartiles.of(found.ours).median - Quartiles.of(found.floor).median

    @property
    def verdict(self) -> str:
        ours, floor = self.added.comparison.ours, self.added.comparison.floor
        return verdict_on(Comparison(ours, [seconds + MOST_SECONDS for seconds in floor]), 1.0)


@dataclass
class Report:
    """All results of one run."""

    versions: list[str] = field(default_factory=list)
    rows: list[RowResult] = field(default_factory=list)
    pages: list[PageResult] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)
    sizes: list[SizeResult] = field(default_factory=list)
    regions: list[RegionResult] = field(default_factory=list)
    kit: list[KitResult] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)  # at the large size
    loaded: str = ""  # what the large table holds

    @property
    def setting(self) -> str:
        """Versions and machine in a line."""
        python = f"{platform.python_implementation()} {platform.python_version()}"
        return ", ".join((*self.versions, f"Django {django.__version__}", python, f"{os.cpu_count()} cores"))

"""What is weighed and not timed: bytes on disk, and memory; each in a new database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from bench.databases import Database
from bench.workload import Volume


@dataclass(frozen=True)
class Amount:
    """Something that was weighed, on one engine."""

    name: str
    title: str
    engine: str
    value: float
    unit: str
    limit: float | None  # at most; None is for looking
    note: str  # what it is made of

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "met" if self.value <= self.limit else "not yet"


Weigh: TypeAlias = Callable[[Database, Volume], list[Amount]]

AMOUNTS: dict[str, Weigh] = {}


def amount(name: str) -> Callable[[Weigh], Weigh]:
    """Add something to be weighed, under the name that ``--row`` takes."""

    def add(weigh: Weigh) -> Weigh:
        AMOUNTS[name] = weigh
        return weigh

    return add

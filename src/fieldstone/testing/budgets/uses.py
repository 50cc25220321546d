"""What the named budgets of a run were measured to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Numbers = dict[str, int]
"""Queries by database alias, without those that have none."""
Named = dict[str, Numbers]


@dataclass(slots=True)
class Uses:
    """All uses of each name. Only plain values are in it, so that processes can hand it to each other."""

    most: Named = field(default_factory=dict)
    exact: Named = field(default_factory=dict)
    """Of the names that are exact somewhere, what the first such use took."""
    differing: dict[str, list[Numbers]] = field(default_factory=dict)
    """Of an exact name that took now this and now that: two such numbers. None is right for all its uses."""

    def add(self, name: str, used: Mapping[str, int], *, exact: bool) -> bool:
        """Whether these are more than the most so far, or the first."""
        numbers = {alias: count for alias, count in used.items() if count}
        is_more = keep_most(self.most, name, numbers)
        if exact:
            self.exact.setdefault(name, numbers)
        if name in self.exact and name not in self.differing:
            first, most = self.exact[name], self.most[name]
            other = numbers if exact and numbers != first else most
            if other != first:
                self.differing[name] = [first, other]
        return is_more

    def join(self, other: Uses) -> None:
        """What another process has measured."""
        for name, numbers in other.most.items():
            self.add(name, other.exact.get(name, numbers), exact=name in other.exact)
            self.add(name, numbers, exact=False)
        for name, two in other.differing.items():
            self.differing.setdefault(name, two)

    @property
    def recordable(self) -> Named:
        """Without those that differ."""
        return {name: numbers for name, numbers in self.most.items() if name not in self.differing}

    @property
    def data(self) -> dict[str, Any]:
        """For ``Uses(**data)`` in another process."""
        return {"most": self.most, "exact": self.exact, "differing": self.differing}


def keep_most(measured: Named, name: str, numbers: Mapping[str, int]) -> bool:
    """Whether these are more than what was measured under the name so far, which then has the most of both."""
    before = measured.get(name)
    most = {**(before or {})}
    for alias, used in numbers.items():
        if used:
            most[alias] = max(used, most.get(alias, 0))
    measured[name] = most
    return most != before


def in_words(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{alias} {count}" for alias, count in sorted(numbers.items())) or "no query"

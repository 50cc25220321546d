"""Circles among those who wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

Waits = Mapping[str, Collection[str]]
"""By actor, those it waits for."""


def has_circle(waits: Waits) -> bool:
    return any(reaches(waits, each, each) for each in waits)


def reaches(waits: Waits, start: str, goal: str) -> bool:
    """Whether ``start`` waits for ``goal``, or for one who waits for it, and so on."""
    seen: set[str] = set()
    queue = list(waits.get(start, ()))
    while queue:
        actor = queue.pop()
        if actor == goal:
            return True
        if actor not in seen:
            seen.add(actor)
            queue.extend(waits.get(actor, ()))
    return False


def circle(waits: Waits, closers: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Who waited for whom, when the first of ``closers`` that can have closed a circle did.

    The closer waits for one of those who wait for it: which, the engine has told nobody once the circle is broken.
    """
    for closer in closers:
        members = sorted(each for each in waits if each != closer and reaches(waits, each, closer))
        if members:
            inside = {*members, closer}
            others = [(each, tuple(sorted(inside.intersection(waits[each])))) for each in members]
            return (*others, (closer, tuple(members)))
    return ()

"""In which orders actors can take turns: all of them, those with the fewest preemptions first."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PATIENCE = 100
"""Turns that an actor takes on end while another one could: code that polls would otherwise go on for ever."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One turn: who could have had it, and who had it."""

    ready: tuple[int, ...]
    """Positions of the actors that stood at a gate, in ascending order."""
    taken: int
    """The one of them that was let through."""


Play = Callable[[Sequence[int]], Sequence[Choice]]
"""Runs the actors from the beginning: the turns given, then ``by_default``. Gives back all turns there were."""


def by_default(ready: Sequence[int], before: Sequence[int]) -> int:
    """Whose turn it is after the turns ``before``: the same one's while it can, else the first that can."""
    if before and before[-1] in ready:
        recent = before[-PATIENCE:]
        if len(recent) < PATIENCE or len(set(recent)) > 1:
            return before[-1]
        return next((each for each in ready if each != before[-1]), before[-1])
    return ready[0]


def preemptions(choices: Sequence[Choice]) -> int:
    """How often an actor lost its turn although it could have gone on."""
    pairs = itertools.pairwise(choices)
    return sum(now.taken != before.taken and before.taken in now.ready for before, now in pairs)


def explore(play: Play, limit: int) -> bool:
    """Play every order once, at most ``limit`` of them; gives back whether there were more.

    Nothing is kept of a run but its turns: another order is tried by playing the turns up to a choice again, and
    choosing otherwise there. An order that was played differently than asked for may come twice.
    """
    queue: list[tuple[int, int, tuple[int, ...]]] = [(0, 0, ())]
    number = 0
    for _ in range(limit):
        _, _, asked = heapq.heappop(queue)
        choices = play(asked)
        for at in range(len(asked), len(choices)):
            turns = tuple(choice.taken for choice in choices[:at])
            for other in choices[at].ready:
                if other != choices[at].taken:
                    number += 1
                    cost = preemptions([*choices[:at], Choice(choices[at].ready, other)])
                    heapq.heappush(queue, (cost, number, (*turns, other)))
        if not queue:
            return False
    return True

"""The work that must take as long in a large table as in a small one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice
from typing import Any, NamedTuple, TypeAlias

from bench.measuring import Work
from bench.scale.load import Site
from bench.workload import COURSE
from fieldstone.store.store import Store

LEARNERS = 5
"""Who take turns: as many as the small table has in the course, so that caches have as much to keep of both."""

REVISIONS = 50
SCANNED = 1_000


@dataclass(frozen=True)
class Ground:
    """A site and the learners who work on it."""

    site: Site
    store: Store
    turns: Iterator[int]


def ground(site: Site) -> Ground:
    """The learners are spread over the whole table; each has a long history at the last block."""
    learners = site.learners[:: len(site.learners) // LEARNERS][:LEARNERS]
    store = Store(site.alias)
    for learner in learners:
        for value in range(REVISIONS - 1):
            store.save(learner, {site.keys[-1]: {"attempts": value}}, origin="bench")
    return Ground(site, store, cycle(learners))


def strangers(site: Site) -> Ground:
    """The same with another learner at each call, whose rows the server has not in its buffers."""
    rng = random.Random(1)
    return Ground(site, Store(site.alias), (rng.choice(site.learners) for _ in count()))


def _prefetch(number: int) -> Callable[[Ground], Work]:
    def made(at: Ground) -> Work:
        keys = at.site.keys[:number]
        return lambda: at.store.read(next(at.turns), keys)

    return made


def _save(number: int) -> Callable[[Ground], Work]:
    def made(at: Ground) -> Work:
        keys, value = at.site.keys[:number], count(10)

        def save() -> Any:
            attempts = next(value)
            return at.store.save(
                next(at.turns), {key: {"attempts": attempts} for key in keys}, origin="bench"
            ).states

        return save

    return made


def _history(at: Ground) -> Work:
    return lambda: at.store.history(next(at.turns), at.site.keys[-1])


def _scan(at: Ground) -> Work:
    return lambda: list(islice(at.store.scan(context=COURSE, batch=SCANNED), SCANNED))


class SizedWork(NamedTuple):
    """``make`` gives the call for a site; what that returns has a length, the same on both."""

    title: str
    make: Callable[[Ground], Work]
    rows: int


Works: TypeAlias = tuple[SizedWork, ...]

WORKS: Works = (
    SizedWork("prefetch of 1,000 blocks", _prefetch(1_000), 1_000),
    SizedWork("prefetch of 10 blocks", _prefetch(10), 10),
    SizedWork("save of one field with history", _save(1), 1),
    SizedWork("save of 1 field in each of 20 blocks", _save(20), 20),
    SizedWork("history of 50 revisions", _history, REVISIONS),
    SizedWork("one batch of a scan, 1,000 states", _scan, SCANNED),
)
"""On the grounds of learners who take turns."""

STRANGERS: Works = (WORKS[0], WORKS[1])

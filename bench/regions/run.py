"""The rows: what each does on both sides, and what both must hold before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.databases import Database
from bench.measuring import Budget, Comparison, compare
from bench.regions.base import OURS, Cache, Locker, Server, key
from bench.rows import MismatchError, Pair

MANY = 1_000
HANDOFF = "lock-handoff"
HANDOFF_SECONDS = 0.001


class Measured(NamedTuple):
    """One row: ``who`` beside the floor. The limit is of the ratio, or of our own median in seconds."""

    name: str
    title: str
    who: str
    floor: str
    comparison: Comparison
    limit: float | None = None
    most_seconds: float | None = None


@dataclass(frozen=True)
class Work:
    """``limits`` are our time over the floor's, at most, by server; where there is none it is for looking."""

    title: str
    limits: dict[str, float]
    pair: Callable[[Any, Any], Pair]


def _value(number: int) -> dict[str, Any]:
    return {"attempts": number, "answers": ["a", "b"], "seed": None}


def _stored(cache: Cache, count: int) -> list[Any]:
    """What is there, which must be what was set."""
    values = cache.get_many([key(cache.title, number) for number in range(count)])
    if values != [_value(number) for number in range(count)]:
        raise MismatchError(f"{cache.title}: {values} is not what was set.")
    return values


def _fill(cache: Cache, count: int) -> list[str]:
    keys = [key(cache.title, number) for number in range(count)]
    for number, name in enumerate(keys):
        cache.set(name, _value(number))
    return keys


def _caches(ours: Cache, floor: Cache, count: int, work: Callable[[Cache], Callable[[], object]]) -> Pair:
    return Pair(work(ours), work(floor), lambda: _stored(ours, count), lambda: _stored(floor, count))


def _getting(ours: Cache, floor: Cache) -> Pair:
    def work(cache: Cache) -> Callable[[], object]:
        (name,), get = _fill(cache, 1), cache.get
        return lambda: get(name)

    return _caches(ours, floor, 1, work)


def _setting(ours: Cache, floor: Cache) -> Pair:
    def work(cache: Cache) -> Callable[[], object]:
        name, value, set_ = key(cache.title), _value(0), cache.set
        set_(name, "another")
        return lambda: set_(name, value)

    return _caches(ours, floor, 1, work)


def _getting_many(ours: Cache, floor: Cache) -> Pair:
    def work(cache: Cache) -> Callable[[], object]:
        names, get_many = _fill(cache, MANY), cache.get_many
        return lambda: get_many(names)

    return _caches(ours, floor, MANY, work)


def _locking(ours: Locker, floor: Locker) -> Pair:
    def work(locker: Locker) -> Callable[[], object]:
        name, acquire, release = key(f"lock {locker.title}"), locker.acquire, locker.release
        return lambda: release(acquire(name))

    return Pair(work(ours), work(floor), lambda: _locked(ours), lambda: _locked(floor))


def _locked(locker: Locker) -> tuple[bool, bool]:
    """Whether it is held between acquisition and release, and after; it must be so, and then not."""
    name = key(f"lock {locker.title}")
    held = locker.acquire(name)
    between = locker.is_held(name)
    locker.release(held)
    if not between or locker.is_held(name):
        raise MismatchError(f"{locker.title} does not hold its lock, or does not let it go.")
    return between, False


WORKS = {
    "region-get": Work("get of a small value", {"redis": 1.15, "memcached": 1.25}, _getting),
    "region-set": Work("set of a small value", {"redis": 1.15, "memcached": 1.25}, _setting),
    "region-get-1000": Work(f"get of {MANY:,} keys at once", {"redis": 1.5, "memcached": 1.5}, _getting_many),
    "lock": Work("lock, acquire and release", {"redis": 1.15}, _locking),
}
NAMES = (*WORKS, HANDOFF)
_OF_LOCKS = ("lock", HANDOFF)


def names_on(server: str) -> Sequence[str]:
    """The rows that there are on a server or a database."""
    return NAMES if server == "redis" else [name for name in NAMES if name not in _OF_LOCKS]


def on_database(database: Database) -> Server:
    from bench.regions.database import server  # imports models, which the other servers do without

    return server(database)


def measure(name: str, server: Server, budget: Budget) -> Iterator[Measured]:
    """A row, and the peers' after it: each with the floor, in turns."""
    if name == HANDOFF:
        yield from _handoffs(server, budget)
        return
    work = WORKS[name]
    floor, *others = server.lockers if name in _OF_LOCKS else server.caches
    for other in others:
        pair = work.pair(other, floor)
        pair.ours()
        pair.floor()
        pair.check()
        server.settle()
        comparison = compare(pair.ours, pair.floor, budget)
        pair.check()
        limit = work.limits.get(server.name) if other.title == OURS else None
        yield Measured(name, work.title, other.title, floor.title, comparison, limit)


def _handoffs(server: Server, budget: Budget) -> Iterator[Measured]:
    from bench.regions.handoff import handoffs  # needs Redis's clients

    samples = handoffs(server.address, budget)
    floor, *others = samples
    for who in others:
        most = HANDOFF_SECONDS if who == OURS else None
        comparison = Comparison(samples[who], samples[floor])
        yield Measured(HANDOFF, "lock, hand-off to a waiter", who, floor, comparison, most_seconds=most)

"""The rows of the table: each gives our side, the floor's, and what both must agree on.

Our side runs as in a process that has served the course before: usage keys are interned. Its sides are called
equally often, so that what they store can be compared when the clock has stopped, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from bench import blocks
from bench.floors import Saving
from bench.measuring import Work
from bench.workload import BLOCK_TYPES, COURSE, Workload, preference_fields
from fieldstone.store.places import Place, Preferences, Summary, UserInfo
from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache

STORE, XBLOCK = "Store", "FieldDataCache"


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
    """A line of the table. ``limits`` are DESIGN's: our time over the floor's, at most."""

    name: str
    title: str
    through: str
    limits: Mapping[str, float]
    pair: Callable[[Workload], Pair]


ROWS: dict[str, Row] = {}


def row(name: str, title: str, through: str, postgresql: float, sqlite: float) -> Callable[[Any], Any]:
    """Add a row to the table."""

    def add(pair: Callable[[Workload], Pair]) -> Callable[[Workload], Pair]:
        ROWS[name] = Row(name, title, through, {"postgresql": postgresql, "sqlite": sqlite}, pair)
        return pair

    return add


# Prefetching. Then one field of each block is asked for by the block's key, which ours decodes only now.


@row("prefetch-1000", "prefetch of 1,000 blocks", STORE, postgresql=1.2, sqlite=1.2)
def prefetch_1000(load: Workload) -> Pair:
    return _prefetch(load, 1_000)


@row("prefetch-1000-xblock", "prefetch of 1,000 blocks", XBLOCK, postgresql=1.2, sqlite=1.2)
def prefetch_1000_xblock(load: Workload) -> Pair:
    return _prefetch_xblock(load, 1_000)


@row("prefetch-1000-all", "prefetch of 1,000 blocks, every field read", STORE, postgresql=1.2, sqlite=1.2)
def prefetch_1000_all(load: Workload) -> Pair:
    """The harshest reading of the row: here ours decodes all that the floor decodes, field by field."""
    keys, ids = load.keys, load.ids

    def ours() -> list[dict[str, Any]]:
        return [dict(state.fields) for state in load.store.read(load.learner, keys).values()]

    def floor() -> list[dict[str, Any]]:
        return list(load.floor.read(load.learner, ids).values())

    return Pair(ours, floor, lambda: _sorted(ours()), lambda: _sorted(floor()))


@row("prefetch-10", "prefetch of 10 blocks", STORE, postgresql=1.5, sqlite=3.0)
def prefetch_10(load: Workload) -> Pair:
    return _prefetch(load, 10)


@row("prefetch-10-xblock", "prefetch of 10 blocks", XBLOCK, postgresql=1.5, sqlite=3.0)
def prefetch_10_xblock(load: Workload) -> Pair:
    return _prefetch_xblock(load, 10)


def _prefetch(load: Workload, number: int) -> Pair:
    keys, ids = load.keys[:number], load.ids[:number]

    def ours() -> list[Any]:
        states = load.store.read(load.learner, keys)
        return [states[key].fields["attempts"] for key in keys]

    def whole() -> list[dict[str, Any]]:
        states = load.store.read(load.learner, keys)
        return [dict(states[key].fields) for key in keys]

    return Pair(ours, _floor_prefetch(load, number), whole, lambda: _floor_states(load, ids))


def _prefetch_xblock(load: Workload, number: int) -> Pair:
    made, ids = blocks.problems(load, number), load.ids[:number]
    keys = [blocks.key_of(block, "attempts") for block in made]

    def ours() -> list[Any]:
        get = DjangoKeyValueStore(FieldDataCache(made, COURSE, load.user)).get
        return [get(key) for key in keys]

    def whole() -> list[dict[str, Any]]:
        store = DjangoKeyValueStore(FieldDataCache(made, COURSE, load.user))
        names = load.floor.read(load.learner, ids)
        asked = [
            [(name, key._replace(field_name=name)) for name in names[i]] for i, key in zip(ids, keys, strict=True)
        ]
        return [{name: store.get(key) for name, key in fields} for fields in asked]

    return Pair(ours, _floor_prefetch(load, number), whole, lambda: _floor_states(load, ids))


def _floor_prefetch(load: Workload, number: int) -> Callable[[], list[Any]]:
    ids = load.ids[:number]

    def floor() -> list[Any]:
        states = load.floor.read(load.learner, ids)
        return [states[usage]["attempts"] for usage in ids]

    return floor


def _floor_states(load: Workload, ids: list[int]) -> list[dict[str, Any]]:
    states = load.floor.read(load.learner, ids)
    return [states[usage] for usage in ids]


def _sorted(states: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, (sorted(state.items()) for state in states)))


SCOPES = "prefetch of 1,000 blocks in all four scopes"


@row("prefetch-scopes", SCOPES, STORE, postgresql=1.2, sqlite=1.2)
def prefetch_scopes(load: Workload) -> Pair:
    summaries = [Summary(key) for key in load.keys]
    preferences = [Preferences(block_type) for block_type in BLOCK_TYPES]
    places: list[Place] = [*load.keys, *summaries, *preferences, UserInfo()]

    def ours() -> list[Any]:
        states = load.store.read(load.learner, places)
        return [
            *(states[key].fields["attempts"] for key in load.keys),
            *(states[place].fields["votes"] for place in summaries),
            *(states[place].fields["speed"] for place in preferences),
            states[UserInfo()].fields["seen"],
        ]

    def floor() -> list[Any]:
        states, votes, chosen, info = load.floor.read_scopes(load.learner, load.ids, BLOCK_TYPES)
        return [
            *(states[usage]["attempts"] for usage in load.ids),
            *(votes[usage]["votes"] for usage in load.ids),
            *(chosen[block_type]["speed"] for block_type in BLOCK_TYPES),
            info["seen"],
        ]

    def whole() -> list[dict[str, Any]]:
        states = load.store.read(load.learner, places)
        return [dict(states[place].fields) for place in places]

    def floor_whole() -> list[dict[str, Any]]:
        states, votes, chosen, info = load.floor.read_scopes(load.learner, load.ids, BLOCK_TYPES)
        return [
            *(states[usage] for usage in load.ids),
            *(votes[usage] for usage in load.ids),
            *(chosen[block_type] for block_type in BLOCK_TYPES),
            info,
        ]

    return Pair(ours, floor, whole, floor_whole)


@row("prefetch-scopes-xblock", SCOPES, XBLOCK, postgresql=1.2, sqlite=1.2)
def prefetch_scopes_xblock(load: Workload) -> Pair:
    made = blocks.four_scopes(load)
    names = {"attempts": made, "votes": made, "speed": made[: len(BLOCK_TYPES)], "seen": made[:1]}
    keys = [blocks.key_of(block, name) for name, some in names.items() for block in some]

    def ours() -> list[Any]:
        get = DjangoKeyValueStore(FieldDataCache(made, COURSE, load.user)).get
        return [get(key) for key in keys]

    floor = prefetch_scopes(load).floor
    return Pair(ours, floor, ours, floor)


# Saving. Each call stores another value, so that no side can find that nothing has changed.


@row("save-one", "save of one field with history", STORE, postgresql=1.0, sqlite=1.5)
def save_one(load: Workload) -> Pair:
    key, value = load.keys[0], count(10)

    def ours() -> None:
        load.store.save(load.learner, {key: {"attempts": next(value)}}, origin="bench")

    return _saving(load, ours, 1)


@row("save-one-xblock", "save of one field with history", XBLOCK, postgresql=1.0, sqlite=1.5)
def save_one_xblock(load: Workload) -> Pair:
    made, value = blocks.problems(load, 1), count(10)
    store = DjangoKeyValueStore(FieldDataCache(made, COURSE, load.user))
    key = blocks.key_of(made[0], "attempts")

    def ours() -> None:
        store.set(key, next(value))

    return _saving(load, ours, 1)


@row("save-20", "save of 1 field in each of 20 blocks", STORE, postgresql=1.0, sqlite=1.5)
def save_20(load: Workload) -> Pair:
    keys, value = load.keys[:20], count(10)

    def ours() -> None:
        attempts = next(value)
        load.store.save(load.learner, {key: {"attempts": attempts} for key in keys}, origin="bench")

    return _saving(load, ours, 20)


@row("save-20-xblock", "save of 1 field in each of 20 blocks", XBLOCK, postgresql=1.0, sqlite=1.5)
def save_20_xblock(load: Workload) -> Pair:
    made, value = blocks.problems(load, 20), count(10)
    store = DjangoKeyValueStore(FieldDataCache(made, COURSE, load.user))
    keys = [blocks.key_of(block, "attempts") for block in made]

    def ours() -> None:
        store.set_many(dict.fromkeys(keys, next(value)))

    return _saving(load, ours, 20)


def _saving(load: Workload, ours: Work, number: int) -> Pair:
    """The floor saves the same attempts, in states that it has read before and of which it knows the revision."""
    keys, ids, value = load.keys[:number], load.ids[:number], count(10)
    states = load.floor.read(load.learner, ids)
    revisions = {usage: count(len(load.floor.history(load.learner, usage)) + 1) for usage in ids}

    def floor() -> None:
        delta = {"attempts": next(value)}
        savings = []
        for usage in ids:
            states[usage].update(delta)
            savings.append(Saving(usage, states[usage], next(revisions[usage]), delta))
        if number == 1:
            load.floor.save(load.learner, savings[0])
        else:
            load.floor.save_many(load.learner, savings)

    def seen_by_ours() -> list[Any]:
        stored = load.store.read(load.learner, keys)
        histories = [load.store.history(load.learner, key) for key in keys]
        return [*(dict(stored[key].fields) for key in keys), *([dict(r.changes) for r in h] for h in histories)]

    def seen_by_floor() -> list[Any]:
        return [*_floor_states(load, ids), *(load.floor.history(load.learner, usage) for usage in ids)]

    return Pair(ours, floor, seen_by_ours, seen_by_floor)


PREFERENCES = "save of 5 preferences"


@row("save-preferences", PREFERENCES, STORE, postgresql=1.0, sqlite=1.5)
def save_preferences(load: Workload) -> Pair:
    return _saving_preferences(load, _through_store(load), load.floor.save_preferences)


@row("save-preferences-at-once", f"{PREFERENCES}, floor in one statement", STORE, postgresql=1.0, sqlite=1.5)
def save_preferences_at_once(load: Workload) -> Pair:
    """The harshest floor: one statement of five rows that commits by itself."""
    return _saving_preferences(load, _through_store(load), load.floor.save_preferences_at_once)


@row("save-preferences-xblock", PREFERENCES, XBLOCK, postgresql=1.0, sqlite=1.5)
def save_preferences_xblock(load: Workload) -> Pair:
    block = blocks.four_scopes(load)[1]
    store = DjangoKeyValueStore(FieldDataCache([block], COURSE, load.user))
    speed = blocks.key_of(block, "speed")

    def save(fields: dict[str, Any]) -> None:
        store.set_many({speed._replace(field_name=name): value for name, value in fields.items()})

    return _saving_preferences(load, save, load.floor.save_preferences)


def _through_store(load: Workload) -> Callable[[dict[str, Any]], None]:
    def save(fields: dict[str, Any]) -> None:
        load.store.save(load.learner, {Preferences("poll"): fields}, origin="bench")

    return save


def _saving_preferences(load: Workload, save: Callable[[dict[str, Any]], None], floor_save: Any) -> Pair:
    ours_next, floor_next = _preferences(), _preferences()
    return Pair(
        ours=lambda: save(next(ours_next)),
        floor=lambda: floor_save(load.learner, "poll", next(floor_next)),
        seen_by_ours=lambda: dict(
            load.store.read(load.learner, [Preferences("poll")])[Preferences("poll")].fields
        ),
        seen_by_floor=lambda: load.floor.preferences(load.learner, "poll"),
    )


def _preferences() -> Iterator[dict[str, Any]]:
    return map(preference_fields, count(100))

"""Prefetching. Then one field of each block is asked for by the block's key, which ours decodes only now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import blocks
from bench.rows.base import STORE, XBLOCK, Pair, row
from bench.workload import BLOCK_TYPES, COURSE, Workload, floor_states
from fieldstone.store.places import Place, Preferences, Summary, UserInfo
from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache


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
        return [state.fields.as_dict() for state in load.store.read(load.learner, keys).values()]

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

    return Pair(ours, _floor_prefetch(load, number), whole, lambda: floor_states(load, ids))


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

    return Pair(ours, _floor_prefetch(load, number), whole, lambda: floor_states(load, ids))


def _floor_prefetch(load: Workload, number: int) -> Callable[[], list[Any]]:
    ids = load.ids[:number]

    def floor() -> list[Any]:
        states = load.floor.read(load.learner, ids)
        return [states[usage]["attempts"] for usage in ids]

    return floor


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

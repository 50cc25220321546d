"""Saving. Each call stores another value, so that no side can find that nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from bench import blocks
from bench.floors import Fields, Saving
from bench.measuring import Work
from bench.rows.base import STORE, XBLOCK, Pair, row
from bench.workload import COURSE, Workload, floor_states, preference_fields
from fieldstone.store.places import Preferences
from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache


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
        return [*floor_states(load, ids), *(_deltas(load, usage) for usage in ids)]

    return Pair(ours, floor, seen_by_ours, seen_by_floor)


def _deltas(load: Workload, usage: int) -> list[Fields]:
    return [delta for _, _, delta in load.floor.history(load.learner, usage)]


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

"""Getting what is cached: no database, so what costs is to find a value by its block's usage key."""

from __future__ import annotations

from typing import Any

from bench import blocks
from bench.rows.base import XBLOCK, Pair, row
from bench.workload import COURSE, Workload
from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache


@row("get", "cached get of a field, 1,000 blocks", XBLOCK, postgresql=1.5, sqlite=1.5)
def get(load: Workload) -> Pair:
    """The floor asks a dictionary by the usage keys that ours is given in its keys, and has the values at hand."""
    made = blocks.problems(load, 1_000)
    store = DjangoKeyValueStore(FieldDataCache(made, COURSE, load.user))
    keys = [blocks.key_of(block, "attempts") for block in made]
    at_hand = {key.block_scope_id: {"attempts": store.get(key)} for key in keys}

    def ours() -> list[Any]:
        return [store.get(key) for key in keys]

    def floor() -> list[Any]:
        return [at_hand[key.block_scope_id][key.field_name] for key in keys]

    return Pair(ours, floor, ours, floor)

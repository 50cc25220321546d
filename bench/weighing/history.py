"""Bytes of history a save: one small field of a block whose state is 2 KB, saved fifty times."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

from django.contrib.auth import get_user_model

from bench.databases import Database
from bench.floors import Fields, encode
from bench.weighing.base import Amount, amount
from bench.workload import Volume, block_id, course_keys, problem_state
from fieldstone.store.models import StudentModuleHistory
from fieldstone.store.store import Store
from fieldstone.store.tables import HISTORY, SNAPSHOT_EVERY

STATE_BYTES = 2_048
BLOCKS_A_SAVE = 20
ORIGIN = "handler:problem_check"
LIMIT = 120


@amount("history-bytes")
def history_bytes(database: Database, volume: Volume) -> list[Amount]:
    """Growth of the history's table and indexes over as many saves as there are from one snapshot to the next.

    Blocks are saved in turns, as learners do, so that the rows of one history lie apart and its index is filled
    in many places. The first save of each block, which is its whole state, is made before the weighing begins.
    """
    user, store = get_user_model().objects.create_user("learner"), Store()
    keys = course_keys(volume.saved_blocks)
    for n, key in enumerate(keys):
        store.save(user, {key: two_kilobytes(block_id(n))}, origin=ORIGIN)
    database.floor.settle()
    before = database.floor.bytes_of(HISTORY)
    for value in range(SNAPSHOT_EVERY):
        for start in range(0, len(keys), BLOCKS_A_SAVE):
            changes: dict[Any, Fields] = {key: {"attempts": value} for key in keys[start : start + BLOCKS_A_SAVE]}
            store.save(user, changes, origin=ORIGIN)
    grown = {part: size - before[part] for part, size in database.floor.bytes_of(HISTORY).items()}
    saves = SNAPSHOT_EVERY * len(keys)
    made_of = ", ".join(f"{size / saves:.0f} {part}" for part, size in grown.items())
    texts = _texts() / saves
    note = f"{made_of}; of the rows {texts:.0f} are the text of deltas and origins"
    total = sum(grown.values()) / saves
    return [Amount("history-bytes", "history bytes a save", database.engine, total, "bytes", LIMIT, note)]


def two_kilobytes(name: str) -> Fields:
    """The state of an answered problem that takes about 2 KB as JSON."""
    states = (problem_state(name, random.Random(f"{name}/{seed}")) for seed in count())
    return next(state for state in states if abs(len(encode(state)) - STATE_BYTES) <= STATE_BYTES // 20)


def _texts() -> int:
    """Bytes of all deltas and origins of the saves that were weighed; both are ASCII."""
    rows = StudentModuleHistory.objects.filter(revision__gt=1).values_list("delta", "origin")
    return sum(len(delta) + len(origin) for delta, origin in rows.iterator())

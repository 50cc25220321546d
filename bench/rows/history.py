"""The history of one block: the first save of its whole state, then of a field at a time."""

from __future__ import annotations

from typing import Any

from bench.floors import Saving
from bench.rows.base import STORE, Pair, row
from bench.workload import Workload, floor_states

REVISIONS = 50


@row("history-50", f"history of {REVISIONS} revisions", STORE, postgresql=1.5, sqlite=3.0)
def history_50(load: Workload) -> Pair:
    key, usage = load.keys[-1], load.ids[-1]
    (state,) = floor_states(load, [usage])
    for revision in range(2, REVISIONS + 1):
        delta = {"attempts": revision}
        state |= delta
        load.store.save(load.learner, {key: delta}, origin="bench")
        load.floor.save(load.learner, Saving(usage, state, revision, delta))

    def ours() -> list[Any]:
        return load.store.history(load.learner, key)

    def floor() -> list[Any]:
        return load.floor.history(load.learner, usage)

    return Pair(
        ours,
        floor,
        lambda: [(revision.number, dict(revision.changes)) for revision in ours()],
        lambda: [(number, delta) for number, _, delta in floor()],
    )

"""Many writers at once in one row, each in a process of its own, each with its own fields."""

from __future__ import annotations

from bench.floors import Fields
from bench.rows.base import STORE, Pair, row
from bench.workload import Workload
from bench.writing import Order, field_name, writers


class LostFieldsError(Exception):
    """A writer's save had returned, and its field is not there."""


@row(
    "writers",
    "8 writers x 200 fields on one row",
    STORE,
    postgresql=1.0,
    sqlite=1.0,
    least_rounds=5,
)
def eight_writers(load: Workload) -> Pair:
    """A new learner's row at each call, the same for both sides; every row that was written is looked at after."""
    key, usage, volume = load.keys[0], load.ids[0], load.volume
    team = load.database.closing.enter_context(writers(load.database, volume.writers, volume.fields_a_writer))
    floor, new_row = load.floor, load.floor.insert("floor_state", 5)
    expected = {field_name(w, f): 1 for w in range(volume.writers) for f in range(volume.fields_a_writer)}
    first = load.learner + 1_000
    by_ours: list[int] = []
    by_floor: list[int] = []

    def ours() -> None:
        by_ours.append(first + len(by_ours))
        team.write(Order(True, by_ours[-1], key, usage))

    def floor_side() -> None:
        by_floor.append(first + len(by_floor))
        floor.execute(new_row, (by_floor[-1], usage, "{}", 0, floor.now()))
        team.write(Order(False, by_floor[-1], key, usage))

    def seen_by_ours() -> list[int]:
        for learner in by_ours:
            check_fields("ours", dict(load.store.read(learner, [key])[key].fields), expected)
        return [len(load.store.history(learner, key)) for learner in by_ours]

    def seen_by_floor() -> list[int]:
        for learner in by_floor:
            check_fields("the floor", floor.read(learner, [usage])[usage], expected)
        return [len(floor.history(learner, usage)) for learner in by_floor]

    return Pair(ours, floor_side, seen_by_ours, seen_by_floor)


def check_fields(side: str, found: Fields, expected: Fields) -> None:
    """Raises ``LostFieldsError``."""
    if lost := [name for name, value in expected.items() if found.get(name) != value]:
        raise LostFieldsError(f"{side}: {len(lost)} of {len(expected)} saved fields are lost.")

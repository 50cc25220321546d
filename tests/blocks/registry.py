"""All exercises by the block that they are about."""

from __future__ import annotations

from tests.blocks import exercises_a, exercises_b
from tests.blocks.exercise import BlockExercise

EXERCISES: dict[str, BlockExercise] = {**exercises_a.EXERCISES, **exercises_b.EXERCISES}
"""By block type; of a type with several exercises, by ``type: variant``."""


def block_type(name: str) -> str:
    return name.partition(":")[0]


def by_type() -> dict[str, list[BlockExercise]]:
    """The exercises of each block type, in the order of the registry."""
    grouped: dict[str, list[BlockExercise]] = {}
    for name, exercise in EXERCISES.items():
        grouped.setdefault(block_type(name), []).append(exercise)
    return grouped

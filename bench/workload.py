"""What is stored before anything is timed: a course of problems, some learners, the same data on both sides."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.contrib.auth import get_user_model
from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import CourseLocator

from bench.databases import Database
from bench.floors import Fields, Floor, encode
from fieldstone.store.models import Usage
from fieldstone.store.places import Place, Preferences, Summary, UserInfo
from fieldstone.store.store import Store

BLOCK_TYPES = ("problem", "poll", "survey", "word_cloud", "video")

COURSE: CourseKey = CourseLocator("FieldstoneX", "Speed101", "2026_T1")


@dataclass(frozen=True)
class Volume:
    """How much is stored and done."""

    blocks: int = 1_000
    other_learners: int = 9
    scanned_learners: int = 200  # each with a state at every block
    writers: int = 8
    fields_a_writer: int = 200
    saved_blocks: int = 400  # whose history is weighed
    weighed_learners: int = 50  # whose states are weighed, at every block


SMALL = Volume(
    blocks=25,
    other_learners=1,
    scanned_learners=10,
    writers=2,
    fields_a_writer=3,
    saved_blocks=20,
    weighed_learners=4,
)
"""To try whether the benchmark itself works: its figures mean nothing."""


@dataclass(frozen=True)
class Workload:
    """One learner's data in the store and, under the same integer ids, in the floor's tables."""

    database: Database
    volume: Volume
    store: Store
    user: Any
    keys: list[UsageKey]
    ids: list[int]  # of the keys, in their order

    @property
    def floor(self) -> Floor:
        return self.database.floor

    @property
    def learner(self) -> int:
        return self.user.pk


Fill: TypeAlias = Callable[[Database, Volume], Workload]


def course_keys(blocks: int, course: CourseKey = COURSE) -> list[UsageKey]:
    """The usage keys of a course of problems, named as Open edX names them: by 32 hexadecimal digits."""
    return [course.make_usage_key("problem", block_id(n)) for n in range(blocks)]


def fill(database: Database, volume: Volume) -> Workload:
    """Store the learner's fields in all four scopes, and the states of other learners around them."""
    store, user = Store(), get_user_model().objects.create_user("learner")
    keys = course_keys(volume.blocks)
    states = {n: problem_state(block_id(n), random.Random(n)) for n in range(volume.blocks)}
    learners = range(user.pk, user.pk + 1 + volume.other_learners)
    for learner in learners:
        store.save(learner, {key: states[n] for n, key in enumerate(keys)}, origin="bench")
    interned = dict(Usage.objects.values_list("key", "id"))
    workload = Workload(database, volume, store, user, keys, [interned[str(key)] for key in keys])
    _fill_floor_states(workload, learners, states)
    _fill_other_scopes(workload)
    database.floor.settle()
    return workload


def floor_states(load: Workload, ids: list[int]) -> list[Fields]:
    """The learner's states in the floor's tables, whole."""
    states = load.floor.read(load.learner, ids)
    return [states[usage] for usage in ids]


def _fill_floor_states(workload: Workload, learners: Iterable[int], states: dict[int, Fields]) -> None:
    floor, now = workload.floor, workload.floor.now()
    rows = [(who, workload.ids[n], encode(state), 1, now) for who in learners for n, state in states.items()]
    with floor.transaction():
        floor.execute_many(floor.insert("floor_state", 5), rows)
        floor.execute_many(floor.insert("floor_history", 5), [(w, u, r, text, at) for w, u, text, r, at in rows])


def _fill_other_scopes(workload: Workload) -> None:
    store, floor, learner, now = workload.store, workload.floor, workload.learner, workload.floor.now()
    summary = {"votes": {"yes": 12, "no": 30, "undecided": 3}}
    preferences = {block_type: preference_fields(n) for n, block_type in enumerate(BLOCK_TYPES)}
    changes: dict[Place, Fields] = {Summary(key): summary for key in workload.keys}
    changes |= {Preferences(block_type): fields for block_type, fields in preferences.items()}
    changes[UserInfo()] = preference_fields(99)
    store.save(learner, changes)
    with floor.transaction():
        floor.execute_many(
            floor.insert("floor_summary", 4),
            [(usage, "votes", encode(summary["votes"]), now) for usage in workload.ids],
        )
        floor.execute_many(
            floor.insert("floor_preferences", 5),
            [
                (learner, t, name, encode(value), now)
                for t, some in preferences.items()
                for name, value in some.items()
            ],
        )
        floor.execute_many(
            floor.insert("floor_user_info", 4),
            [(learner, name, encode(value), now) for name, value in preference_fields(99).items()],
        )


def preference_fields(seed: int) -> Fields:
    """Five small fields of a learner, as a video player keeps them."""
    return {
        "speed": 1 + seed / 4,
        "auto_advance": bool(seed % 2),
        "transcript_language": "en",
        "volume": seed % 100,
        "seen": [seed, seed + 1, seed + 2],
    }


def problem_state(block_id: str, rng: random.Random) -> Fields:
    """The state of an answered CAPA problem with one to three inputs: about half a KB to 2 KB of JSON."""
    inputs = [f"{block_id}_{part}_1" for part in range(2, 2 + rng.randint(1, 3))]
    correct_map = {
        name: {
            "correctness": rng.choice(("correct", "incorrect")),
            "npoints": None,
            "msg": "",
            "hint": "Look at the curve again: what is left after one day?" if rng.random() < 0.3 else "",
            "hintmode": None,
            "queuestate": None,
            "answervariable": None,
        }
        for name in inputs
    }
    answers = {name: rng.choice(("choice_1", "choice_2", str(rng.random()))) for name in inputs}
    attempts = rng.randint(1, 3)
    return {
        "attempts": attempts,
        "seed": rng.randint(1, 1_000),
        "done": True,
        "score": {"raw_earned": rng.randint(0, len(inputs)), "raw_possible": len(inputs)},
        "correct_map": correct_map,
        "correct_map_history": [correct_map] * (attempts - 1),
        "student_answers": answers,
        "student_answers_history": [answers] * attempts,
        "score_history": [{"raw_earned": 0, "raw_possible": len(inputs)}] * attempts,
        "input_state": {name: {} for name in inputs},
        "last_submission_time": "2026-02-03T10:11:12Z",
    }


def block_id(n: int) -> str:
    """As Open edX names blocks: 32 hexadecimal digits."""
    return hashlib.md5(str(n).encode()).hexdigest()

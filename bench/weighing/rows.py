"""Bytes of a learner-block row with its indexes, beside a table as Open edX has it: the same rows in both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.databases import Database
from bench.floors import Fields, Floor, encode
from bench.weighing.base import Amount, amount
from bench.workload import COURSE, Volume, block_id, course_keys, problem_state
from fieldstone.store.tables import STATE
from fieldstone.store.usages import intern_usages
from fieldstone.values import encode_changes, encode_fields

LIMIT = 1 / 3
BEYOND = "bytes a row beyond its fields, over Open edX's"
ALL_TOLD = "bytes a problem's row all told, over Open edX's"

# lms/djangoapps/courseware/models.py of edx-platform. The index on the key, grade and student, which it names
# courseware_stats, serves for one on the key. It has two more, on grade and on student, left out here.
THEIRS = "courseware_studentmodule"
_COLUMNS = (
    "module_type varchar(32), module_id key255, student_id int, state text, grade double precision,"
    " max_grade double precision, done varchar(8), created moment, modified moment, course_id key255"
)
_INDEXES = ("module_type", "course_id", "module_id, grade, student_id", "created", "modified")
_OURS = ("student_id", "usage_id", "fields", "revision", "grade", "max_grade", "done", "created", "modified")


@dataclass(frozen=True)
class Weighed:
    """Bytes a row, all told, and of them the fields as plain JSON."""

    ours: float
    theirs: float
    plain: float


@amount("row-bytes")
def row_bytes(database: Database, volume: Volume) -> list[Amount]:
    """Once with small states, as of a video or a sequence, and once with those of answered problems.

    Of the latter only the whole weight is told: PostgreSQL compresses rows of more than 2 KB, ours and theirs,
    so that what is left beyond the fields is less than nothing.
    """
    small = _weighed(database, volume, "small", [{"position": n % 30} for n in range(volume.blocks)])
    of_problems = [problem_state(block_id(n), random.Random(n)) for n in range(volume.blocks)]
    large = _weighed(database, volume, "large", of_problems)
    ours, theirs = small.ours - small.plain, small.theirs - small.plain
    return [
        Amount("row-bytes", title, database.engine, a / b, "of theirs", limit, f"ours {a:.0f}, theirs {b:.0f}")
        for title, a, b, limit in (
            (BEYOND, ours, theirs, LIMIT),
            (ALL_TOLD, large.ours, large.theirs, None),
        )
    ]


def _weighed(database: Database, volume: Volume, kind: str, states: list[Fields]) -> Weighed:
    """Both tables are filled in the same order, that of learners who work side by side, indexes and all."""
    floor = database.floor
    _empty(floor)
    rows = [(learner, n) for learner in range(1, volume.weighed_learners + 1) for n in range(len(states))]
    random.Random(kind).shuffle(rows)
    keys = course_keys(len(states))
    interned = intern_usages({str(key): key for key in keys}, "default")
    floor.copy(STATE, _OURS, _ours(floor, rows, [interned[str(key)] for key in keys], states))
    columns = ("id", *(column.split()[0] for column in _COLUMNS.split(", ")))
    floor.copy(THEIRS, columns, _theirs(floor, rows, [str(key) for key in keys], states))
    plain = sum(len(encode(states[n])) for _, n in rows)
    ours, theirs = (sum(floor.bytes_of(table).values()) for table in (STATE, THEIRS))
    return Weighed(ours / len(rows), theirs / len(rows), plain / len(rows))


def _empty(floor: Floor) -> None:
    floor.execute(f"DROP TABLE IF EXISTS {THEIRS}")
    floor.create_table(THEIRS, f"id bigint PRIMARY KEY, {_COLUMNS}, UNIQUE (student_id, module_id, course_id)")
    for number, columns in enumerate(_INDEXES):
        floor.execute(f"CREATE INDEX courseware_{number} ON {THEIRS} ({columns})")
    floor.execute(floor.empty.format(STATE))


def _ours(floor: Floor, rows: list[Any], ids: list[int], states: list[Fields]) -> Iterator[tuple[Any, ...]]:
    texts = [encode_fields(encode_changes("", state)) for state in states]
    for learner, n in rows:
        yield learner, ids[n], texts[n], 1, n % 5, 5, "na", floor.now(), floor.now()


def _theirs(floor: Floor, rows: list[Any], keys: list[str], states: list[Fields]) -> Iterator[tuple[Any, ...]]:
    texts, course = [encode(state) for state in states], str(COURSE)
    for number, (learner, n) in enumerate(rows, start=1):
        yield number, "problem", keys[n], learner, texts[n], n % 5, 5, "na", floor.now(), floor.now(), course

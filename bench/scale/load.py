"""Filling the tables as a site has them, by COPY: past the store, which writes each save with its history."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import CourseLocator

from bench.floors import PostgreSQLFloor, encode
from bench.workload import COURSE, block_id, course_keys, preference_fields, problem_state
from fieldstone.store.tables import CONTEXT, HISTORY, PREFERENCES, STATE, SUMMARY, USAGE, USER_INFO
from fieldstone.store.usages import intern_usages
from fieldstone.values import encode_changes, encode_fields

EARLIER_COURSE: CourseKey = CourseLocator("FieldstoneX", "Speed100", "2025_T1")
BLOCKS = 1_000
OTHER_COURSES = 2_000
BLOCKS_OF_OTHERS = 50
LEARNERS_OF_OTHERS = 10_000
BLOCK_FIRST = "fieldstone_block_first"

Advance = Callable[[int], None]
"""Told how many more states are there."""


@dataclass(frozen=True)
class Site:
    """What was loaded into one database."""

    alias: str
    all_learners: int
    keys: list[UsageKey]
    bytes: int

    @property
    def states(self) -> int:
        return self.all_learners * len(self.keys)

    @property
    def learners(self) -> range:
        """Those of the course whose keys these are: every second one. The others took another course."""
        return range(2, self.all_learners + 1, 2)


def load(floor: PostgreSQLFloor, alias: str, learners: int, advance: Advance) -> Site:
    """A state and a revision of each learner at the 1,000 problems of a course; and other courses' blocks.

    The learners take two courses in turns, and it is the second whose states are read: before them lie others,
    in each index. The deltas are small, as those of later saves are: they cannot be replayed to the states.
    """
    courses = [course_keys(BLOCKS, course) for course in (EARLIER_COURSE, COURSE)]
    ids = [[*intern_usages({str(key): key for key in keys}, alias).values()] for keys in courses]
    (index,) = floor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", (BLOCK_FIRST,)).fetchone()
    floor.execute(f"DROP INDEX {BLOCK_FIRST}")
    now = datetime.now(UTC).isoformat()
    columns = "usage_id, fields, revision, done, created, modified"
    _copy(floor, STATE, columns, learners, [_states(of_course, now) for of_course in ids], advance)
    columns = "usage_id, revision, delta, created, origin"
    _copy(floor, HISTORY, columns, learners, [_revisions(of_course, now) for of_course in ids], lambda _: None)
    floor.execute(index)
    _fill_the_rest(floor)
    floor.settle()
    size = floor.execute("SELECT pg_database_size(current_database())").fetchone()[0]
    return Site(alias, learners, courses[1], size)


def _states(ids: Sequence[int], now: str) -> list[str]:
    """The lines of one learner, but for who it is."""
    texts = [
        encode_fields(encode_changes("", problem_state(block_id(n), random.Random(n)))) for n in range(BLOCKS)
    ]
    escaped = [text.replace("\\", "\\\\") for text in texts]  # all that COPY's form asks of JSON in ASCII
    return [f"{usage}\t{text}\t1\tna\t{now}\t{now}\n" for usage, text in zip(ids, escaped, strict=True)]


def _revisions(ids: Sequence[int], now: str) -> list[str]:
    return [f'{usage}\t1\t{{"attempts":"1"}}\t{now}\thandler:problem_check\n' for usage in ids]


def _copy(
    floor: PostgreSQLFloor,
    table: str,
    columns: str,
    learners: int,
    lines_of: Sequence[list[str]],  # the courses'
    advance: Advance,
) -> None:
    # Emptied in the same transaction, so that COPY may write the rows as VACUUM would leave them.
    with floor.transaction(), floor.connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
        with cursor.copy(f"COPY {table} (student_id, {columns}) FROM STDIN (FREEZE)") as copy:
            for learner in range(1, learners + 1):
                lines = lines_of[(learner + 1) % 2]
                copy.write("".join([f"{learner}\t{line}" for line in lines]))
                advance(len(lines))


def _fill_the_rest(floor: PostgreSQLFloor) -> None:
    """Other courses' keys, a summary of each block, and five fields a learner in each of the other scopes.

    As much of it whatever the number of states: a table of a few pages is rightly read from end to end.
    """
    row = "'{}', 1, now(), now()"
    value = row.format(encode({"yes": 12, "no": 30}))
    names = ", ".join(f"('{name}')" for name in preference_fields(0))
    per_learner = f"generate_series(1, {LEARNERS_OF_OTHERS}) AS learner, (VALUES {names}) AS name (name)"
    for statement in (
        f"INSERT INTO {CONTEXT} (key) SELECT 'course-v1:FieldstoneX+Other' || n || '+2026_T1'"
        f" FROM generate_series(1, {OTHER_COURSES}) AS n",
        f"INSERT INTO {USAGE} (context_id, key, block_type) SELECT id, 'block-v1:' || substr(key, 11)"
        " || '+type@problem+block@' || md5(id || '/' || n), 'problem'"
        f" FROM {CONTEXT}, generate_series(1, {BLOCKS_OF_OTHERS}) AS n WHERE strpos(key, 'Other') > 0",
        f"INSERT INTO {SUMMARY.name} (usage_id, field_name, value, revision, created, modified)"
        f" SELECT id, 'votes', {value} FROM {USAGE}",
        f"INSERT INTO {PREFERENCES.name} (student_id, module_type, field_name, value, revision, created, modified)"
        f" SELECT learner, 'video', name, {row.format('1')} FROM {per_learner}",
        f"INSERT INTO {USER_INFO.name} (student_id, field_name, value, revision, created, modified)"
        f" SELECT learner, name, {row.format('1')} FROM {per_learner}",
    ):
        floor.execute(statement)

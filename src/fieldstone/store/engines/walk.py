"""The statements of a verification: a walk over states and their history, side by side, by their keys.

Plain SQL that every engine reads alike, so functions and not methods of an engine. Each is served by the primary
key of its table: (student, usage) and (student, usage, revision). No index of the history begins with the usage,
since each save would pay for it; so a walk over one block or context goes through the whole index, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines import engine_of
from fieldstone.store.engines.history import RevisionKey
from fieldstone.store.engines.placeholders import marks
from fieldstone.store.tables import HISTORY, LOWEST_ID, STATE, USAGE

RowKey = tuple[int, int]
"""(learner id, usage id)"""


class StateRead(NamedTuple):
    """A row of ``StudentModule``, as far as a verification looks at it."""

    learner_id: int
    usage_id: int
    fields: str
    revision: int
    grade: float | None
    max_grade: float | None


class RevisionRead(NamedTuple):
    """A row of ``StudentModuleHistory``, as far as a verification looks at it."""

    learner_id: int
    usage_id: int
    revision: int
    delta: str
    snapshot: str | None
    grade: float | None
    max_grade: float | None


@dataclass(frozen=True)
class Part:
    """Which rows are walked: all, or those of all the ids that are given."""

    learner_id: int | None = None
    context_id: int | None = None
    usage_id: int | None = None
    usage_ids: tuple[int, ...] | None = None  # in place of the context, on an alias that has no usages
    learner_ids: tuple[int, ...] | None = None  # some hundred: of a thousand MariaDB makes a join

    def condition(self) -> tuple[str, list[int]]:
        """``" AND ..."`` with its parameters, for a statement over states or history."""
        of_context = f"usage_id IN (SELECT id FROM {USAGE} WHERE context_id = %s)"
        among = "".join(
            f" AND {column} IN ({', '.join(map(str, ids or [0]))})"
            for column, ids in (("usage_id", self.usage_ids), ("student_id", self.learner_ids))
            if ids is not None
        )
        given = [
            (condition, value)
            for condition, value in (
                ("student_id = %s", self.learner_id),
                (of_context, self.context_id),
                ("usage_id = %s", self.usage_id),
            )
            if value is not None
        ]
        return "".join(f" AND {condition}" for condition, _ in given) + among, [value for _, value in given]


def count_states(cursor: CursorWrapper, part: Part) -> int:
    """How many rows of state the part has."""
    condition, parameters = part.condition()
    cursor.execute(f"SELECT count(*) FROM {STATE} WHERE student_id > %s{condition}", [LOWEST_ID, *parameters])
    return int(cursor.fetchone()[0])


def read_usages(cursor: CursorWrapper, context_id: int) -> tuple[int, ...]:
    """The usages of a context."""
    cursor.execute(f"SELECT id FROM {USAGE} WHERE context_id = %s", [context_id])
    return tuple(usage_id for (usage_id,) in cursor.fetchall())


# The conditions on student_id alone are for MariaDB, which looks at no index for those on several columns.


def read_states(cursor: CursorWrapper, part: Part, after: RowKey, limit: int) -> list[StateRead]:
    """The next states by (student, usage)."""
    condition, parameters = part.condition()
    cursor.execute(
        f"SELECT student_id, usage_id, coalesce(fields, '{{}}'), revision, grade, max_grade FROM {STATE}"
        f" WHERE student_id >= %s AND (student_id, usage_id) > (%s, %s){condition}"
        " ORDER BY student_id, usage_id LIMIT %s",
        [after[0], *after, *parameters, limit],
    )
    return [StateRead(*row) for row in cursor.fetchall()]


def read_revisions(
    cursor: CursorWrapper, part: Part, after: RevisionKey, until: RevisionKey, limit: int
) -> list[RevisionRead]:
    """The next revisions by (student, usage, revision), up to ``until``."""
    condition, parameters = part.condition()
    cursor.execute(
        f"SELECT student_id, usage_id, revision, delta, snapshot, grade, max_grade FROM {HISTORY}"
        " WHERE student_id >= %s AND student_id <= %s AND (student_id, usage_id, revision) > (%s, %s, %s)"
        f" AND (student_id, usage_id, revision) <= (%s, %s, %s){condition}"
        " ORDER BY student_id, usage_id, revision LIMIT %s",
        [after[0], until[0], *after, *until, *parameters, limit],
    )
    return [RevisionRead(*row) for row in cursor.fetchall()]


def read_numbers(cursor: CursorWrapper, keys: Sequence[RowKey]) -> dict[RowKey, int]:
    """The revisions at which these states are now; those without a row are not in it."""
    engine = engine_of(cursor.db)
    cursor.execute(
        f"{engine.select} student_id, usage_id, revision FROM {STATE}"
        f" WHERE (student_id, usage_id) {engine.rows_listed.format(marks(keys))}",
        [value for key in keys for value in key],
    )
    return {(learner_id, usage_id): revision for learner_id, usage_id, revision in cursor.fetchall()}

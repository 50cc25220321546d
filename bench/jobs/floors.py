"""What each kind of job writes or reads, as a statement of plain SQL for one whole block: no checks, no chunks.

Of PostgreSQL. A floor writes the history as a job does; it knows beforehand what is to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.floors import PostgreSQLFloor
from fieldstone.store.tables import HISTORY, STATE

Floor = Callable[[PostgreSQLFloor, int, list[int], Path], None]
"""Over a usage, by its id, of these learners; what is exported goes into a file."""

_KEPT = f"""
    INSERT INTO {HISTORY} (student_id, usage_id, revision, delta, created, grade, max_grade, origin)
    SELECT student_id, usage_id, revision, %(delta)s, modified, grade, max_grade, 'floor' FROM saved
"""
_MERGED = "fields = (fields::jsonb || %(delta)s::jsonb)::text"
_BACK = f"""
    WITH saved AS (
        UPDATE {STATE} AS stored
        SET fields = kept.delta, grade = kept.grade, max_grade = kept.max_grade,
            revision = stored.revision + 1, modified = now()
        FROM {HISTORY} AS kept
        WHERE stored.usage_id = %(usage)s AND stored.student_id = ANY(%(learners)s)
            AND kept.student_id = stored.student_id AND kept.usage_id = stored.usage_id AND kept.revision = 1
        RETURNING stored.*
    ) {_KEPT}
"""


def _updating(values: str, condition: str = "") -> str:
    return f"""
        WITH saved AS (
            UPDATE {STATE} SET {values}, revision = revision + 1, modified = now()
            WHERE usage_id = %(usage)s AND student_id = ANY(%(learners)s) {condition}
            RETURNING *
        ) {_KEPT}
    """


_SCORE = '{"score": "{\\"raw_earned\\": 1.0, \\"raw_possible\\": 1.0}"}'


def _written(statement: str, delta: str = "{}") -> Floor:
    def write(floor: PostgreSQLFloor, usage_id: int, learner_ids: list[int], file: Path) -> None:
        floor.connection.execute(statement, {"usage": usage_id, "learners": learner_ids, "delta": delta})

    return write


def _copied(table: str) -> Floor:
    def copy(floor: PostgreSQLFloor, usage_id: int, learner_ids: list[int], file: Path) -> None:
        learners = f"student_id BETWEEN {learner_ids[0]:d} AND {learner_ids[-1]:d}"
        statement = (
            f"COPY (SELECT username, stored.* FROM {table} AS stored"
            " LEFT JOIN auth_user ON auth_user.id = student_id"
            f" WHERE usage_id = {usage_id:d} AND {learners}) TO STDOUT"
        )
        with floor.connection.cursor().copy(statement) as rows, file.open("wb") as output:
            for data in rows:
                output.write(data)

    return copy


def _read(floor: PostgreSQLFloor, usage_id: int, learner_ids: list[int], file: Path) -> None:
    wanted: tuple[Any, ...] = (usage_id, learner_ids)
    for table in (STATE, HISTORY):
        floor.connection.execute(
            f"SELECT * FROM {table} WHERE usage_id = %s AND student_id = ANY(%s) ORDER BY student_id", wanted
        ).fetchall()


FLOORS: Mapping[str, Floor] = {
    "reset-attempts": _written(_updating(_MERGED, "AND fields::jsonb ->> 'attempts' <> '0'"), '{"attempts": "0"}'),
    "delete-state": _written(_updating("fields = '{}', grade = NULL, max_grade = NULL")),
    "override-score": _written(_updating(f"{_MERGED}, grade = 1, max_grade = 1"), _SCORE),
    "rescore": _written(_updating(f"{_MERGED}, grade = 1, max_grade = 1"), _SCORE),
    "undo": _written(_BACK),
    "restore": _written(_BACK),
    "export-state": _copied(STATE),
    "export-history": _copied(HISTORY),
    "verify": _read,
}

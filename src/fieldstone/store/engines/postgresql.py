"""PostgreSQL: a save of any number of blocks is one statement, history included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.base import Engine, StateRow, StateWrite, Write, aware, marks
from fieldstone.store.tables import HISTORY, SNAPSHOT_EVERY, STATE


class PostgreSQL(Engine):
    statements_to_save_states = 1
    # A timestamp without zone is read by psycopg's C code; for one with zone Django puts in a slow Python reader.
    time = "{} AT TIME ZONE 'UTC'"
    ids_listed = "= ANY(%s::bigint[])"
    keys_listed = "= ANY(%s::text[])"
    whereabouts = (
        f"SELECT system_identifier, current_database(), '{HISTORY}'::regclass::oid FROM pg_control_system()"
    )

    def listed(self, values: Sequence[int] | Sequence[str]) -> Any:
        return list(values)

    def save_states(self, cursor: CursorWrapper, write: Write, rows: Sequence[StateWrite]) -> list[StateRow]:
        columns = [list(column) for column in zip(*rows, strict=True)]
        cursor.execute(
            self._SAVE,
            [
                *columns,
                write.learner_id,
                write.at,
                write.at,
                write.learner_id,
                write.actor_id,
                write.origin,
                write.token,
            ],
        )
        return list(cursor.fetchall())

    # The column is text, since reading jsonb costs twice as much (docs/decisions/0005-text-columns.md).
    # `||` and jsonb_strip_nulls look only at the top level here, since every value is a string: an exact replace.
    # Row locks are taken in the order of the arrays, which is sorted: see Store._write.
    # The history joins the rows that were really written, so their revisions are those of this very save.
    _SAVE = f"""
        WITH incoming (usage_id, delta, grade, max_grade) AS (
            SELECT * FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::float8[])
        ), saved AS (
            INSERT INTO {STATE} AS stored
                (student_id, usage_id, fields, grade, max_grade, revision, done, created, modified)
            SELECT %s, usage_id, delta, grade, max_grade, 1, 'na', %s, %s FROM incoming
            ON CONFLICT (student_id, usage_id) DO UPDATE SET
                fields = jsonb_strip_nulls(stored.fields::jsonb || excluded.fields::jsonb)::text,
                grade = coalesce(excluded.grade, stored.grade),
                max_grade = coalesce(excluded.max_grade, stored.max_grade),
                revision = stored.revision + 1,
                modified = greatest(stored.modified, excluded.modified)
            RETURNING usage_id, fields, revision, {time.format("modified")} AS modified, grade, max_grade, done
        ), kept AS (
            INSERT INTO {HISTORY}
                (student_id, usage_id, revision, delta, snapshot,
                 created, grade, max_grade, actor_id, origin, token)
            SELECT %s, usage_id, revision, delta, CASE WHEN revision %% {SNAPSHOT_EVERY} = 0 THEN fields END,
                modified AT TIME ZONE 'UTC', saved.grade, saved.max_grade, %s, %s, %s
            FROM saved JOIN incoming USING (usage_id)
        )
        SELECT * FROM saved
    """

    def delete_rows(
        self, cursor: CursorWrapper, table: str, key: Sequence[str], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        # Locked in the order of the key first, as every save locks rows: the list itself is met in a hash's order.
        names = ", ".join(key)
        cursor.execute(
            f"DELETE FROM {table} WHERE ({names}) IN (SELECT {names} FROM {table}"
            f" WHERE ({names}) {self.rows_listed.format(marks(rows))} ORDER BY {names} FOR UPDATE)",
            [value for row in rows for value in row],
        )

    def to_datetime(self, stored: Any) -> datetime:
        return aware(stored)

    def moment(self, at: datetime) -> Any:
        return at

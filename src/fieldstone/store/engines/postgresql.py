"""PostgreSQL: a save of any number of blocks is one statement, history included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.base import Engine, StateRow, Write, aware, state_columns
from fieldstone.store.tables import HISTORY, STATE, SUMMARY, USAGE

# A timestamp without zone is read by psycopg's own C code; for one with zone Django puts in a slow Python reader.
_TIME = "{} AT TIME ZONE 'UTC'"
_COLUMNS = state_columns(_TIME.format("modified"))


class PostgreSQL(Engine):
    statements_to_save_states = 1
    time = _TIME

    def save_states(
        self, cursor: CursorWrapper, write: Write, deltas: Sequence[tuple[int, str]]
    ) -> list[StateRow]:
        ids, texts = zip(*deltas, strict=True)
        cursor.execute(
            self._SAVE,
            [list(ids), list(texts), write.learner_id, write.at, write.at,
             write.learner_id, write.at, write.actor_id, write.origin],
        )  # fmt: skip
        return list(cursor.fetchall())

    # The column is text, since reading jsonb costs twice as much (docs/decisions/0005-text-columns.md).
    # `||` and jsonb_strip_nulls look only at the top level here, since every value is a string: an exact replace.
    # Row locks are taken in the order of the arrays, which is sorted: see Store._write.
    # The history joins the rows that were really written, so their revisions are those of this very save.
    _SAVE = f"""
        WITH incoming (usage_id, delta) AS (
            SELECT * FROM unnest(%s::bigint[], %s::text[])
        ), saved AS (
            INSERT INTO {STATE} AS stored (student_id, usage_id, fields, revision, done, created, modified)
            SELECT %s, usage_id, delta, 1, 'na', %s, %s FROM incoming
            ON CONFLICT (student_id, usage_id) DO UPDATE SET
                fields = jsonb_strip_nulls(stored.fields::jsonb || excluded.fields::jsonb)::text,
                revision = stored.revision + 1,
                modified = greatest(stored.modified, excluded.modified)
            RETURNING {_COLUMNS}
        ), kept AS (
            INSERT INTO {HISTORY}
                (student_id, usage_id, revision, delta, created, grade, max_grade, actor_id, origin)
            SELECT %s, usage_id, revision, delta, %s, grade, max_grade, %s, %s
            FROM saved JOIN incoming USING (usage_id)
        )
        SELECT * FROM saved
    """

    def read_states(self, cursor: CursorWrapper, learner_id: int, usage_ids: Sequence[int]) -> list[StateRow]:
        cursor.execute(self._READ, [learner_id, list(usage_ids)])
        return list(cursor.fetchall())

    _READ = f"SELECT {_COLUMNS} FROM {STATE} WHERE student_id = %s AND usage_id = ANY(%s::bigint[])"

    def read_states_by_key(
        self, cursor: CursorWrapper, learner_id: int, keys: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        cursor.execute(self._READ_BY_KEY, [learner_id, list(keys)])
        return list(cursor.fetchall())

    _READ_BY_KEY = f"""
        SELECT met."key", {_COLUMNS.replace("usage_id", "met.id")}
        FROM {USAGE} AS met LEFT JOIN {STATE} ON usage_id = met.id AND student_id = %s
        WHERE met."key" = ANY(%s::text[])
    """

    def read_summaries(self, cursor: CursorWrapper, usage_ids: Sequence[int]) -> list[tuple[Any, ...]]:
        cursor.execute(self._READ_SUMMARIES, [list(usage_ids)])
        return list(cursor.fetchall())

    _READ_SUMMARIES = f"""
        SELECT usage_id, field_name, value, {_TIME.format("modified")}
        FROM {SUMMARY.name} WHERE usage_id = ANY(%s::bigint[])
    """

    def read_summaries_by_key(self, cursor: CursorWrapper, keys: Sequence[str]) -> list[tuple[Any, ...]]:
        cursor.execute(self._READ_SUMMARIES_BY_KEY, [list(keys)])
        return list(cursor.fetchall())

    _READ_SUMMARIES_BY_KEY = f"""
        SELECT met."key", field_name, value, {_TIME.format("modified")}
        FROM {USAGE} AS met JOIN {SUMMARY.name} ON usage_id = met.id
        WHERE met."key" = ANY(%s::text[])
    """

    def select_ids(self, cursor: CursorWrapper, table: str, keys: Sequence[str]) -> dict[str, int]:
        cursor.execute(f'SELECT "key", id FROM {table} WHERE "key" = ANY(%s::text[])', [list(keys)])
        return dict(cursor.fetchall())

    def insert_ids(
        self, cursor: CursorWrapper, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
    ) -> dict[str, int]:
        return upsert_ids(cursor, table, columns, rows)

    def to_datetime(self, stored: Any) -> datetime:
        return aware(stored)

    def moment(self, at: datetime) -> Any:
        return at


def upsert_ids(
    cursor: CursorWrapper, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> dict[str, int]:
    """``Engine.insert_ids`` for engines with ``ON CONFLICT``.

    DO UPDATE, not DO NOTHING: only a row that the statement wrote is returned.
    """
    ids: dict[str, int] = {}
    names = ", ".join(f'"{column}"' for column in columns)
    for start in range(0, len(rows), _ROWS_PER_INSERT):
        batch = rows[start : start + _ROWS_PER_INSERT]
        marks = ", ".join(["(" + ", ".join(["%s"] * len(columns)) + ")"] * len(batch))
        cursor.execute(
            f"INSERT INTO {table} ({names}) VALUES {marks}"
            ' ON CONFLICT ("key") DO UPDATE SET "key" = excluded."key" RETURNING "key", id',
            [value for row in batch for value in row],
        )
        ids.update(cursor.fetchall())
    return ids


_ROWS_PER_INSERT = 5_000  # SQLite takes 32,766 parameters a statement

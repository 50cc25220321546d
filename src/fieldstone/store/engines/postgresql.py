"""PostgreSQL: a save of any number of blocks is one statement, history included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.base import STATE_COLUMNS, Engine, StateRow, Write, aware
from fieldstone.store.tables import HISTORY, STATE, SUMMARY, USAGE


class PostgreSQL(Engine):
    saves_states_in_one_statement = True

    def save_states(
        self, cursor: CursorWrapper, write: Write, deltas: Sequence[tuple[int, str]]
    ) -> list[StateRow]:
        ids, texts = zip(*deltas, strict=True)
        cursor.execute(
            self._SAVE,
            [list(ids), list(texts), write.learner_id, write.at, write.at,
             write.learner_id, write.at, write.actor_id, write.origin],
        )  # fmt: skip
        return [StateRow(*row) for row in cursor.fetchall()]

    # `||` and jsonb_strip_nulls look only at the top level here, since every value is a string: an exact replace.
    # Row locks are taken in the order of the arrays, which is sorted: see Store._write.
    # The history joins the rows that were really written, so their revisions are those of this very save.
    _SAVE = f"""
        WITH incoming (usage_id, delta) AS (
            SELECT * FROM unnest(%s::bigint[], %s::jsonb[])
        ), saved AS (
            INSERT INTO {STATE} AS stored (student_id, usage_id, fields, revision, done, created, modified)
            SELECT %s, usage_id, delta, 1, 'na', %s, %s FROM incoming
            ON CONFLICT (student_id, usage_id) DO UPDATE SET
                fields = jsonb_strip_nulls(stored.fields || excluded.fields),
                revision = stored.revision + 1,
                modified = greatest(stored.modified, excluded.modified)
            RETURNING {STATE_COLUMNS}
        ), kept AS (
            INSERT INTO {HISTORY}
                (student_id, usage_id, revision, delta, created, grade, max_grade, actor_id, origin)
            SELECT %s, usage_id, revision, delta, %s, grade, max_grade, %s, %s
            FROM saved JOIN incoming USING (usage_id)
        )
        SELECT {STATE_COLUMNS} FROM saved
    """

    def read_states(self, cursor: CursorWrapper, learner_id: int, usage_ids: Sequence[int]) -> list[StateRow]:
        cursor.execute(self._READ, [learner_id, list(usage_ids)])
        return [StateRow(*row) for row in cursor.fetchall()]

    # One array parameter whatever the number of usages: the statement's text, and so its plan, stays the same.
    _READ = f"SELECT {STATE_COLUMNS} FROM {STATE} WHERE student_id = %s AND usage_id = ANY(%s::bigint[])"

    def read_states_by_key(
        self, cursor: CursorWrapper, learner_id: int, keys: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        cursor.execute(self._READ_BY_KEY, [learner_id, list(keys)])
        return [(row[0], row[1], StateRow(*row[1:]) if row[2] is not None else None) for row in cursor.fetchall()]

    _READ_BY_KEY = f"""
        SELECT met."key", met.id, fields, revision, modified, grade, max_grade, done
        FROM {USAGE} AS met LEFT JOIN {STATE} ON usage_id = met.id AND student_id = %s
        WHERE met."key" = ANY(%s::text[])
    """

    def read_summaries(self, cursor: CursorWrapper, keys: Sequence[str]) -> list[tuple[Any, ...]]:
        cursor.execute(self._READ_SUMMARIES, [list(keys)])
        return list(cursor.fetchall())

    _READ_SUMMARIES = f"""
        SELECT met."key", field_name, value, modified
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

"""PostgreSQL: a save of any number of blocks is one statement, history included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.base import NO_CHANGE, Engine, LearnerStateWrite, StateRow, StateWrite, Write
from fieldstone.store.engines.interning import MetKey, NewUsage
from fieldstone.store.engines.placeholders import marks
from fieldstone.store.tables import CONTEXT, HISTORY, SNAPSHOT_EVERY, STATE, USAGE

_INCOMING = ("student_id", "usage_id", "delta", "grade", "max_grade")


class PostgreSQL(Engine):
    statements_to_save_states = 1
    # A timestamp without zone is read by psycopg's C code; for one with zone Django puts in a slow Python reader.
    time = "{} AT TIME ZONE 'UTC'"
    ids_listed = "= ANY(%s::bigint[])"
    keys_listed = "= ANY(%s::text[])"
    # `pg_control_system()` would say it best, and is kept from users on some clouds.
    # By the schema that the table is in, or will be in.
    whereabouts = (
        "SELECT pg_postmaster_start_time()::text, current_database(),"
        f" coalesce(to_regclass('{HISTORY}')::oid::text, current_schema())"
    )

    def listed(self, values: Sequence[int] | Sequence[str]) -> Any:
        return list(values)

    def is_deadlock(self, error: OperationalError) -> bool:
        return getattr(error.__cause__, "sqlstate", None) == "40P01"

    def save_states(self, cursor: CursorWrapper, write: Write, rows: Sequence[StateWrite]) -> list[StateRow]:
        is_one, are_looked_at = len(rows) == 1, all(delta for _, delta, *_ in rows)
        if is_one:
            incoming = list[Any](rows[0])
            kept = [incoming[1] or NO_CHANGE]
        else:
            incoming = [list(column) for column in zip(*rows, strict=True)]
            kept = [incoming[0], [delta or NO_CHANGE for delta in incoming[1]]]
        who = (write.learner_id, write.actor_id, write.origin, write.token)
        save = self._SAVE[is_one, are_looked_at]
        cursor.execute(save, [write.learner_id, write.at, write.at, *incoming, *who, *kept])
        return list(cursor.fetchall())

    def save_states_of_many(
        self, cursor: CursorWrapper, write: Write, rows: Sequence[LearnerStateWrite]
    ) -> list[tuple[Any, ...]]:
        # In one text: psycopg puts the marks into an array's texts one by one, which took nine tenths of the time.
        incoming = json.dumps([dict(zip(_INCOMING, row, strict=True)) for row in rows])
        who = (write.actor_id, write.origin, write.token)
        cursor.execute(self._SAVE_OF_MANY, [incoming, write.at, write.at, *who])
        return list(cursor.fetchall())

    # The column is text, since reading jsonb costs twice as much (docs/decisions/0005-text-columns.md).
    # `||` and jsonb_strip_nulls look only at the top level here, since every value is a string: an exact replace.
    # Row locks are taken in the order of the arrays, which is sorted: see store/writing.py.
    # The history is of the rows that were really written, so their revisions are those of this very save.
    _TEXT = f"""
        WITH {{incoming}} saved AS (
            INSERT INTO {STATE} AS stored
                ({{columns}}, fields, grade, max_grade, revision, done)
            {{rows}}
            ON CONFLICT (student_id, usage_id) DO UPDATE SET
                fields = {{merged}},
                grade = coalesce(excluded.grade, stored.grade),
                max_grade = coalesce(excluded.max_grade, stored.max_grade),
                revision = stored.revision + 1,
                modified = greatest(stored.modified, excluded.modified)
            RETURNING {{learner}}usage_id, {{shown}}, revision, {time.format("modified")} AS modified,
                grade, max_grade, done
        ), kept AS (
            INSERT INTO {HISTORY}
                ({{kept}}, revision, snapshot, created, grade, max_grade, delta)
            SELECT {{keeping}}, revision,
                CASE WHEN revision %% {SNAPSHOT_EVERY} = 0 THEN fields END,
                modified AT TIME ZONE 'UTC', grade, max_grade, {{deltas}}
        )
        SELECT * FROM saved
    """
    # Most saves are of one block, and planning the arrays for it would cost a quarter of the statement.
    _OF_ONE_LEARNER = {
        "incoming": "",
        "learner": "",
        "columns": "student_id, created, modified, usage_id",
        "kept": "student_id, actor_id, origin, token, usage_id",
        "keeping": "%s, %s, %s, %s, usage_id",
    }
    _ONE = {
        **_OF_ONE_LEARNER,
        "rows": "VALUES (%s, %s, %s, %s, %s, %s, %s, 1, 'na')",
        "deltas": "%s FROM saved",
    }
    _MANY = {
        **_OF_ONE_LEARNER,
        "rows": "SELECT %s, %s, %s, incoming.*, 1, 'na'"
        " FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::float8[]) AS incoming",
        "deltas": "delta FROM saved"
        " JOIN unnest(%s::bigint[], %s::text[]) AS incoming (usage_id, delta) USING (usage_id)",
    }
    _LOOKED_AT = {
        "merged": "jsonb_strip_nulls(coalesce(stored.fields, '{}')::jsonb || excluded.fields::jsonb)::text",
        "shown": "fields",
    }
    # A grade alone comes with NULL, which a merge makes NULL of, and leaves the fields as they are.
    _PERHAPS_NOT = {
        "merged": f"coalesce({_LOOKED_AT['merged']}, stored.fields)",
        "shown": "coalesce(fields, '{}') AS fields",
    }
    _OF_MANY_LEARNERS = {
        "incoming": "incoming AS MATERIALIZED (SELECT * FROM json_to_recordset(%s::json) AS row"
        " (student_id bigint, usage_id bigint, delta text, grade float8, max_grade float8)),",
        "learner": "student_id, ",
        "columns": "created, modified, student_id, usage_id",
        "rows": "SELECT %s, %s, incoming.*, 1, 'na' FROM incoming",
        "kept": "actor_id, origin, token, student_id, usage_id",
        "keeping": "%s, %s, %s, student_id, usage_id",
        "deltas": f"coalesce(delta, '{NO_CHANGE}') FROM saved"
        " JOIN (SELECT student_id, usage_id, delta FROM incoming) AS deltas USING (student_id, usage_id)",
    }
    # What is not prepared is parsed and planned each time, so no statement calls more than it needs.
    _SAVE = {
        (True, True): _TEXT.format(**_ONE, **_LOOKED_AT),
        (True, False): _TEXT.format(**_ONE, **_PERHAPS_NOT),
        (False, True): _TEXT.format(**_MANY, **_LOOKED_AT),
        (False, False): _TEXT.format(**_MANY, **_PERHAPS_NOT),
    }
    _SAVE_OF_MANY = _TEXT.format(**_OF_MANY_LEARNERS, **_PERHAPS_NOT)

    def meet_usages(self, cursor: CursorWrapper, rows: Sequence[NewUsage]) -> list[MetKey]:
        cursor.execute(self._MEET_USAGES, [list(column) for column in zip(*rows, strict=True)])
        return list(cursor.fetchall())

    # Both parts see the table as it was before: what the first one inserts, the second does not find.
    _MEET_USAGES = f"""
        WITH incoming AS (
            SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS incoming (key, context, block_type)
        ), made AS (
            INSERT INTO {USAGE} (key, context_id, block_type)
            SELECT incoming.key, context.id, incoming.block_type
            FROM incoming JOIN {CONTEXT} AS context ON context.key = incoming.context
            WHERE NOT EXISTS (SELECT FROM {USAGE} AS met WHERE met.key = incoming.key)
            ORDER BY incoming.key
            ON CONFLICT (key) DO NOTHING
            RETURNING key, id, context_id
        )
        SELECT key, id, context_id FROM made
        UNION ALL
        SELECT met.key, met.id, met.context_id FROM {USAGE} AS met JOIN incoming USING (key)
    """

    # Per usage, no more than the limit: of a join PostgreSQL would fetch and sort every learner of a usage, or go
    # through the states of all earlier contexts (10 rows behind 5 million took 7.8 s; so they take 0.5 ms).
    def scan_context(
        self, cursor: CursorWrapper, context_id: int, block_type: str | None, after: int, limit: int
    ) -> list[tuple[Any, ...]]:
        of_type, types = ("", []) if block_type is None else (" AND met.block_type = %s", [block_type])
        cursor.execute(
            f"SELECT met.key, met.block_type, student_id, {self._state_columns()} FROM {USAGE} AS met"
            f" CROSS JOIN LATERAL (SELECT * FROM {STATE} WHERE usage_id = met.id"
            " ORDER BY student_id LIMIT %s) AS of_one"
            f" WHERE met.context_id = %s AND met.id > %s{of_type} ORDER BY met.id, student_id LIMIT %s",
            [limit, context_id, after, *types, limit],
        )
        return list(cursor.fetchall())

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
        return stored.replace(tzinfo=UTC)  # type: ignore[no-any-return]  # a datetime: see ``time``

    def moment(self, at: datetime) -> Any:
        return at

"""SQLite: two statements a save, states and history, so the store puts a transaction around them.

Lists go in as one JSON parameter: the text of each statement stays the same whatever their length, so the
driver's statement cache serves it, and no limit on parameters applies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.base import Engine, StateRow, Write, aware, state_columns
from fieldstone.store.engines.postgresql import upsert_ids
from fieldstone.store.tables import HISTORY, STATE, SUMMARY, USAGE

# As text: Django's converter for columns declared as times is slow.
_TIME = "CAST({} AS text)"
_COLUMNS = state_columns(_TIME.format("modified"))


class SQLite(Engine):
    statements_to_save_states = 2
    time = _TIME

    def save_states(
        self, cursor: CursorWrapper, write: Write, deltas: Sequence[tuple[int, str]]
    ) -> list[StateRow]:
        rows, moment = json.dumps(deltas), self.moment(write.at)
        cursor.execute(self._SAVE, [write.learner_id, moment, moment, rows])
        saved = list(cursor.fetchall())  # drained: RETURNING writes only as it is read
        cursor.execute(
            self._KEEP, [write.learner_id, moment, write.actor_id, write.origin, rows, write.learner_id]
        )
        return saved

    # json_patch merges deeply, but every value is a string, so here it replaces whole values and drops nulls.
    # WHERE true: without it SQLite reads ON CONFLICT as the join's ON.
    _SAVE = f"""
        INSERT INTO {STATE} AS stored (student_id, usage_id, fields, revision, done, created, modified)
        SELECT %s, json_extract(value, '$[0]'), json_extract(value, '$[1]'), 1, 'na', %s, %s
        FROM json_each(%s) WHERE true
        ON CONFLICT (student_id, usage_id) DO UPDATE SET
            fields = json_patch(stored.fields, excluded.fields),
            revision = stored.revision + 1,
            modified = max(stored.modified, excluded.modified)
        RETURNING {_COLUMNS}
    """

    # The transaction holds the write lock by now, so the revisions are still those of this save.
    _KEEP = f"""
        INSERT INTO {HISTORY} (student_id, usage_id, revision, delta, created, grade, max_grade, actor_id, origin)
        SELECT %s, usage_id, revision, json_extract(value, '$[1]'), %s, grade, max_grade, %s, %s
        FROM json_each(%s) JOIN {STATE} ON student_id = %s AND usage_id = json_extract(value, '$[0]')
    """

    def read_states(self, cursor: CursorWrapper, learner_id: int, usage_ids: Sequence[int]) -> list[StateRow]:
        cursor.execute(self._READ, [learner_id, json.dumps(usage_ids)])
        return list(cursor.fetchall())

    _READ = (
        f"SELECT {_COLUMNS} FROM {STATE} WHERE student_id = %s AND usage_id IN (SELECT value FROM json_each(%s))"
    )

    def read_states_by_key(
        self, cursor: CursorWrapper, learner_id: int, keys: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        cursor.execute(self._READ_BY_KEY, [learner_id, json.dumps(keys)])
        return list(cursor.fetchall())

    _READ_BY_KEY = f"""
        SELECT met."key", {_COLUMNS.replace("usage_id", "met.id")}
        FROM {USAGE} AS met LEFT JOIN {STATE} ON usage_id = met.id AND student_id = %s
        WHERE met."key" IN (SELECT value FROM json_each(%s))
    """

    def read_summaries(self, cursor: CursorWrapper, usage_ids: Sequence[int]) -> list[tuple[Any, ...]]:
        cursor.execute(self._READ_SUMMARIES, [json.dumps(usage_ids)])
        return list(cursor.fetchall())

    _READ_SUMMARIES = f"""
        SELECT usage_id, field_name, value, {_TIME.format("modified")}
        FROM {SUMMARY.name} WHERE usage_id IN (SELECT value FROM json_each(%s))
    """

    def read_summaries_by_key(self, cursor: CursorWrapper, keys: Sequence[str]) -> list[tuple[Any, ...]]:
        cursor.execute(self._READ_SUMMARIES_BY_KEY, [json.dumps(keys)])
        return list(cursor.fetchall())

    _READ_SUMMARIES_BY_KEY = f"""
        SELECT met."key", field_name, value, {_TIME.format("modified")}
        FROM {USAGE} AS met JOIN {SUMMARY.name} ON usage_id = met.id
        WHERE met."key" IN (SELECT value FROM json_each(%s))
    """

    def select_ids(self, cursor: CursorWrapper, table: str, keys: Sequence[str]) -> dict[str, int]:
        statement = f'SELECT "key", id FROM {table} WHERE "key" IN (SELECT value FROM json_each(%s))'
        cursor.execute(statement, [json.dumps(keys)])
        return dict(cursor.fetchall())

    def insert_ids(
        self, cursor: CursorWrapper, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
    ) -> dict[str, int]:
        return upsert_ids(cursor, table, columns, rows)

    def to_datetime(self, stored: Any) -> datetime:
        return aware(datetime.fromisoformat(stored))

    def moment(self, at: datetime) -> Any:
        return at.replace(tzinfo=None).isoformat(sep=" ")

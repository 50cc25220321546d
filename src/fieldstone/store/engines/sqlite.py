"""SQLite: states and history are two statements, so the store puts a transaction around them.

Lists go in as one JSON parameter: the text of each statement stays the same whatever their length, so the
driver's statement cache serves it, and no limit on parameters applies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.base import Engine, LearnerStateWrite, StateRow, StateWrite, Write
from fieldstone.store.engines.interning import MetKey, NewUsage
from fieldstone.store.engines.placeholders import batched, marks
from fieldstone.store.tables import CONTEXT, STATE, USAGE

_ROWS_TO_A_STATEMENT = 3_000
"""Of nine parameters each: SQLite takes 32,766 to a statement."""


class SQLite(Engine):
    statements_to_save_states = 2
    time = "CAST({} AS text)"  # Django's converter for columns declared as times is slow
    ids_listed = keys_listed = "IN (SELECT value FROM json_each(%s))"
    for_update = ""  # a transaction that begins IMMEDIATE has the whole database to itself
    whereabouts = "SELECT file FROM pragma_database_list WHERE name = 'main'"

    def listed(self, values: Sequence[int] | Sequence[str]) -> Any:
        return json.dumps(values)

    def lock_rows(
        self, cursor: CursorWrapper, table: str, key: Sequence[str], rows: Sequence[Any], order: Sequence[str]
    ) -> None:
        """Nothing: a transaction that begins IMMEDIATE has the whole database to itself."""

    def save_states(self, cursor: CursorWrapper, write: Write, rows: Sequence[StateWrite]) -> list[StateRow]:
        # Rows with a grade one by one: neither SQLite's JSON nor its CAST reads every number exactly.
        by_itself = [row for row in rows if row[2] is not None or len(rows) == 1]
        together = [] if len(rows) == 1 else [row[:2] for row in rows if row[2] is None]
        moment = self.moment(write.at)
        statements: list[tuple[str, list[Any]]] = [(self._SAVE_ONE, [*row]) for row in by_itself]
        if together:
            statements.append((self._SAVE_MANY, [json.dumps(together)]))
        saved: list[StateRow] = []
        for statement, incoming in statements:
            cursor.execute(statement, [write.learner_id, moment, moment, *incoming])
            saved += cursor.fetchall()  # drained: RETURNING writes only as it is read
        self._keep(cursor, write, rows, saved)
        return saved

    def save_states_of_many(
        self, cursor: CursorWrapper, write: Write, rows: Sequence[LearnerStateWrite]
    ) -> list[tuple[Any, ...]]:
        moment = self.moment(write.at)
        saved: list[tuple[Any, ...]] = []
        for some in batched(rows, _ROWS_TO_A_STATEMENT):
            written = [(learner_id, moment, moment, *row, 1, "na") for learner_id, *row in some]
            cursor.execute(self._SAVE_OF_MANY.format(marks(written)), [value for row in written for value in row])
            saved += cursor.fetchall()
        self._keep_of_many(cursor, write, rows, saved)
        return saved

    # json_patch merges deeply, but every value is a string, so here it replaces whole values and drops nulls.
    # Of NULL it makes NULL: a grade alone leaves the fields as they are.
    _SAVE = f"""
        INSERT INTO {STATE} AS stored
            (student_id, created, modified, usage_id, fields, grade, max_grade, revision, done)
        {{rows}}
        ON CONFLICT (student_id, usage_id) DO UPDATE SET
            fields = coalesce(json_patch(coalesce(stored.fields, '{{{{}}}}'), excluded.fields), stored.fields),
            grade = coalesce(excluded.grade, stored.grade),
            max_grade = coalesce(excluded.max_grade, stored.max_grade),
            revision = stored.revision + 1,
            modified = max(stored.modified, excluded.modified)
        RETURNING {{learner}}usage_id, coalesce(fields, '{{{{}}}}') AS fields, revision,
            {time.format("modified")} AS modified, grade, max_grade, done
    """
    _SAVE = " ".join(_SAVE.split())  # Django goes through the text of each statement with a pattern
    _SAVE_ONE = _SAVE.format(rows="VALUES (%s, %s, %s, %s, %s, %s, %s, 1, 'na')", learner="")
    # WHERE true: without it SQLite reads ON CONFLICT as the join's ON.
    _SAVE_MANY = _SAVE.format(
        rows="SELECT %s, %s, %s, json_extract(value, '$[0]'), json_extract(value, '$[1]'), NULL, NULL, 1, 'na'"
        " FROM json_each(%s) WHERE true",
        learner="",
    )
    _SAVE_OF_MANY = _SAVE.replace("'{{}}'", "'{{{{}}}}'").format(rows="VALUES {}", learner="student_id, ")

    # Whoever writes keeps all others from writing, so the rows that are there may as well be written over:
    # only a row that the statement wrote is returned.
    def meet_usages(self, cursor: CursorWrapper, rows: Sequence[NewUsage]) -> list[MetKey]:
        cursor.execute(
            f"INSERT INTO {USAGE} (key, context_id, block_type)"
            " SELECT json_extract(value, '$[0]'), context.id, json_extract(value, '$[2]')"
            f" FROM json_each(%s) JOIN {CONTEXT} AS context ON context.key = json_extract(value, '$[1]')"
            " WHERE true"  # without it SQLite reads ON CONFLICT as the join's ON
            " ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING key, id, context_id",
            [json.dumps(rows)],
        )
        return list(cursor.fetchall())

    def token(self, token: UUID | None) -> Any:
        return token and token.hex

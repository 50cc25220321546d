"""What the store asks of an engine. Every method runs the statements of one step on an open cursor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.interning import Interning
from fieldstone.store.engines.placeholders import marks
from fieldstone.store.tables import HISTORY, SNAPSHOT_EVERY, STATE, SUMMARY, USAGE, FieldTable

StateRow = tuple[int, str, int, Any, float | None, float | None, str]
"""A row of ``StudentModule``: usage id, text of the fields, revision, modified, grade, maximum grade, done.

Times are what ``Engine.to_datetime`` takes.
"""


StateWrite = tuple[int, str | None, float | None, float | None]
"""Usage id, text of the delta, grade, maximum grade; ``None`` leaves what is stored.

With neither fields nor a delta a row's fields are NULL: nobody has looked at the block yet. It reads as no fields.
"""

LearnerStateWrite = tuple[int, int, str | None, float | None, float | None]
"""The learner's id, and then a ``StateWrite``."""

NO_CHANGE = "{}"
"""The delta in the history of a save that leaves the fields."""


@dataclass(frozen=True)
class Write:
    """What is the same for all rows of one save."""

    learner_id: int
    at: datetime
    actor_id: int | None
    origin: str
    token: UUID | None


FieldValue = tuple[tuple[Any, ...], str, str | None]
"""The place's values for ``FieldTable.columns``, the field's name, and its JSON text or ``None`` to delete it."""


class Engine(Interning, ABC):
    """The statements of one database engine."""

    statements_to_save_states: ClassVar[int]
    """How many statements ``save_states`` runs at least: a save that is one needs no transaction around it."""

    time: ClassVar[str]
    """The expression that reads a column of times, as a format string: past Django's own slow conversion."""

    rows_listed: ClassVar[str] = "IN (VALUES {})"
    """The condition that some columns are one of the rows whose placeholders are put in."""

    for_update: ClassVar[str] = " FOR UPDATE"
    """What a query ends with that locks its rows."""

    whereabouts: ClassVar[str]
    """The statement that tells one database from every other, by whatever address it was reached; one row."""

    def to_datetime(self, stored: Any) -> datetime:
        """A moment, aware and in UTC, from what the driver gave."""
        try:
            return datetime.fromisoformat(stored + "+00:00")  # half the time of a replace(tzinfo=UTC)
        except ValueError:
            return datetime.fromisoformat(stored)

    def moment(self, at: datetime) -> Any:
        """A moment as the driver takes it. As text: mysqlclient would cut a datetime to seconds."""
        return at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")

    def is_deadlock(self, error: OperationalError) -> bool:
        """Whether the server has ended what this error comes from because of a deadlock."""
        return False

    @abstractmethod
    def save_states(self, cursor: CursorWrapper, write: Write, rows: Sequence[StateWrite]) -> list[StateRow]:
        """Merge deltas, sorted by usage id and without repeats, set their grades, and write their history.

        The merge happens on the server: nothing is read first, so writers of different fields never lose each
        other's work. Gives the merged rows in any order.
        """

    @abstractmethod
    def save_states_of_many(
        self, cursor: CursorWrapper, write: Write, rows: Sequence[LearnerStateWrite]
    ) -> list[tuple[Any, ...]]:
        """``save_states`` of many learners, sorted by learner and usage: ``(learner id, *StateRow)`` in any order.

        ``write`` names no learner. Within a transaction.
        """

    def read_states_of_many(
        self, cursor: CursorWrapper, learner_ids: Sequence[int], usage_ids: Sequence[int]
    ) -> list[tuple[Any, ...]]:
        """The rows of all these learners at all these usages, in any order, in one query: as ``scan_usage``."""
        cursor.execute(
            f"{self.select} student_id, {self._state_columns()} FROM {STATE}"
            f" WHERE student_id {self.ids_listed} AND usage_id {self.ids_listed}",
            [self.listed(learner_ids), self.listed(usage_ids)],
        )
        return list(cursor.fetchall())

    def lock_states(
        self, cursor: CursorWrapper, learner_ids: Sequence[int], usage_ids: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Lock the same rows, in the order in which saves do: ``(learner id, usage id, revision)``."""
        cursor.execute(
            f"{self.select} student_id, usage_id, revision FROM {STATE}"
            f" WHERE student_id {self.ids_listed} AND usage_id {self.ids_listed}"
            f" ORDER BY student_id, usage_id{self.for_update}",
            [self.listed(learner_ids), self.listed(usage_ids)],
        )
        return list(cursor.fetchall())

    def count_states(
        self, cursor: CursorWrapper, usage_ids: Sequence[int], learner_ids: Sequence[int] | None
    ) -> dict[int, int]:
        """How many states there are at each of these usages that has any; of these learners, or of all."""
        condition, values = f"usage_id {self.ids_listed}", [self.listed(usage_ids)]
        if learner_ids is not None:
            condition, values = (
                f"{condition} AND student_id {self.ids_listed}",
                [*values, self.listed(learner_ids)],
            )
        cursor.execute(
            f"{self.select} usage_id, count(*) FROM {STATE} WHERE {condition} GROUP BY usage_id", values
        )
        return dict(cursor.fetchall())

    def learners_at(self, cursor: CursorWrapper, usage_id: int, after: int, until: int, limit: int) -> list[int]:
        """The next learners with a row at a usage, by id, from the block-first index alone."""
        cursor.execute(
            f"SELECT student_id FROM {STATE} WHERE usage_id = %s AND student_id > %s AND student_id <= %s"
            " ORDER BY usage_id, student_id LIMIT %s",
            [usage_id, after, until, limit],
        )
        return [row[0] for row in cursor.fetchall()]

    def learner_at(self, cursor: CursorWrapper, usage_id: int, position: int) -> int | None:
        """The learner at a place, from 0, in the order of a usage's rows."""
        cursor.execute(
            f"SELECT student_id FROM {STATE} WHERE usage_id = %s ORDER BY usage_id, student_id LIMIT 1 OFFSET %s",
            [usage_id, position],
        )
        row = cursor.fetchone()
        return row and int(row[0])

    def clear_grades_of_many(self, cursor: CursorWrapper, usage_id: int, learner_ids: Sequence[int]) -> None:
        """Take the grades of these learners away at a usage whose rows are locked."""
        cursor.execute(
            f"UPDATE {STATE} SET grade = NULL, max_grade = NULL"
            f" WHERE usage_id = %s AND student_id {self.ids_listed}",
            [usage_id, self.listed(learner_ids)],
        )

    def read_states(self, cursor: CursorWrapper, learner_id: int, usage_ids: Sequence[int]) -> list[StateRow]:
        """The rows of one learner at these usages, in any order, in one query."""
        cursor.execute(
            f"{self.select} {self._state_columns()} FROM {STATE}"
            f" WHERE student_id = %s AND usage_id {self.ids_listed}",
            [learner_id, self.listed(usage_ids)],
        )
        return list(cursor.fetchall())

    def lock_rows(
        self, cursor: CursorWrapper, table: str, key: Sequence[str], rows: Sequence[Any], order: Sequence[str]
    ) -> None:
        """Lock the rows that have these values in the key's columns, in this order, until the transaction ends."""
        cursor.execute(
            f"SELECT 1 FROM {table} WHERE ({', '.join(key)}) {self.rows_listed.format(marks(rows))}"
            f" ORDER BY {', '.join(order)} FOR UPDATE",
            [value for row in rows for value in row],
        )
        cursor.fetchall()

    def read_states_by_key(
        self, cursor: CursorWrapper, learner_id: int, keys: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        """The same by key, for usages whose ids the process may not have met, in one query.

        ``(key, usage id, fields, ...)`` as in ``StateRow``, for every key that is interned; the revision is
        ``None`` where this learner has no state.
        """
        cursor.execute(
            f"{self.select} met.key, {self._state_columns('met.id')}"
            f" FROM {USAGE} AS met LEFT JOIN {STATE} ON usage_id = met.id AND student_id = %s"
            f" WHERE met.key {self.keys_listed}",
            [learner_id, self.listed(keys)],
        )
        return list(cursor.fetchall())

    def read_summaries(self, cursor: CursorWrapper, usage_ids: Sequence[int]) -> list[tuple[Any, ...]]:
        """The ``user_state_summary`` fields of these usages in one query.

        ``(usage id, revision, name, value, modified)``.
        """
        cursor.execute(
            f"{self.select} usage_id, revision, field_name, value, {self.time.format('modified')}"
            f" FROM {SUMMARY.name} WHERE usage_id {self.ids_listed}",
            [self.listed(usage_ids)],
        )
        return list(cursor.fetchall())

    def read_summaries_by_key(self, cursor: CursorWrapper, keys: Sequence[str]) -> list[tuple[Any, ...]]:
        """The same, for usages whose ids the process has not met, with their keys."""
        cursor.execute(
            f"{self.select} met.key, revision, field_name, value, {self.time.format('modified')}"
            f" FROM {USAGE} AS met JOIN {SUMMARY.name} ON usage_id = met.id"
            f" WHERE met.key {self.keys_listed}",
            [self.listed(keys)],
        )
        return list(cursor.fetchall())

    def _state_columns(self, usage_id: str = "usage_id") -> str:
        """The columns of a ``StateRow``."""
        fields = "coalesce(fields, '{}')"
        return f"{usage_id}, {fields}, revision, {self.time.format('modified')}, grade, max_grade, done"

    def read_fields(
        self, cursor: CursorWrapper, table: FieldTable, places: Sequence[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        """The rows of these places in one query.

        The place's columns, then ``revision, field_name, value, modified``.
        """
        names = ", ".join(table.columns)
        cursor.execute(
            f"SELECT {names}, revision, field_name, value, {self.time.format('modified')} FROM {table.name}"
            f" WHERE ({names}) {self.rows_listed.format(marks(places))}",
            [value for place in places for value in place],
        )
        return list(cursor.fetchall())

    def scan_usage(self, cursor: CursorWrapper, usage_id: int, after: int, limit: int) -> list[tuple[Any, ...]]:
        """The next rows of a usage, by learner, after this one: ``(learner id, usage id, fields, ...)``."""
        # Both columns in the range and the order leave the block-first index alone to serve it. Of `usage_id = ..
        # AND student_id > ..` PostgreSQL thought the primary key was as good, and read other blocks' rows.
        cursor.execute(
            f"SELECT student_id, {self._state_columns()} FROM {STATE}"
            " WHERE (usage_id, student_id) > (%s, %s) AND usage_id <= %s"
            " ORDER BY usage_id, student_id LIMIT %s",
            [usage_id, after, usage_id, limit],
        )
        return list(cursor.fetchall())

    def scan_context(
        self, cursor: CursorWrapper, context_id: int, block_type: str | None, after: int, limit: int
    ) -> list[tuple[Any, ...]]:
        """The first rows of a context's usages after this one, by usage and learner.

        ``(key, block type, learner id, usage id, fields, ...)``, of one block type or of all (``None``).
        """
        # SQLite walks the context's usages by the index (context, id), each by the block-first index, and stops at
        # the limit. The keyset is on usages alone, and `scan_usage` reads the rest of the last one: with
        # `(usage_id, student_id) > ..` here, what is left of a large usage is read and sorted anew for each batch.
        of_type, types = ("", []) if block_type is None else (" AND met.block_type = %s", [block_type])
        cursor.execute(
            f"SELECT met.key, met.block_type, student_id, {self._state_columns()}"
            f" FROM {USAGE} AS met JOIN {STATE} ON usage_id = met.id"
            f" WHERE met.context_id = %s AND met.id > %s{of_type} ORDER BY met.id, student_id LIMIT %s",
            [context_id, after, *types, limit],
        )
        return list(cursor.fetchall())

    def scan_usages(
        self, cursor: CursorWrapper, context_id: int, block_type: str | None, after: int, limit: int
    ) -> list[tuple[Any, ...]]:
        """The next usages of a context, by id, after this one: ``(usage id, key, block type)``."""
        of_type, types = ("", []) if block_type is None else (" AND met.block_type = %s", [block_type])
        cursor.execute(
            f"SELECT id, met.key, met.block_type FROM {USAGE} AS met"
            f" WHERE met.context_id = %s AND met.id > %s{of_type} ORDER BY met.id LIMIT %s",
            [context_id, after, *types, limit],
        )
        return list(cursor.fetchall())

    def scan_fields(
        self, cursor: CursorWrapper, table: FieldTable, place: Sequence[Any], after: int, limit: int
    ) -> list[tuple[Any, ...]]:
        """The next rows of a learners' table, by learner, after this one.

        ``(learner id, revision, name, value, modified)``. ``place`` has the columns' values beside the learner's.
        """
        # By the primary key, which begins with the learner: of one block type, too, since an index for that
        # would cost every save, and a walk over all learners is rare.
        rest = "".join(f" AND {name} = %s" for name in table.columns[1:])
        cursor.execute(
            f"SELECT student_id, revision, field_name, value, {self.time.format('modified')} FROM {table.name}"
            f" WHERE student_id > %s{rest} ORDER BY student_id LIMIT %s",
            [after, *place, limit],
        )
        return list(cursor.fetchall())

    def read_scores(self, cursor: CursorWrapper, learner_id: int, keys: Sequence[str]) -> list[tuple[Any, ...]]:
        """The grades of one learner at these usages in one query: ``(key, grade, maximum grade, created)``."""
        cursor.execute(
            f"{self.select} met.key, grade, max_grade, {self.time.format('created')}"
            f" FROM {USAGE} AS met JOIN {STATE} ON usage_id = met.id AND student_id = %s"
            f" WHERE met.key {self.keys_listed}",
            [learner_id, self.listed(keys)],
        )
        return list(cursor.fetchall())

    def token(self, token: UUID | None) -> Any:
        """A token as the driver takes it."""
        return token

    def _keep(
        self, cursor: CursorWrapper, write: Write, rows: Sequence[StateWrite], saved: Sequence[StateRow]
    ) -> None:
        """Write the history of rows, given what the statement that merged them returned.

        Under its row locks, so the revisions are those of this very save. What it returned comes from here: joined
        with the states again it took SQLite four times as long.
        """
        of_learner = [(write.learner_id, *row) for row in rows]
        self._keep_of_many(cursor, write, of_learner, [(write.learner_id, *row) for row in saved])

    def _keep_of_many(
        self,
        cursor: CursorWrapper,
        write: Write,
        rows: Sequence[LearnerStateWrite],
        saved: Sequence[tuple[Any, ...]],
    ) -> None:
        """The same of many learners."""
        deltas = {(learner_id, usage_id): delta for learner_id, usage_id, delta, *_ in rows}
        who = (write.actor_id, write.origin, self.token(write.token))
        cursor.executemany(
            f"INSERT INTO {HISTORY} (student_id, usage_id, revision, delta, snapshot, created, grade, max_grade,"
            " actor_id, origin, token) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(learner_id, usage_id, revision, deltas[learner_id, usage_id] or NO_CHANGE),
                    fields if revision % SNAPSHOT_EVERY == 0 else None,
                    *(modified, grade, max_grade, *who),
                )
                for learner_id, usage_id, fields, revision, modified, grade, max_grade, _ in saved
            ],
        )

    def clear_grades(
        self, cursor: CursorWrapper, write: Write, saved: Sequence[StateRow], usage_ids: Sequence[int]
    ) -> list[StateRow]:
        """Take grades away from rows that ``save_states`` has just saved, and from this save's history.

        After it, under its row locks: locked before, out of order, they would deadlock with another save.
        """
        revisions = {usage_id: revision for usage_id, _, revision, *_ in saved if usage_id in usage_ids}
        # A row a statement: of a list of rows MariaDB may look for none by the key, and lock them all.
        of_row = "SET grade = NULL, max_grade = NULL WHERE student_id = %s AND usage_id = %s"
        cursor.executemany(f"UPDATE {STATE} {of_row}", [(write.learner_id, usage_id) for usage_id in revisions])
        cursor.executemany(
            f"UPDATE {HISTORY} {of_row} AND revision = %s",
            [(write.learner_id, *row) for row in revisions.items()],
        )
        return [(*row[:4], None, None, row[6]) if row[0] in revisions else row for row in saved]

    def save_fields(
        self,
        cursor: CursorWrapper,
        write: Write,
        table: FieldTable,
        fields: Sequence[FieldValue],
        *,
        revisions_too: bool = False,
    ) -> dict[tuple[Any, ...], int]:
        """Write and delete fields of a table with a row per field: one statement, and at most one a deletion.

        Gives the revisions that the rows have from now on, by ``(*place, name)``, if asked to.
        """
        deletes = sorted((*place, name) for place, name, text in fields if text is None)
        key = (*table.columns, "field_name")
        revisions: dict[tuple[Any, ...], int] = {}
        if len(deletes) < len(fields) or revisions_too:
            moment = self.moment(write.at)
            # What will be deleted is set as well, so that all rows are locked in one order: when one save sets a
            # row that another deletes, and the other way round, each would wait for the other.
            rows = sorted((*place, name, text or "null", 1, moment, moment) for place, name, text in fields)
            self._merge_fields(cursor, table, key, rows, f"RETURNING {', '.join(key)}, revision" * revisions_too)
            if revisions_too:
                revisions = {tuple(row[:-1]): row[-1] for row in cursor.fetchall()}
        if deletes:
            self.delete_rows(cursor, table.name, key, deletes)
        return revisions

    def delete_rows(
        self, cursor: CursorWrapper, table: str, key: Sequence[str], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Delete rows, sorted, given by their keys."""
        cursor.execute(
            f"DELETE FROM {table} WHERE ({', '.join(key)}) {self.rows_listed.format(marks(rows))}",
            [value for row in rows for value in row],
        )

    def _merge_fields(
        self,
        cursor: CursorWrapper,
        table: FieldTable,
        key: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        returning: str,
    ) -> None:
        """Insert rows of ``(*key, value, revision, created, modified)``, or put them in place of those there."""
        cursor.execute(
            f"INSERT INTO {table.name} AS stored ({', '.join(key)}, value, revision, created, modified)"
            f" VALUES {marks(rows)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET value = excluded.value,"
            f" revision = stored.revision + 1, modified = excluded.modified {returning}",
            [value for row in rows for value in row],
        )

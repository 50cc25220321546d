"""The statements over the history, wherever it is: plain SQL that every engine reads alike.

The history of a store may be in two tables, on two aliases and even on two engines (``store/outbox.py``), so
what is asked here is asked of a table and not of an engine. Rows come and go as Python's own values.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections

from fieldstone.store.engines import engine_of
from fieldstone.store.engines.placeholders import marks
from fieldstone.store.tables import HISTORY, LOWEST_ID

RevisionKey = tuple[int, int, int]
"""(learner id, usage id, revision)"""

KEY = "student_id, usage_id, revision"


class HistoryRow(NamedTuple):
    """A row of ``StudentModuleHistory``."""

    learner_id: int
    usage_id: int
    revision: int
    delta: str
    snapshot: str | None
    created: datetime
    grade: float | None
    max_grade: float | None
    actor_id: int | None
    origin: str
    token: UUID | None

    @property
    def key(self) -> RevisionKey:
        return self.learner_id, self.usage_id, self.revision

    def is_same_save(self, other: HistoryRow) -> bool:
        """Whether both are of one save; a snapshot may have been added to one of them since."""
        return self._replace(snapshot=None) == other._replace(snapshot=None)


class Change(NamedTuple):
    """What a row of ``StudentModuleHistory`` says of the save: a page of history is made of these, so no more."""

    revision: int
    delta: str
    created: datetime
    origin: str
    actor_id: int | None


class Span(NamedTuple):
    """From where to where the history of one row goes."""

    learner_id: int
    usage_id: int
    oldest: int  # revisions
    latest: int
    then: int | None  # the revision that was current at the moment asked about; None before the oldest


class HistoryTable:
    """The table of history on one database alias."""

    def __init__(self, using: str) -> None:
        self.using = using
        self._connection = connections[using]
        self._engine = engine_of(self._connection)
        moment = self._engine.time.format("created")
        self._columns = f"{KEY}, delta, snapshot, {moment}, grade, max_grade, actor_id, origin, token"

    # Looking back

    def changes(self, learner_id: int, usage_id: int) -> list[Change]:
        """The history of one learner at one usage, latest first."""
        to_datetime = self._engine.to_datetime
        rows = self._fetch(
            f"SELECT revision, delta, {self._engine.time.format('created')}, origin, actor_id FROM {HISTORY}"
            " WHERE student_id = %s AND usage_id = %s ORDER BY revision DESC",
            [learner_id, usage_id],
        )
        return [
            Change(revision, delta, to_datetime(at), origin, actor) for revision, delta, at, origin, actor in rows
        ]

    def read_until(self, learner_id: int, usage_id: int, asked: int | datetime) -> list[HistoryRow]:
        """What rebuilds a state: the revisions from the last snapshot up to a revision, or to a moment."""
        column, value = ("revision", asked) if isinstance(asked, int) else ("created", self._engine.moment(asked))
        of_row = f"student_id = %s AND usage_id = %s AND {column} <= %s"
        return self._rows(
            f"SELECT {self._columns} FROM {HISTORY} WHERE {of_row}"
            f" AND revision >= coalesce((SELECT max(revision) FROM {HISTORY}"
            f" WHERE {of_row} AND snapshot IS NOT NULL), 0) ORDER BY revision",
            [learner_id, usage_id, value] * 2,
        )

    def read_all(self, learner_id: int, usage_id: int) -> list[HistoryRow]:
        """Every revision of one learner at one usage, oldest first."""
        return self._rows(
            f"SELECT {self._columns} FROM {HISTORY} WHERE student_id = %s AND usage_id = %s ORDER BY revision",
            [learner_id, usage_id],
        )

    def ends(self, learner_id: int, usage_id: int) -> list[HistoryRow]:
        """The oldest and the latest revision of one learner at one usage, or the one that is both, or none."""
        of_row = "student_id = %s AND usage_id = %s"
        return self._rows(
            f"SELECT {self._columns} FROM {HISTORY} WHERE {of_row} AND revision IN"
            f" ((SELECT min(revision) FROM {HISTORY} WHERE {of_row}),"
            f" (SELECT max(revision) FROM {HISTORY} WHERE {of_row})) ORDER BY revision",
            [learner_id, usage_id] * 3,
        )

    def first_under(self, learner_id: int, usage_ids: Sequence[int], token: UUID) -> dict[int, int]:
        """Usage id to the first revision that was saved under a token."""
        rows = self._fetch(
            f"{self._engine.select} usage_id, min(revision) FROM {HISTORY} WHERE student_id = %s"
            f" AND usage_id {self._engine.ids_listed} AND token = %s GROUP BY usage_id",
            [learner_id, self._engine.listed(usage_ids), self._engine.token(token)],
        )
        return dict(rows)

    # Moving

    def count(self) -> int:
        """How many rows the table has."""
        return int(self._fetch(f"SELECT count(*) FROM {HISTORY}")[0][0])

    def keys(self, after: RevisionKey, limit: int) -> list[RevisionKey]:
        """The next rows by key."""
        return self._fetch(
            # The first condition is for MariaDB, which looks at no index for the second.
            f"SELECT {KEY} FROM {HISTORY} WHERE student_id >= %s AND ({KEY}) > (%s, %s, %s)"
            f" ORDER BY {KEY} LIMIT %s",
            [after[0], *after, limit],
        )

    def keys_of(self, learner_id: int, limit: int) -> list[RevisionKey]:
        """The first rows of a learner by key."""
        return self._fetch(
            f"SELECT {KEY} FROM {HISTORY} WHERE student_id = %s ORDER BY {KEY} LIMIT %s", [learner_id, limit]
        )

    def keys_of_rows(self, rows: Sequence[tuple[int, int]]) -> list[RevisionKey]:
        """All revisions of these (learner, usage)."""
        return self._fetch(
            f"{self._engine.select} {KEY} FROM {HISTORY}"
            f" WHERE (student_id, usage_id) {self._engine.rows_listed.format(marks(rows))} ORDER BY {KEY}",
            [value for row in rows for value in row],
        )

    def read_rows(
        self, keys: Sequence[RevisionKey], *, lock: bool = False, skip_locked: bool = False
    ) -> list[HistoryRow]:
        """Those of these rows, sorted by key, that are there; locked if asked to be, but for those that are."""
        listed = f"({KEY}) {self._engine.rows_listed.format(marks(keys))}"
        return self._rows(
            # The range is for PostgreSQL, which reads the whole of a table that it takes for small: one that was
            # empty when it was last analysed, and is being filled (543 rows a second moved, with the range 4,800).
            f"{self._engine.select} {self._columns} FROM {HISTORY}"
            f" WHERE student_id >= %s AND student_id <= %s AND {listed} ORDER BY {KEY}"
            f" {self._for_update(skip_locked=skip_locked) if lock else ''}",
            [keys[0][0], keys[-1][0], *(value for key in keys for value in key)],
        )

    def add(self, rows: Sequence[HistoryRow]) -> None:
        """Insert rows."""
        moment, token = self._engine.moment, self._engine.token
        values = [row._replace(created=moment(row.created), token=token(row.token)) for row in rows]
        self._execute(
            f"INSERT INTO {HISTORY} ({', '.join(_FIELDS)}) VALUES {marks(values)}",
            [value for row in values for value in row],
        )

    def remove(self, keys: Sequence[RevisionKey]) -> None:
        """Delete rows, sorted by key."""
        with self._connection.cursor() as cursor:
            self._engine.delete_rows(cursor, HISTORY, _FIELDS[:3], keys)

    def is_same_table(self, other: HistoryTable) -> bool:
        """Whether another alias leads to this same table, by another address or another name."""
        if self._connection.vendor != other._connection.vendor:
            return False
        return self._whereabouts() == other._whereabouts()

    def _whereabouts(self) -> tuple[Any, ...]:
        (row,) = self._fetch(self._engine.whereabouts)
        if any(row):
            return tuple(row)
        # A database in memory is the connection's own, unless it is shared by name.
        name = str(self._connection.settings_dict["NAME"])
        return (name if "cache=shared" in name else self.using,)

    # Trimming

    def spans(self, after: tuple[int, int], moment: datetime, limit: int) -> list[Span]:
        """The next rows of state by (learner, usage), and how far their history goes."""
        rows = self._fetch(
            "SELECT student_id, usage_id, min(revision), max(revision),"
            " max(CASE WHEN created <= %s THEN revision END)"
            f" FROM {HISTORY} WHERE student_id >= %s AND (student_id, usage_id) > (%s, %s)"
            " GROUP BY student_id, usage_id ORDER BY student_id, usage_id LIMIT %s",
            [self._engine.moment(moment), after[0], *after, limit],
        )
        return [Span(*row) for row in rows]

    def oldest_of(self, rows: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """The oldest revisions of these (learner, usage); those without history are not in it."""
        found = self._fetch(
            f"{self._engine.select} student_id, usage_id, min(revision) FROM {HISTORY}"
            f" WHERE (student_id, usage_id) {self._engine.rows_listed.format(marks(rows))}"
            " GROUP BY student_id, usage_id",
            [value for row in rows for value in row],
        )
        return {(learner_id, usage_id): oldest for learner_id, usage_id, oldest in found}

    def lock_oldest(self, learner_id: int, usage_id: int) -> bool:
        """Lock the oldest revision of a row; false if there is none, or it was deleted while this waited."""
        rows = self._fetch(
            f"SELECT revision FROM {HISTORY} WHERE student_id = %s AND usage_id = %s ORDER BY revision LIMIT 1"
            f" {self._for_update()}",
            [learner_id, usage_id],
        )
        return bool(rows)

    def cut(self, key: RevisionKey, snapshot: str) -> int:
        """Make a revision the oldest, with its whole state beside it; how many revisions were deleted."""
        self._execute(
            f"UPDATE {HISTORY} SET snapshot = %s WHERE student_id = %s AND usage_id = %s AND revision = %s",
            [snapshot, *key],
        )
        return self._execute(
            f"DELETE FROM {HISTORY} WHERE student_id = %s AND usage_id = %s AND revision < %s", [*key]
        )

    # Running statements

    def _for_update(self, **options: bool) -> str:
        # SQLite has no row locks: there the transaction itself keeps all others from writing.
        connection = self._connection
        return str(connection.ops.for_update_sql(**options)) if connection.features.has_select_for_update else ""

    def _rows(self, statement: str, values: Sequence[Any]) -> list[HistoryRow]:
        to_datetime = self._engine.to_datetime
        return [
            HistoryRow._make([*row[:5], to_datetime(row[5]), *row[6:10], _uuid(row[10])])
            for row in self._fetch(statement, values)
        ]

    def _fetch(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def _execute(self, statement: str, values: Sequence[Any]) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return int(cursor.rowcount)


_FIELDS = ("student_id", "usage_id", *HistoryRow._fields[2:])

BEFORE_ALL: RevisionKey = (LOWEST_ID, LOWEST_ID, LOWEST_ID)
"""Before every row: where a walk begins."""


def _uuid(stored: Any) -> UUID | None:
    """Some drivers give a UUID, others its text."""
    return stored if stored is None or isinstance(stored, UUID) else UUID(str(stored))

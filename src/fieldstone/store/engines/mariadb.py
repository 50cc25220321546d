"""MariaDB: states and history are two statements, so the store puts a transaction around them.

The driver puts parameters into the text itself, so nothing is gained by a text that stays the same: rows go in as
``VALUES``, lists as ``IN (...)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.base import Engine, LearnerStateWrite, StateRow, StateWrite, Write
from fieldstone.store.engines.interning import MetKey, NewUsage
from fieldstone.store.engines.placeholders import marks
from fieldstone.store.tables import CONTEXT, STATE, USAGE, FieldTable
from fieldstone.values import decode_value, encode_fields


class MariaDB(Engine):
    statements_to_save_states = 2
    time = "CAST({} AS char)"  # the driver reads times in slow Python
    # From 1,000 values on MariaDB would turn a list into a derived table, and read all rows of the learner to join
    # it; 0 keeps the lookups by primary key.
    select = "SET STATEMENT in_predicate_conversion_threshold = 0 FOR SELECT"
    ids_listed = keys_listed = "IN %s"
    rows_listed = "IN ({})"  # of rows in VALUES no index is used
    # The nodes of a cluster are one database; a server without one has no state in it, '' or '00000000-..'.
    whereabouts = (
        "SELECT database(), coalesce((SELECT variable_value FROM information_schema.global_status"
        " WHERE variable_name = 'WSREP_CLUSTER_STATE_UUID' AND variable_value > '0000'"
        " AND variable_value NOT LIKE '00000000-%%'), concat_ws(' ', @@hostname, @@port, @@datadir))"
    )

    def listed(self, values: Sequence[int] | Sequence[str]) -> Any:
        return tuple(values)

    def save_states(self, cursor: CursorWrapper, write: Write, rows: Sequence[StateWrite]) -> list[StateRow]:
        moment = self.moment(write.at)
        # Row locks are taken in the order of the rows, which is sorted: see store/writing.py.
        written = [
            (write.learner_id, usage_id, _with_emptied(delta), *grades, moment, moment, 1, "na")
            for usage_id, delta, *grades in rows
        ]
        cursor.execute(self._SAVE.format(marks(written)), [value for row in written for value in row])
        saved = list(cursor.fetchall())
        self._keep(cursor, write, rows, saved)
        return saved

    def save_states_of_many(
        self, cursor: CursorWrapper, write: Write, rows: Sequence[LearnerStateWrite]
    ) -> list[tuple[Any, ...]]:
        moment = self.moment(write.at)
        written = [
            (learner_id, usage_id, _with_emptied(delta), *grades, moment, moment, 1, "na")
            for learner_id, usage_id, delta, *grades in rows
        ]
        cursor.execute(self._SAVE_OF_MANY.format(marks(written)), [value for row in written for value in row])
        saved = list(cursor.fetchall())
        self._keep_of_many(cursor, write, rows, saved)
        return saved

    # JSON_MERGE_PATCH merges deeply, but every value is a string, so here it replaces whole values. Its nulls are
    # not to be trusted: see _with_emptied. VALUES(column) is what the row would have got had it been inserted.
    # Of a damaged state it makes NULL, and says nothing; the revision, set after it, refuses that.
    _SAVE = (
        f"INSERT INTO {STATE} (student_id, usage_id, fields, grade, max_grade, created, modified, revision,"
        " done) VALUES {} ON DUPLICATE KEY UPDATE"
        f" fields = IF(VALUES(fields) IS NULL, {STATE}.fields,"
        f" JSON_MERGE_PATCH(coalesce({STATE}.fields, '{{{{}}}}'), VALUES(fields))),"
        f" grade = coalesce(VALUES(grade), {STATE}.grade),"
        f" max_grade = coalesce(VALUES(max_grade), {STATE}.max_grade),"
        f" revision = IF({STATE}.fields IS NULL AND VALUES(fields) IS NOT NULL, NULL, {STATE}.revision + 1),"
        f" modified = greatest({STATE}.modified, VALUES(modified))"
        f" RETURNING usage_id, coalesce(fields, '{{{{}}}}'), revision, {time.format('modified')},"
        " grade, max_grade, done"
    )
    _SAVE_OF_MANY = _SAVE.replace("RETURNING", "RETURNING student_id,")

    def _merge_fields(
        self,
        cursor: CursorWrapper,
        table: FieldTable,
        key: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        returning: str,
    ) -> None:
        cursor.execute(
            f"INSERT INTO {table.name} ({', '.join(key)}, value, revision, created, modified)"
            f" VALUES {marks(rows)} ON DUPLICATE KEY UPDATE value = VALUES(value),"
            f" revision = {table.name}.revision + 1, modified = VALUES(modified) {returning}",
            [value for row in rows for value in row],
        )

    # MariaDB reads no range of an index by a comparison of rows: each column for itself, then.
    def scan_usage(self, cursor: CursorWrapper, usage_id: int, after: int, limit: int) -> list[tuple[Any, ...]]:
        cursor.execute(
            f"SELECT student_id, {self._state_columns()} FROM {STATE} WHERE usage_id = %s AND student_id > %s"
            " ORDER BY usage_id, student_id LIMIT %s",
            [usage_id, after, limit],
        )
        return list(cursor.fetchall())

    # Of a join MariaDB sorts all there is before it cuts it to the limit, in any order of the tables. Of a list of
    # usages it reads the block-first index range by range, and stops.
    def scan_context(
        self, cursor: CursorWrapper, context_id: int, block_type: str | None, after: int, limit: int
    ) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        while len(rows) < limit:
            met = self.scan_usages(cursor, context_id, block_type, after, limit)
            usages = {usage_id: names for usage_id, *names in met}
            if not usages:
                break
            cursor.execute(
                f"{self.select} student_id, {self._state_columns()}"
                f" FROM {STATE} FORCE INDEX (fieldstone_block_first)"
                f" WHERE usage_id {self.ids_listed} ORDER BY usage_id, student_id LIMIT %s",
                [self.listed(list(usages)), limit - len(rows)],
            )
            rows += [(*usages[row[1]], *row) for row in cursor.fetchall()]
            after = max(usages)
        return rows

    def delete_rows(
        self, cursor: CursorWrapper, table: str, key: Sequence[str], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        # One by one, each by its primary key: of a list MariaDB may read the whole table, and a DELETE locks every
        # row that it reads, other learners' too, in the order of the table.
        of_key = " AND ".join(f"{name} = %s" for name in key)
        for row in rows:
            cursor.execute(f"DELETE FROM {table} WHERE {of_key}", row)

    # NOT EXISTS reads without a lock. ON DUPLICATE KEY and IGNORE lock a row that is there, and the gap before it,
    # for the whole transaction: here only one that another process has made in the same moment.
    def insert_contexts(self, cursor: CursorWrapper, keys: Sequence[str]) -> dict[str, int]:
        cursor.execute(
            f"INSERT INTO {CONTEXT} (`key`) WITH incoming (`key`) AS (VALUES {marks([(key,) for key in keys])})"
            " SELECT `key` FROM incoming WHERE NOT EXISTS"
            f" (SELECT 1 FROM {CONTEXT} AS met WHERE met.key = incoming.key)"
            f" ON DUPLICATE KEY UPDATE id = {CONTEXT}.id RETURNING {CONTEXT}.key, id",
            [*keys],
        )
        return dict(cursor.fetchall())

    # Only reads. An INSERT .. SELECT locks the table's auto-increment until it ends, and usages are often new to
    # several processes at once: each waited for a row of another, which waited for that lock.
    def meet_usages(self, cursor: CursorWrapper, rows: Sequence[NewUsage]) -> list[MetKey]:
        keys, contexts, _ = zip(*rows, strict=True)
        cursor.execute(
            f"{self.select} met.key, id, context_id FROM {USAGE} AS met WHERE met.key {self.keys_listed}"
            f" UNION ALL SELECT met.key, id, NULL FROM {CONTEXT} AS met WHERE met.key {self.keys_listed}",
            [self.listed(keys), self.listed(sorted(set(contexts)))],
        )
        return list(cursor.fetchall())

    # A row that was there already is returned as well.
    _INSERT_IDS = (
        "INSERT INTO {table} ({columns}) VALUES {rows} ON DUPLICATE KEY UPDATE id = {table}.id"
        " RETURNING {table}.key, id"
    )

    def is_deadlock(self, error: OperationalError) -> bool:
        # InnoDB locks the gaps between rows, too: two saves that set a field which was just deleted may each wait
        # for the other's. What would be a deadlock over an auto-increment has a number of its own.
        return error.args[:1] in ((1213,), (1467,))

    def token(self, token: UUID | None) -> Any:
        return token and str(token)


def _with_emptied(delta: str | None) -> str | None:
    """A delta in which a deleted field is an empty text instead of a null.

    JSON_MERGE_PATCH of MariaDB 10.11 keeps or loses other fields when a patch has nulls in another order than the
    document has the names: of {"a": "1", "b": "2"} and {"b": null, "a": null} it makes {"b": "2"}
    (docs/decisions/0008-mariadb-deletes.md). An empty text is no JSON, so it cannot be a value.
    """
    if delta is None or ":null" not in delta:
        return delta
    return encode_fields({name: text or "" for name, text in decode_value(delta).items()})

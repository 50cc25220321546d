"""How an engine means to run its statements, for tests that no table is read through."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db import connections

FULL_SCAN = "a whole table or index is read"
SORT = "rows are sorted"


def plans(alias: str, statements: Iterable[str]) -> list[str]:
    """The plans of these statements, with ``FULL_SCAN`` and ``SORT`` in them where that is so."""
    connection = connections[alias]
    explain = {"postgresql": _postgresql, "sqlite": _sqlite, "mysql": _mariadb}[connection.vendor]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # On a table of one page PostgreSQL would be right to do what takes for ever on a large one.
            cursor.execute("SET enable_seqscan = off")
            cursor.execute("SET enable_sort = off")
        try:
            return [explain(cursor, sql.replace("%", "%%")) for sql in statements]
        finally:
            if connection.vendor == "postgresql":
                cursor.execute("RESET enable_seqscan")
                cursor.execute("RESET enable_sort")


def _postgresql(cursor, sql):
    cursor.execute(f"EXPLAIN {sql}")
    plan = "\n".join(row for (row,) in cursor.fetchall())
    # An incremental sort is of the rows of one block at a time, which came in the order of the blocks.
    return re.sub(r"(?<!Incremental )Sort  ", SORT, plan.replace("Seq Scan", FULL_SCAN))


def _sqlite(cursor, sql):
    cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
    plan = "\n".join(str(row) for row in cursor.fetchall())
    for harmless in ("SCAN json_each", "SCAN CONSTANT ROW"):  # what the statement itself brings
        plan = plan.replace(harmless, "")
    return plan.replace("SCAN", FULL_SCAN).replace("TEMP B-TREE", SORT)


def _mariadb(cursor, sql):
    at = 0 if sql.startswith("WITH") else sql.index("SELECT")  # after SET STATEMENT ... FOR
    cursor.execute(f"{sql[:at]} EXPLAIN {sql[at:]}")
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return "\n".join(
        f"{row} {FULL_SCAN * (row['type'] in ('ALL', 'index'))} {SORT * ('filesort' in (row['Extra'] or ''))}"
        for row in rows
    )

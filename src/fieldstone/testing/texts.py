"""How the failures of the kit are laid out: what a reader needs to recognise a thing, in aligned columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

_COLUMNS = re.compile(r"\b(SELECT (?:DISTINCT )?)(?:(?! FROM ).){30,} FROM ")


def one_line(words: object, width: int = 160) -> str:
    """On one line, cut where it is longer than the width."""
    line = " ".join(str(words).split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def short_sql(sql: str, width: int = 110) -> str:
    """A statement on one line, without long lists of columns, and cut."""
    return one_line(_COLUMNS.sub(r"\1… FROM ", " ".join(sql.split())), width)


def aligned(rows: Iterable[Sequence[str]], *, right: Collection[int] = (), gap: int = 2) -> list[str]:
    """Lines of columns with one width each, indented; the ``right`` ones are numbers."""
    kept = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]

    def cells(row: Sequence[str]) -> list[str]:
        columns = enumerate(zip(row, widths, strict=True))
        return [text.rjust(width) if n in right else text.ljust(width) for n, (text, width) in columns]

    return ["  " + (" " * gap).join(cells(row)).rstrip() for row in kept]


def engine(connection: BaseDatabaseWrapper) -> str:
    """``PostgreSQL``, ``SQLite``, ``MariaDB`` or ``MySQL``."""
    return "MariaDB" if getattr(connection, "mysql_is_mariadb", False) else connection.display_name

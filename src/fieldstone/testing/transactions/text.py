"""How the failures of this package are laid out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

WIDTH = 160
"""Of a statement or of an error's words: what a reader needs to recognise it, and no more."""


def one_line(words: object, width: int = WIDTH) -> str:
    """On one line, cut where it is longer than the width."""
    line = " ".join(str(words).split())
    return line if len(line) <= width else line[: width - 4] + " ..."


def worded(error: BaseException) -> str:
    """An error's class and its words; of MariaDB's and MySQL's pair of number and words both."""
    words = one_line(" ".join(map(str, error.args)))
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def facts(*pairs: tuple[str, object]) -> str:
    """Names and what they are, one a line, indented and aligned; those that are empty are left out."""
    return table([(name, str(value)) for name, value in pairs if value])


def table(rows: Iterable[Sequence[str]], indent: str = "  ") -> str:
    """Rows in aligned columns."""
    kept = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    return "\n".join(
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in kept
    )


def engine(connection: BaseDatabaseWrapper) -> str:
    """``PostgreSQL``, ``SQLite``, ``MariaDB`` or ``MySQL``."""
    return "MariaDB" if getattr(connection, "mysql_is_mariadb", False) else connection.display_name


def tuple_of(columns: Iterable[str]) -> str:
    """As it is written in Python: ``("author_id", "slug")``."""
    quoted = [f'"{column}"' for column in columns]
    return f"({', '.join(quoted)}{',' if len(quoted) == 1 else ''})"

"""How the failures of this package are laid out."""

from __future__ import annotations

from collections.abc import Iterable

from fieldstone.testing.texts import aligned, one_line


def worded(error: BaseException) -> str:
    """An error's class and its words; of MariaDB's and MySQL's pair of number and words both."""
    words = one_line(" ".join(map(str, error.args)))
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def facts(*pairs: tuple[str, object]) -> str:
    """Names and what they are, one a line, aligned; those that are empty are left out."""
    return "\n".join(aligned((name, str(value)) for name, value in pairs if value))


def tuple_of(columns: Iterable[str]) -> str:
    """As it is written in Python: ``("author_id", "slug")``."""
    quoted = [f'"{column}"' for column in columns]
    return f"({', '.join(quoted)}{',' if len(quoted) == 1 else ''})"

"""Which statements a pattern is about."""

from __future__ import annotations

import re

WHITE_SPACE = re.compile(r"\s+")
QUOTES = str.maketrans("", "", '"`')
"""Around names: the one on PostgreSQL and SQLite, the other on MariaDB."""


class Pattern:
    """A regular expression, searched in SQL in any case, with its white space folded.

    It may be written with the quotes around names or without them, so that it can hold for all engines. Raises
    ``TypeError`` or ``ValueError`` for what is no regular expression of text.
    """

    def __init__(self, given: str | re.Pattern[str]) -> None:
        self.text = given.pattern if isinstance(given, re.Pattern) else given
        if not isinstance(self.text, str):
            raise TypeError(f"pattern is a regular expression for SQL, as text or compiled, not {given!r}")
        flags = given.flags if isinstance(given, re.Pattern) else 0
        try:
            self._compiled = re.compile(self.text, flags | re.IGNORECASE)
        except re.error as error:
            hint = f"re.escape() makes one of plain text: {re.escape(self.text)!r}"
            raise ValueError(f"pattern {self.text!r} is no regular expression: {error}. {hint}") from error

    def matches(self, sql: str) -> bool:
        return any(self._compiled.search(text) for text in _readings(sql))

    def occurs_as_text(self, sql: str) -> bool:
        """The pattern's own characters are there, whether or not it matches as an expression."""
        return any(self.text.lower() in text.lower() for text in _readings(sql))


def folded(sql: str) -> str:
    return WHITE_SPACE.sub(" ", sql).strip()


def _readings(sql: str) -> tuple[str, str]:
    text = folded(sql)
    return text, text.translate(QUOTES)

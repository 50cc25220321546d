"""What a statement's text tells: whether it is a step, what it writes, how to show it in a line."""

from __future__ import annotations

import re
from typing import Any

from fieldstone.testing.statements import Statement
from fieldstone.testing.texts import one_line

WIDTH = 88
"""Characters of a statement that a table of steps has room for."""

_NO_STEP = re.compile(r"\s*(?:SAVEPOINT\b|RELEASE\b|ROLLBACK\s+TO\b|BEGIN\s*;?\s*$)", re.IGNORECASE)
_STRINGS = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_PART = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[\w$]+)'
_WRITES = re.compile(
    r"(?<!FOR )(?<!KEY )(?<!DO )\b(?:"
    r"(?:INSERT|REPLACE)(?: OR \w+| LOW_PRIORITY| DELAYED| HIGH_PRIORITY| IGNORE)* INTO"
    r"|REPLACE(?= [\"`\[\w]+ (?:\(|SET|VALUES))"
    r"|MERGE INTO"
    r"|UPDATE(?: OR \w+| LOW_PRIORITY| IGNORE| ONLY)*"
    r"|DELETE(?: LOW_PRIORITY| QUICK| IGNORE)*(?: FROM)?(?: ONLY)?"
    r"|TRUNCATE(?: TABLE)?(?: ONLY)?"
    rf") ?(?P<name>{_PART}(?: ?\. ?{_PART})*)",
    re.IGNORECASE,
)
_COLUMNS = re.compile(r"^(SELECT (?:DISTINCT )?).+? FROM ")
_TABLE_AND_COLUMN = re.compile(rf"{_PART}\.({_PART})")


def is_step(sql: str) -> bool:
    """Savepoints are no step, nor is a ``BEGIN`` that locks nothing: no other connection can tell."""
    return not _NO_STEP.match(sql)


def written(sql: str) -> list[str]:
    """The names that a statement may write to, without quotes and schema: some may be no tables at all."""
    text = " ".join(_STRINGS.sub("''", sql).split())
    return [_unquoted(re.findall(_PART, match["name"])[-1]) for match in _WRITES.finditer(text)]


def shown(statement: Statement) -> str:
    """In a line, with its values; without quotes of names, the columns of a SELECT, and what is too long."""
    text = " ".join(_filled(statement).split())
    text = re.sub(r'["`]', "", _TABLE_AND_COLUMN.sub(r"\1", text))
    text = _COLUMNS.sub(r"\1… FROM ", text, count=1)
    return one_line(text, WIDTH)


def _filled(statement: Statement) -> str:
    sql, params = statement.sql, statement.params
    if statement.many and params:
        return f"{sql} -- {len(params)} times"
    try:
        if isinstance(params, dict):
            return sql % {name: _value(value) for name, value in params.items()}
        return sql % tuple(_value(value) for value in params) if params else sql
    except (TypeError, ValueError, KeyError):  # placeholders of another kind
        return sql


def _value(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, memoryview | bytes | bytearray):
        text = repr(bytes(value))
    else:
        text = str(value) if isinstance(value, int | float) else repr(str(value))
    return text if len(text) <= 30 else text[:29] + "…"


def _unquoted(name: str) -> str:
    if name[0] in '"`[':
        return name[1:-1].replace('""', '"').replace("``", "`")
    return name

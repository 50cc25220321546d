"""SQL and parameters as a person reads them: short, alike where they are alike, and without secrets."""

from __future__ import annotations

import datetime
import decimal
import functools
import re
import uuid
from collections.abc import Mapping
from typing import Any

LIST = re.compile(r"%s(?:\s*,\s*%s)+")
ROWS = re.compile(r"\((?:%s|%s, \.\.\.)\)(?:\s*,\s*\((?:%s|%s, \.\.\.)\))+")
NAMED_SAVEPOINT = re.compile(
    r"^\s*(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT)\s.*", re.IGNORECASE | re.DOTALL
)
SECRET = re.compile(
    r"session|passw|secret|token|credential|csrf|otp\b|(api|access|auth|private|signing)_?key", re.IGNORECASE
)
PLAIN = (bool, int, float, decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, type(None))
TEXT_WIDTH = 24


@functools.lru_cache(maxsize=1024)
def shape_of(sql: str) -> str:
    """The same for queries that differ in the length of a list, or in the name of a savepoint."""
    named = NAMED_SAVEPOINT.match(sql)
    if named:
        return named[1].upper()
    return ROWS.sub("(%s, ...), ...", LIST.sub("%s, ...", " ".join(sql.split())))


def shown(sql: str, params: Any, many: bool) -> str:
    """Parameters, shortened; no texts where the SQL names something secret, and never bytes or objects."""
    if many:
        return f"({len(params)} sets of parameters)"
    if not params:
        return ""
    values = params.values() if isinstance(params, Mapping) else params
    is_secret = SECRET.search(_without_columns(sql)) is not None
    each = [_value(value, is_secret) for value in values]
    return "(" + ", ".join(each[:6] + (["..."] if len(each) > 6 else [])) + ")"


def _without_columns(sql: str) -> str:
    """What is read of a row is not among the parameters."""
    return re.sub(r"^\s*SELECT .*? FROM ", "SELECT ... FROM ", sql, count=1, flags=re.DOTALL)


def _value(value: Any, is_secret: bool) -> str:
    if isinstance(value, PLAIN):
        return str(value)
    if is_secret:
        return "<hidden>"
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, str):
        return repr(value if len(value) <= TEXT_WIDTH else value[: TEXT_WIDTH - 3] + "...")
    return f"<{type(value).__name__}>"

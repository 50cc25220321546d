"""What the columns of an export hold."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, NamedTuple, TypeAlias


class Holds(Enum):
    """The kinds of values; every one may be ``None``."""

    INTEGER = auto()
    NUMBER = auto()  # a float
    TEXT = auto()
    MOMENT = auto()  # a datetime, aware, in UTC
    JSON = auto()  # JSON text, as it is stored: it is not decoded on its way, so 1.0 stays 1.0


class Column(NamedTuple):
    """One column of every row."""

    name: str
    holds: Holds


Columns: TypeAlias = Sequence[Column]

Row: TypeAlias = Sequence[Any]
"""The values, in the order of the columns."""

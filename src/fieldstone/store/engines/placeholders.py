"""Placeholders for parameters in the text of a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def marks(rows: Sequence[tuple[Any, ...]]) -> str:
    """Placeholders for rows of parameters: ``(%s, %s), (%s, %s)``."""
    return ", ".join(["(" + ", ".join(["%s"] * len(rows[0])) + ")"] * len(rows))

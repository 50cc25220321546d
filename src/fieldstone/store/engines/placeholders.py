"""Placeholders for parameters in the text of a statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def marks(rows: Sequence[tuple[Any, ...]]) -> str:
    """Placeholders for rows of parameters: ``(%s, %s), (%s, %s)``."""
    return ", ".join(["(" + ", ".join(["%s"] * len(rows[0])) + ")"] * len(rows))


def batched(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The rows, so many at a time."""
    return (rows[start : start + size] for start in range(0, len(rows), size))

"""Threads, processes and coroutines that use a region at once: those of the contract suites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fieldstone.testing.contracts import workers
from fieldstone.testing.contracts.processes import Barrier, Event, Value, Worker, Workers
from fieldstone.testing.contracts.workers import SECONDS, Background, elsewhere, eventually, in_loop

__all__ = [
    "SECONDS",
    "Background",
    "Barrier",
    "Event",
    "Value",
    "Worker",
    "Workers",
    "elsewhere",
    "eventually",
    "in_loop",
    "in_threads",
]


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """As that of the suites, and without a bound: races may count for minutes."""
    return workers.in_threads(count, work, None)

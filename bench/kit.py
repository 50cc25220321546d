"""What each tool of the test kit adds to a test: a transaction with three queries, with it and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import transaction

from bench.measuring import Budget, Comparison, compare
from fieldstone.testing import commit_callbacks, explain_broken_transactions, frozen, query_budget

NAME = "test-kit"
MOST_SECONDS = 0.001
QUERIES = 3


class Added(NamedTuple):
    """By one tool."""

    title: str
    comparison: Comparison


TOOLS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "frozen clock": lambda: frozen("2026-03-01 12:00"),
    "query budget": lambda: query_budget(default=QUERIES),
    "broken transactions explained": explain_broken_transactions,
    "callbacks of commits": commit_callbacks,
}


def measure(budget: Budget) -> Iterator[Added]:
    get_user_model().objects.create_user("ada")
    each = Budget(budget.seconds / len(TOOLS), budget.rounds)
    for title, tool in TOOLS.items():
        yield Added(title, compare(_with(tool), _test, each))


def _with(tool: Callable[[], AbstractContextManager[Any]]) -> Callable[[], None]:
    def test() -> None:
        with tool():
            _test()

    return test


def _test() -> None:
    with transaction.atomic():
        for _ in range(QUERIES):
            get_user_model().objects.get(username="ada")

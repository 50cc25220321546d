"""What can be wrong with a query budget, but for its arguments."""

from __future__ import annotations

from collections.abc import Mapping


class QueryBudgetExceeded(AssertionError):
    """A body made more queries than its budget allows; or, of an exact budget, fewer.

    Also while budgets are recorded, where the uses of an exact one differ, so that no number is right.
    """

    def __init__(
        self, text: str, used: Mapping[str, int] | None = None, allowed: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(text)  # and nothing else, so that a runner with several processes can pickle it
        self.used = dict(used or {})
        """Queries by database alias."""
        self.allowed = dict(allowed or {})
        """By database alias; empty where the budget is for all databases together."""


class NoSuchQueryBudget(AssertionError):
    """The file of named budgets has none of this name: it has to be recorded."""


class BudgetsFileError(ValueError):
    """The file of named budgets cannot be understood."""

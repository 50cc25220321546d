"""Query budgets: how many queries a body of code may make, and on failure which ones it made, and where."""

from fieldstone.testing.budgets.budget import QueryBudget, query_budget
from fieldstone.testing.budgets.counting import Counted, Query
from fieldstone.testing.budgets.errors import BudgetsFileError, NoSuchQueryBudget, QueryBudgetExceeded

__all__ = [
    "BudgetsFileError",
    "Counted",
    "NoSuchQueryBudget",
    "Query",
    "QueryBudget",
    "QueryBudgetExceeded",
    "query_budget",
]

"""Budgets of queries, as ceilings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import transaction

from fieldstone.testing import Counted, query_budget


@contextlib.contextmanager
def at_most(budget: int, alias: str) -> Iterator[Counted]:
    """The body makes no more queries than these, counted inside a transaction: savepoints are queries, too."""
    # What costs nothing needs no transaction, and may be done while another one has the database.
    around = transaction.atomic(using=alias) if budget else contextlib.nullcontext()
    with around, query_budget(budget) as counted:
        yield counted

"""Budgets of queries, as ceilings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext


@contextlib.contextmanager
def at_most(budget: int, alias: str) -> Iterator[CaptureQueriesContext]:
    """The body makes no more queries than these, counted as inside Django's ``TestCase``: in a transaction."""
    # What costs nothing needs no transaction, and may be done while another one has the database.
    around = transaction.atomic(using=alias) if budget else contextlib.nullcontext()
    with around, CaptureQueriesContext(connections[alias]) as queries:
        yield queries
    if len(queries) > budget:
        listed = "\n".join(f"  {n}. {query['sql']}" for n, query in enumerate(queries.captured_queries, 1))
        raise AssertionError(f"{len(queries)} queries, of {budget} that are allowed:\n{listed}")

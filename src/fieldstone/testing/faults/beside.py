"""A connection of the kit's own, beside the one that is tested."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.connecting import apart


@contextlib.contextmanager
def beside(connection: BaseDatabaseWrapper) -> Iterator[Any]:
    """A cursor of another connection to the same database, from no pool. Raises as Django does."""
    other = apart(connection)
    try:
        with other.cursor() as cursor:
            yield cursor
    finally:
        other.close()

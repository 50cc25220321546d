"""Statements on the backend's alias: tried again after a deadlock, and told clearly where a table is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from fieldstone.errors import RegionConfigurationError
from fieldstone.kvs.backends.database.engines import ENGINES, Engine
from fieldstone.kvs.tables import MISSING_TABLE

T = TypeVar("T")

_TRIES = 10


class Database:
    """A database alias, for one region. Its connection is Django's: one a thread, in whose transactions we are."""

    def __init__(self, region: str, using: str) -> None:
        if using not in connections.settings:
            known = ", ".join(connections.settings)
            raise ValueError(f"using is {using!r}, and settings.DATABASES knows {known}")
        vendor = connections[using].vendor
        if vendor not in ENGINES:
            raise ValueError(f"database {using!r} is {vendor}; there are statements for {', '.join(ENGINES)}")
        self.using = using
        self.engine: Engine = ENGINES[vendor]
        self._region = region

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.using]

    @property
    def is_in_transaction(self) -> bool:
        """Whether the caller has one open."""
        connection = self.connection
        return connection.in_atomic_block or not connection.get_autocommit()

    def run(self, work: Callable[[CursorWrapper], T], *, whole: bool = False) -> T:
        """Do it, ``whole`` in a transaction: the caller's, or one of its own."""
        in_transaction = self.is_in_transaction
        tries_left = 0 if in_transaction else _TRIES - 1
        while True:
            try:
                with (
                    self.told_of_missing_tables(),
                    transaction.atomic(self.using) if whole and not in_transaction else nullcontext(),
                    self.connection.cursor() as cursor,
                ):
                    return work(cursor)
            except DatabaseError as error:
                if not tries_left or not self.engine.is_deadlock(error):
                    raise
                tries_left -= 1

    @contextmanager
    def told_of_missing_tables(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            if self.engine.is_missing_table(error):
                reason = f"database {self.using!r} has no tables for regions: {MISSING_TABLE}"
                raise RegionConfigurationError(self._region, reason) from error
            raise

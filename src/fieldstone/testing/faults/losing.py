"""What the faults have in common after which a connection is lost."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.faults.points import AtStatement, FaultNotPossible
from fieldstone.testing.statements import Statement

LOST = "_fieldstone_lost"
"""Where a connection of Django's keeps the driver's connections that it has lost, as long as a tool is there."""


class Losing(AtStatement):
    """A fault that the connection does not survive. Where its transaction has to survive, it is refused."""

    def _prepare(self, connection: BaseDatabaseWrapper) -> None:
        __tracebackhide__ = True
        if any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            raise FaultNotPossible(
                f"{self} would lose the transaction that TestCase keeps around each test on {self._using!r}, and"
                " all that setUpTestData made.\nUse a TransactionTestCase, or with pytest"
                " @pytest.mark.django_db(transaction=True), for this test."
            )

    def _happen(self, statement: Statement, result: Any) -> None:
        connection = statement.connection
        driver = connection.connection
        if driver is None or _is_lost(connection):
            return  # it fails by itself
        try:
            self._lose(result)
        finally:
            lost = vars(connection).setdefault(LOST, [])
            lost += [driver, connection.connection]  # on SQLite there is another in its place

    @abstractmethod
    def _lose(self, result: Any) -> None:
        """Lose it, and raise what the code is to see, if the statement itself will not."""

    def _tidy(self, connection: BaseDatabaseWrapper) -> None:
        """As at the end of a request, where Django closes what is unusable: the next statement connects anew.

        Amid a transaction that is for the transaction's own end.
        """
        if _is_lost(connection) and not connection.in_atomic_block:
            connection.close()
        vars(connection).pop(LOST, None)


def _is_lost(connection: BaseDatabaseWrapper) -> bool:
    """By whichever tool, where there are several."""
    return any(lost is connection.connection for lost in vars(connection).get(LOST, ()))

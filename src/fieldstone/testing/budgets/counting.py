"""Which statements count, and what is kept of each."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.budgets.limits import SAVEPOINT, Ignore
from fieldstone.testing.budgets.remedies import Remedy, deferred_in, remedy_in
from fieldstone.testing.budgets.sql import shape_of
from fieldstone.testing.connecting import CONNECT
from fieldstone.testing.places import Place, caller
from fieldstone.testing.statements import Run, Statement, connections_here

ENOUGH = 3
"""So many times the same query from the same place are a pattern."""

OF_TRANSACTIONS = re.compile(
    r"\s*(BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK(?!\s+((WORK|TRANSACTION)\s+)?TO\b))\b", re.IGNORECASE
)
OF_SAVEPOINTS = re.compile(r"\s*(SAVEPOINT|RELEASE|ROLLBACK\s+((WORK|TRANSACTION)\s+)?TO)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Query:
    """One that counts."""

    alias: str
    """Of its database."""
    sql: str
    """With placeholders for the parameters."""
    params: Any
    """As the driver gets them; a list of such where ``many``."""
    many: bool
    """It came by ``executemany``, which counts once."""
    place: Place
    """Where in the project's code, or in its templates, it was asked."""


class Counted:
    """What a body has asked of the databases so far; a budget gives it to ``with``."""

    def __init__(self, ignore: Iterable[Ignore] = ()) -> None:
        self.queries: list[Query] = []
        """In their order; without those that were ignored."""
        self.ignored: Counter[Ignore] = Counter()
        """How many were left out because of each of the budget's ``ignore``."""
        self.remedies: dict[tuple[Place, str], Remedy] = {}
        """For patterns, by place and shape, as far as they are known."""
        self._ignore = tuple(ignore)
        self._times: Counter[tuple[Place, str]] = Counter()
        self._deferred: set[Any] = set()
        self._open: dict[str, object] = {each.alias: each.connection for each in connections_here()}

    def count(self, alias: str | None = None) -> int:
        """Of one database, or of all."""
        return len(self.queries) if alias is None else self.used[alias]

    @property
    def used(self) -> Counter[str]:
        """Queries by database alias."""
        return Counter(query.alias for query in self.queries)

    def watch(self, run: Run, statement: Statement) -> Any:
        """A watcher for ``statements.watch_all``. What fails on the database counts, too."""
        if self._counts(statement):
            self._keep(statement)
        return run()

    def forget_connections(self) -> None:
        """So that nobody who keeps the counts keeps those alive."""
        self._open.clear()

    def _counts(self, statement: Statement) -> bool:
        sql = statement.sql
        if OF_TRANSACTIONS.match(sql):
            return False
        is_savepoint = OF_SAVEPOINTS.match(sql) is not None
        if is_savepoint and _stands_for_transaction(statement.connection):
            return False
        if self._is_login(statement.connection):
            return False
        for each in self._ignore:
            if is_savepoint if each == SAVEPOINT else _is_in(each, sql):
                self.ignored[each] += 1
                return False
        return True

    def _keep(self, statement: Statement) -> None:
        place, frames = caller()
        shape = shape_of(statement.sql)
        deferred = deferred_in(frames)
        if deferred is not None:
            self._deferred.add(deferred)
        self._times[place, shape] += 1
        if self._times[place, shape] == ENOUGH:  # the frames tell only now
            remedy = remedy_in(frames, statement.sql, self._deferred)
            if remedy:
                self.remedies[place, shape] = remedy
        frames.clear()  # this function's own is among them, and holds them: a cycle
        alias = statement.connection.alias
        self.queries.append(Query(alias, statement.sql, statement.params, statement.many, place))

    def _is_login(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether Django says it as it connects: not every engine has such words, nor every test a new one."""
        if self._open.get(connection.alias) is connection.connection:
            return False
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code is CONNECT:
                return True
            frame = frame.f_back
        self._open[connection.alias] = connection.connection
        return False


def _stands_for_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether a savepoint is what an outermost ``atomic`` becomes in a ``TestCase``; elsewhere it is a BEGIN."""
    blocks = connection.atomic_blocks
    return bool(blocks) and getattr(blocks[-1], "_from_testcase", False)


def _is_in(wanted: Ignore, sql: str) -> bool:
    return wanted in sql if isinstance(wanted, str) else wanted.search(sql) is not None

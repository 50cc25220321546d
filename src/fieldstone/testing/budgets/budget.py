"""``query_budget``: how many queries a body may make."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Never, Self

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation

from fieldstone.testing.around import Around
from fieldstone.testing.budgets.counting import Counted
from fieldstone.testing.budgets.errors import QueryBudgetExceeded
from fieldstone.testing.budgets.ledger import current
from fieldstone.testing.budgets.limits import Ignore, Limits, check_aliases, check_only_one, ignored_of, limits_of
from fieldstone.testing.budgets.report import report
from fieldstone.testing.statements import watch_all


def query_budget(
    total_or_name: int | str | None = None,
    /,
    *more: Never,
    exact: bool = False,
    ignore: Ignore | Iterable[Ignore] = (),
    **aliases: int,
) -> QueryBudget:
    """How many queries a body may make: ``with``, ``async with``, or a decorator of tests and of their classes.

    ``query_budget(default=4, history=1)``: at most so many on each database, and none on those not named.
    ``query_budget(4)``: at most so many on all of them together. ``query_budget("list of posts")``: as many as
    are recorded under that name in the file of named budgets. ``exact``: not fewer, either.

    Counted is each statement with a cursor of this thread's connections (of a coroutine: of the thread that its
    database calls run in), also one that fails; ``executemany`` counts once. Not counted are the begin and the
    end of a transaction, and what Django says to a server as it connects, so that the number is the same on each
    engine; and with them the savepoint that an outermost ``atomic`` becomes in a ``TestCase``, so that it is the
    same there as with real transactions. Other savepoints count, unless ``ignore`` has ``"savepoint"``.
    ``ignore`` may have other texts, too, and compiled regular expressions: queries whose SQL contains one do not
    count.

    ``with`` gives a ``Counted``. At its end ``QueryBudgetExceeded`` is raised where the budget was not kept;
    ``NoSuchQueryBudget`` where nothing is recorded under the name. While names are recorded no number is judged,
    but the uses of an ``exact`` one have to take the same, else ``QueryBudgetExceeded`` is raised. If the body
    raises, that goes through, and the budget is not judged. Raises ``TypeError`` or ``ValueError`` for arguments
    that cannot be meant, and ``BudgetsFileError`` for a file that is broken.
    """
    check_only_one((total_or_name, *more))
    return QueryBudget(limits_of(total_or_name, exact, aliases), exact, ignored_of(ignore))


class QueryBudget(Around[Counted]):
    """What ``query_budget`` gives. It can hold for one body after the other, but not for two at once."""

    def __init__(self, limits: Limits | str, exact: bool, ignore: tuple[Ignore, ...]) -> None:
        self._limits = limits
        self._exact = exact
        self._ignore = ignore
        self._counted: Counted | None = None
        self._forget: Callable[[], None] | None = None

    def __enter__(self) -> Counted:
        if self._counted is not None:
            raise RuntimeError("This query budget holds for a body already: make another one with query_budget().")
        _refuse_a_loop()
        if isinstance(self._limits, str):
            current().recorded(self._limits)  # raises for a broken file before the body has run
        else:
            check_aliases(self._limits.by_alias)
        self._counted = Counted(self._ignore)
        self._forget = watch_all(self._counted.watch)
        return self._counted

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        counted = self._end()
        if kind is None:
            self._judge(counted)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        counted = await sync_to_async(self._end)()
        if kind is None:  # judged on this side of the thread, whose frames say nothing
            self._judge(counted)

    def _end(self) -> Counted:
        counted, forget = self._counted, self._forget
        self._counted = self._forget = None
        if counted is None or forget is None:
            raise RuntimeError("This query budget has not begun: use it as `with query_budget(...):`.")
        forget()
        counted.forget_connections()
        return counted

    def _judge(self, counted: Counted) -> None:
        __tracebackhide__ = True
        if isinstance(self._limits, str):
            self._judge_by_name(self._limits, counted)
        else:
            _compare(self._limits, counted)

    def _judge_by_name(self, name: str, counted: Counted) -> None:
        __tracebackhide__ = True
        ledger = current()
        if ledger.is_updated:
            ledger.note(name, counted.used, exact=self._exact)
            return
        recorded = ledger.recorded(name)
        if recorded is None:
            raise ledger.missing(name, counted.used)
        limits = Limits(recorded, None, self._exact)
        differences = [row.difference for row in limits.compared(counted.used) if row.is_broken]
        advice = ledger.advice(too_many=max(differences, default=0) > 0, too_few=min(differences, default=0) < 0)
        _compare(limits, counted, name, advice)

    def _anew(self) -> Self:
        anew = super()._anew()
        anew._counted = anew._forget = None
        return anew


def _compare(limits: Limits, counted: Counted, name: str = "", advice: str = "") -> None:
    __tracebackhide__ = True
    used = counted.used
    if any(row.is_broken for row in limits.compared(used)):
        allowed = limits.by_alias if limits.total is None else {}
        raise QueryBudgetExceeded(report(limits, counted, name, advice), used, allowed)


def _refuse_a_loop() -> None:
    """In a coroutine, whose queries other threads make, ``with`` would count none and always be content."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):  # then queries may be made here after all
        raise SynchronousOnlyOperation("In a coroutine, write `async with query_budget(...)`.")

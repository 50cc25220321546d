"""Query budgets in pytest: the mark, the fixture, and the file of named budgets with its flag."""

from __future__ import annotations

import inspect
import traceback
import unittest
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fieldstone.testing.budgets.budget import QueryBudget
from fieldstone.testing.budgets.budget import query_budget as budget_of
from fieldstone.testing.budgets.errors import BudgetsFileError, NoSuchQueryBudget, QueryBudgetExceeded
from fieldstone.testing.budgets.ledger import (
    FILE,
    Ledger,
    differing,
    is_updated_by_environment,
    path_of_environment,
    use,
    use_no_longer,
)
from fieldstone.testing.budgets.recorded import Change, merge
from fieldstone.testing.budgets.uses import Uses
from fieldstone.testing.texts import aligned

FLAG = "--update-query-budgets"
MARK = "query_budget"
OF_WORKER = "fieldstone_query_budgets"

LEDGER = pytest.StashKey[Ledger]()
BUDGET = pytest.StashKey[QueryBudget]()
OUTCOME = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", name="query_budget")
def query_budget_fixture() -> Callable[..., QueryBudget]:
    """``fieldstone.testing.query_budget``: ``with query_budget(default=4): ...``."""
    return budget_of


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fieldstone", "Fieldstone's test kit")
    group.addoption(
        FLAG, action="store_true", default=False, help="Record the named query budgets as they are measured now."
    )
    parser.addini(
        "fieldstone_query_budgets", f"File of the named query budgets, from rootdir ({FILE}).", default=FILE
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(total_or_name, exact=False, ignore=(), **aliases): the most queries that the test's own body may "
        f"make, as with fieldstone.testing.query_budget; without arguments, as recorded for the test ({FLAG}).",
    )
    path = path_of_environment() or config.rootpath / config.getini("fieldstone_query_budgets")
    is_updated = bool(config.getoption(FLAG)) or is_updated_by_environment()
    ledger = Ledger(path, is_updated, f"pytest {FLAG}")
    config.stash[LEDGER] = ledger
    use(ledger)
    if is_updated:
        try:
            merge(path, {})  # before the tests, which may take long
        except BudgetsFileError as error:
            raise pytest.UsageError(str(error)) from error


def pytest_unconfigure(config: pytest.Config) -> None:
    ledger = config.stash.get(LEDGER, None)
    if ledger is not None:
        use_no_longer(ledger)
        del config.stash[LEDGER]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Arguments that cannot be meant are refused before any fixture has begun."""
    mark = item.get_closest_marker(MARK)
    if mark is not None:
        has_numbers = set(mark.kwargs) - {"exact", "ignore"}
        args = mark.args if mark.args or has_numbers else (item.nodeid,)
        try:
            item.stash[BUDGET] = budget_of(*args, **mark.kwargs)
        except (TypeError, ValueError) as error:
            raise pytest.fail.Exception(f"@pytest.mark.{MARK}: {error}", pytrace=False) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """The test is decorated, and not this call: an async one makes its queries in a thread of their own."""
    __tracebackhide__ = True
    budget = item.stash.get(BUDGET, None)
    if budget is None:
        return (yield)
    if not isinstance(item, pytest.Function):
        with budget:
            return (yield)
    with _replaced(item, budget) as body:
        try:
            return (yield)
        except (QueryBudgetExceeded, NoSuchQueryBudget) as error:
            if _is_of_mark(error, body):  # its way through runners and event loops tells nobody anything
                raise error.with_traceback(None) from None
            raise


@contextmanager
def _replaced(item: pytest.Function, budget: QueryBudget) -> Iterator[Callable[..., Any]]:
    """The test's body is decorated meanwhile; gives it as it was."""
    __tracebackhide__ = True
    owners: list[tuple[Any, str]] = [(item, "obj")]
    if getattr(item.obj, "is_hypothesis_test", False):
        owners = [(item.obj.hypothesis, "inner_test")]  # which runs for each example
    elif isinstance(item.instance, unittest.TestCase):
        owners.append((item.instance, item.name))  # where it looks, unless pytest puts the other there
    body: Callable[..., Any] = getattr(*owners[0])
    decorated = budget(body)
    for owner, name in owners:
        setattr(owner, name, decorated)
    try:
        yield body
    finally:
        for owner, name in owners:
            setattr(owner, name, body)


def _is_of_mark(error: BaseException, body: Callable[..., Any]) -> bool:
    """Rather than of a budget within the body, whose line the traceback shows."""
    code = getattr(inspect.unwrap(body), "__code__", None)
    return all(frame.f_code is not code for frame, _line in traceback.walk_tb(error.__traceback__))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of pytest-xdist hands over what it measured."""
    output = getattr(node, "workeroutput", {})
    if OF_WORKER in output:
        node.config.stash[LEDGER].uses.join(Uses(**output[OF_WORKER]))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    ledger = config.stash[LEDGER]
    if not ledger.is_updated:
        return
    if hasattr(config, "workeroutput"):
        config.workeroutput[OF_WORKER] = ledger.uses.data
    elif exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        config.stash[OUTCOME] = _record(session, ledger)
    else:
        config.stash[OUTCOME] = ["The run was cut short: nothing was recorded."]


def _record(session: pytest.Session, ledger: Ledger) -> list[str]:
    try:
        changes = merge(ledger.path, ledger.uses.recordable)
    except (OSError, BudgetsFileError) as error:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return [f"Nothing was recorded: {error}"]
    rootdir = session.config.rootpath
    path = ledger.path.relative_to(rootdir) if ledger.path.is_relative_to(rootdir) else ledger.path
    lines = _told(path, len(ledger.uses.recordable), changes)
    for name in sorted(ledger.uses.differing):  # perhaps of two workers, neither of which could tell
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        lines += ["", f"Not recorded: {differing(name, ledger.uses)}"]
    return lines


def _told(path: Path, measured: int, changes: list[Change]) -> list[str]:
    new = sum(change.before is None for change in changes)
    same = measured - len(changes)
    lines = [f"{path}: {len(changes) - new} changed, {new} new, {same} as they were."]
    rows = [("name", "database", "was", "is")] + [row for change in changes for row in _rows(change)]
    return lines + (aligned(rows, right=(2, 3), gap=3) if changes else [])


def _rows(change: Change) -> list[tuple[str, str, str, str]]:
    was, now = change.before, change.after
    aliases = sorted({**(was or {}), **now})
    rows = [
        (change.name, alias, "-" if was is None else str(was.get(alias, 0)), str(now.get(alias, 0)))
        for alias in aliases
        if was is None or was.get(alias) != now.get(alias)
    ]
    return rows or [(change.name, "any", "-", "0")]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = config.stash.get(OUTCOME, None)
    if lines:
        terminalreporter.section("query budgets")
        for line in lines:
            terminalreporter.write_line(line)

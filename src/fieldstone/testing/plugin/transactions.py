"""In pytest: broken transactions are explained, and on_commit callbacks can be run, or are at least mentioned."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest
from django.conf import settings

from fieldstone.testing.transactions.broken import explain_broken_transactions
from fieldstone.testing.transactions.callbacks import Level, commit_callbacks, enter
from fieldstone.testing.transactions.registered import CommitCallbacks, listed

EXPLAIN = "fieldstone_explain_broken_transactions"
NEVER = "the transaction of a test is never committed"
KEY = pytest.StashKey[CommitCallbacks]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(EXPLAIN, "Name the error that broke a transaction where a statement is refused.", "bool", True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around the fixtures, too, which may break a transaction as well as the test."""
    if not settings.configured:
        return (yield)
    level = Level(None, runs=False, why=NEVER)
    item.stash[KEY] = level.callbacks
    around = ExitStack()
    around.callback(item.stash.__delitem__, KEY)  # or all that the callbacks hold would live until the last test
    around.callback(enter(level))
    if item.config.getini(EXPLAIN):
        around.enter_context(explain_broken_transactions())
    try:
        return (yield)
    finally:
        _end(item, around)


def _end(item: pytest.Item, around: ExitStack) -> None:
    """An error is one of the test, which left the connections otherwise than they were, and not of the session."""
    raised = (KeyboardInterrupt, pytest.exit.Exception)
    call = pytest.CallInfo.from_call(around.close, when="teardown", reraise=raised)
    if call.excinfo is not None:
        item.ihook.pytest_runtest_logreport(report=pytest.TestReport.from_item_and_call(item, call))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    callbacks = item.stash.get(KEY, None)
    if report.when == "call" and report.failed and callbacks is not None:
        waiting = [each for each in callbacks.never_run if each.why == NEVER]
        if waiting:
            advice = "The fixture commit_callbacks, or `with commit_callbacks():`, runs them as a commit would."
            report.sections.append(("on_commit callbacks never run", f"{listed(waiting)}\n{advice}"))
    return report


@pytest.fixture(name="commit_callbacks")
def _commit_callbacks() -> Iterator[CommitCallbacks]:
    """Runs on_commit callbacks when production would, and shows those that never ran; see ``commit_callbacks``."""
    with commit_callbacks() as callbacks:
        yield callbacks

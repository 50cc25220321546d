"""on_commit callbacks in tests whose transaction is never committed."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic, get_connection

from fieldstone.testing.around import Around
from fieldstone.testing.places import caller
from fieldstone.testing.statements import Run, connections_here
from fieldstone.testing.transactions.hooks import BLOCK_ENDS, REGISTERS, RUNS_CALLBACKS, Call, Hook
from fieldstone.testing.transactions.insides import Pending, is_held, is_of_test, pending, set_pending
from fieldstone.testing.transactions.registered import CommitCallbacks, Entry, State

log = logging.getLogger("django.db.backends.base")  # where Django reports a robust callback that raised


class Level:
    """Somebody who wants to know of callbacks; the one that came last decides whether they are run."""

    def __init__(self, using: str | None, *, runs: bool, why: str = "") -> None:
        self.using = using
        self.runs = runs
        self.why = why
        """Why they are not run."""
        self.callbacks = CommitCallbacks()
        opened = connections.all(initialized_only=True) if settings.configured else []
        self._base = {connection: len(connection.atomic_blocks) for connection in opened}

    def covers(self, connection: BaseDatabaseWrapper) -> bool:
        return self.using in (None, connection.alias)

    def is_within(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether the code under test is in an atomic block of its own, rather than of the test's."""
        blocks = connection.atomic_blocks[self._base.get(connection, 0) :]
        return any(not is_of_test(block) for block in blocks)


class commit_callbacks(Around[CommitCallbacks]):
    """Run on_commit callbacks in a ``TestCase`` when production would, and show which ran and which never did.

    That is when the outermost ``atomic()`` of the code under test ends; at once where it is in none. What they
    register in their turn is run, too; what is rolled back never is. Errors go as Django's do: a robust callback's
    is logged, any other's is raised at the end of the block, and the callbacks after it never run. Where the
    transactions are real ones Django runs the callbacks itself, and they are only shown.

    ``using`` is one database's alias; by default all are meant. With ``run=False`` nothing is run. Django's
    ``captureOnCommitCallbacks`` inside has the callbacks to itself. Raises ``TypeError`` for what is no alias, and
    Django's ``ConnectionDoesNotExist``, when it begins, for one that the settings do not have.

    What ``setUpTestData`` or ``setUpClass`` register comes before the test: where it begins with the test, as in
    ``TestKit``, these are neither run nor shown.
    """

    def __init__(self, using: str | None = None, *, run: bool = True) -> None:
        if callable(using):
            raise TypeError(
                "commit_callbacks() takes a database's alias: write @commit_callbacks(), with parentheses."
            )
        if not isinstance(using, str | None):
            raise TypeError(f"commit_callbacks() takes a database's alias, or None for all, and not {using!r}.")
        self._using = using
        self._run = run

    def __enter__(self) -> CommitCallbacks:
        if self._using is not None:
            connections_here([self._using])  # an alias that the settings do not have is an error
        self._level = Level(self._using, runs=self._run, why="commit_callbacks(run=False) runs none")
        self._forget = enter(self._level)
        return self._level.callbacks

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        self._level.callbacks.close()


_levels: list[Level] = []
"""The innermost last."""


def enter(level: Level) -> Callable[[], None]:
    """Let a level know of callbacks, until the function given back is called."""
    hooks = ExitStack()
    if not _levels:
        # A project of Django's has it loaded by now, or will; others need not wait for it.
        captures = Hook(importlib.import_module("django.test").TestCase, "captureOnCommitCallbacks")
        for hook, around in (
            (REGISTERS, _registers),
            (BLOCK_ENDS, _block_ends),
            (RUNS_CALLBACKS, _runs_callbacks),
            (captures, _captures),
        ):
            hooks.callback(hook.add(around))
        _hooks.append(hooks)
    _levels.append(level)

    def forget() -> None:
        _levels.remove(level)
        if not _levels:
            _hooks.pop().close()

    return forget


_hooks: list[ExitStack] = []


def _deciding(connection: BaseDatabaseWrapper) -> Level | None:
    return next((level for level in reversed(_levels) if level.covers(connection)), None)


def _waiting(connection: BaseDatabaseWrapper) -> list[Entry]:
    """In Django's order."""
    entries = {
        id(entry.key): entry
        for level in _levels
        for entry in level.callbacks.entries
        if entry.state is State.WAITS and entry.connection is connection
    }
    return [entries[id(key)] for key, _, _ in pending(connection) if id(key) in entries]


def _registers(call: Call, connection: BaseDatabaseWrapper, func: Any, robust: bool = False) -> None:
    level = _deciding(connection)
    if level is None or not callable(func) or not (connection.in_atomic_block or connection.get_autocommit()):
        call()
        return
    entry = Entry(func, robust, connection, caller().place)
    for each in _levels:
        if each.covers(connection):
            each.callbacks.entries.append(entry)
    if not connection.in_atomic_block:
        call.giving(entry.wrapped(func), func)()
        return
    before = len(pending(connection))
    try:
        call()
    finally:
        entry.key = _key(connection, func, before, level.callbacks.entries)
        if entry.key is None:
            entry.end(State.ELSEWHERE)
    if entry.key is not None and is_held(connection) and not level.is_within(connection):
        _settle(level, connection, [entry], "")


def _key(connection: BaseDatabaseWrapper, func: object, before: int, entries: list[Entry]) -> object:
    """Django's of a function registered just now; None where it is not in Django's list: somebody else has it."""
    new = pending(connection)[before:]
    found = next((key for key, function, _ in new if function is func), None)
    if found is not None or not new:
        return found
    last = new[-1][0]  # somebody put his own function around it, unless it is one that was registered within
    return None if any(entry.key is last for entry in entries) else last


def _block_ends(
    call: Run, block: Atomic, kind: object, error: BaseException | None, trace: TracebackType | None
) -> None:
    call()
    connection = get_connection(block.using)
    level = _deciding(connection)
    if level is None or is_of_test(block) or not is_held(connection) or level.is_within(connection):
        return
    waiting = _waiting(connection)
    if error is not None or connection.needs_rollback:  # of a block without a savepoint: Django keeps them so far
        _take(connection, waiting)
        for entry in waiting:
            entry.end(State.ROLLED_BACK)
    else:
        _settle(level, connection, waiting, " during transaction")


def _settle(level: Level, connection: BaseDatabaseWrapper, entries: list[Entry], when: str) -> None:
    """What a commit would do now."""
    if not level.runs:
        for entry in entries:
            entry.end(State.KEPT, level.why)
        return
    functions = {id(key): function for key, function, _ in pending(connection)}
    _take(connection, entries)
    for entry, rest in ((entry, entries[index + 1 :]) for index, entry in enumerate(entries)):
        try:
            entry.run(functions[id(entry.key)])
        except Exception as error:
            if not entry.robust:
                _skip(rest, entry)
                raise
            log.error(f"Error calling {entry.name} in on_commit(){when} (%s).", error, exc_info=True)


def _take(connection: BaseDatabaseWrapper, entries: list[Entry]) -> None:
    """Out of Django's list."""
    taken = {id(entry.key) for entry in entries}
    set_pending(connection, [each for each in pending(connection) if id(each[0]) not in taken])


def _skip(entries: list[Entry], failed: Entry) -> None:
    for entry in entries:
        entry.end(State.SKIPPED, f"{failed.name} raised before it")


def _runs_callbacks(call: Run, connection: BaseDatabaseWrapper) -> None:
    """After a real commit."""
    waiting = _waiting(connection)
    known = {id(entry.key): entry for entry in waiting}
    watched: list[Pending] = [
        (key, known[id(key)].wrapped(function) if id(key) in known else function, robust)
        for key, function, robust in pending(connection)
    ]
    set_pending(connection, watched)
    try:
        call()
    except BaseException:
        failed = [entry for entry in waiting if entry.state is State.FAILED and not entry.robust]
        rest = [entry for entry in waiting if entry.state is State.WAITS and not entry.is_listed]
        if failed:
            _skip(rest, failed[-1])
        raise


@contextmanager
def _captures(
    call: Run, case: Any, *, using: str = DEFAULT_DB_ALIAS, execute: bool = False
) -> Iterator[list[Callable[[], object]]]:
    """Django's own way to run them, or to look at them, goes on as if there were no other."""
    level = Level(using, runs=False, why="captureOnCommitCallbacks() has it")
    forget = enter(level)
    captured: list[Callable[[], object]] = []
    of_the_body: BaseException | None = None
    raised: BaseException | None = None
    try:
        with call() as captured:
            try:
                yield captured
            except BaseException as error:
                of_the_body = error  # Django runs the callbacks all the same
                raise
    except BaseException as error:
        raised = error if error is not of_the_body else None
        raise
    finally:
        forget()
        if execute:
            _ran(level.callbacks.entries, captured, raised)


def _ran(entries: list[Entry], captured: list[Callable[[], object]], raised: BaseException | None) -> None:
    """Django has called these; the last of them is the one that raised, if one did."""
    for function in captured:
        kept = (each for each in entries if each.state is State.KEPT)
        found = next((each for each in kept if each.identity == id(function)), None)
        if found is not None:
            found.ran(raised if function is captured[-1] else None)

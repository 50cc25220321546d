"""Actors: functions that run in threads of their own, and stop at a gate before each step."""

from __future__ import annotations

import contextlib
import contextvars
import enum
import functools
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from asgiref.sync import async_to_sync
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing import places, statements
from fieldstone.testing.connecting import apart, is_connecting
from fieldstone.testing.races.report import Step
from fieldstone.testing.races.sql import is_step, shown
from fieldstone.testing.races.waits import Waits
from fieldstone.testing.statements import Run, Statement


class State(enum.Enum):
    """Where an actor is, as the stage sees it."""

    IDLE = "has nothing to run"
    RUNNING = "runs, or waits inside the database"
    READY = "stands at its gate, before a step"
    REFUSED = "was refused a lock, and would try again"
    FINISHED = "returned, or raised"


class Abandoned(BaseException):
    """Ends an actor whose race is over before it is; the code under test should not catch it."""


@dataclass(slots=True, eq=False)
class Turn:
    """A step, while it is not over."""

    actor: str
    statement: Statement
    place: places.Place
    waited_for: tuple[str, ...] = ()
    error: BaseException | None = None

    def step(self) -> Step:
        statement = self.statement
        sql = shown(statement)
        return Step(self.actor, statement.connection.alias, sql, self.place, self.waited_for, self.error)


class Actor:
    """One function, its thread and its connections. All that others look at changes under ``bell``."""

    def __init__(
        self, letter: str, function: Callable[[], Any], waits: Mapping[str, Waits], bell: threading.Condition
    ) -> None:
        self.letter = letter
        self.name = _name(function)
        self.state = State.RUNNING
        self.turn: Turn | None = None
        self.waited_for: tuple[str, ...] = ()
        """While it waits inside the database."""
        self.sessions: dict[str, tuple[int, Any]] = {}
        """By alias, the server's number of its connection, and the driver's."""
        self.value: Any = None
        self.error: BaseException | None = None
        self.broken: BaseException | None = None
        """Its connections could not be opened."""
        self.has_asked = False
        """It has come to a step, in any of its runs."""
        self.elsewhere: set[str] = set()
        """Other databases that it has had a connection to."""
        self._function, self._waits, self._bell = function, waits, bell
        self._word = ""
        self._is_over = False
        self._acts = False
        self._others_wait = False
        self._has_snapshot: dict[str, bool] = {}
        self._coroutine: Any = None
        live = contextvars.copy_context().run
        self.thread = threading.Thread(target=live, args=[self._live], name=f"race: {letter}", daemon=True)

    # What the stage says.

    def begin(self) -> None:
        self._say("begin")

    def go(self, others_wait: bool) -> None:
        """Through the gate."""
        self._others_wait = others_wait
        self._say("go")

    def retry(self) -> None:
        self._say("go")

    def refuse(self) -> None:
        """Let it have the error that it was refused with."""
        self._say("refuse")

    def abandon(self) -> None:
        self._say("abandon")

    def close(self) -> None:
        self._say("close")

    def _say(self, word: str) -> None:
        with self._bell:
            self._word = word
            if word in ("begin", "go", "refuse"):
                self.state = State.RUNNING
            self._bell.notify_all()

    def frame(self) -> FrameType | None:
        """Where its thread stands, in Python."""
        return sys._current_frames().get(self.thread.ident or 0)

    def where(self) -> places.Place:
        coroutine = self._in_coroutine()
        return coroutine or places.caller(self.frame()).place

    # What its thread does.

    def _live(self) -> None:
        forget = []
        try:
            for alias in self._waits:
                if connections[alias].settings_dict["OPTIONS"].get("pool"):
                    connections[alias] = apart(connections[alias])
                connections[alias].ensure_connection()
            forget.append(statements.watch_all(self._at_statement, self._waits))
            self._meet(State.IDLE)
            while not self._is_over and self._hear() == "begin":
                self._perform()
        except Exception as error:
            self.broken = error
        finally:
            for each in forget:
                each()
            for connection in connections.all(initialized_only=True):
                _end(connection, close=True)
            self._meet(State.FINISHED)

    def _perform(self) -> None:
        self.value = self.error = self.turn = None
        self.waited_for, self._has_snapshot, self._acts = (), {}, True
        try:
            if inspect.iscoroutinefunction(self._function):
                self.value = async_to_sync(self._follow)()
            else:
                self.value = self._function()
        except BaseException as error:  # pytest's own failures, too: the stage hands it on
            self.error = error
        finally:
            self._acts = False  # from here on, what its connections are asked is the harness's
            for connection in connections.all(initialized_only=True):
                if connection.alias not in self._waits and connection.connection is not None:
                    self.elsewhere.add(connection.alias)
                _end(connection, close=False)
            self._meet(State.FINISHED)

    async def _follow(self) -> Any:
        self._coroutine = self._function()
        try:
            return await self._coroutine
        finally:
            self._coroutine = None

    def _at_statement(self, run: Run, statement: Statement) -> Any:
        alias = statement.connection.alias
        acts = self._acts and not self._is_over and self.state is State.RUNNING
        if not acts or not is_step(statement.sql) or _is_connecting():
            if statement.sql.upper().startswith("BEGIN"):
                self._has_snapshot[alias] = False
            return run()
        waits = self._waits[alias]
        place = self._in_coroutine() or places.caller().place
        self.has_asked = True
        self.turn = turn = Turn(self.letter, statement, place)
        self.sessions[alias] = waits.session(statement.connection), statement.connection.connection
        self._meet(State.READY)
        self._obey()
        waits.before(statement.connection, statement, self._others_wait)
        while True:
            try:
                result = run()
            except Exception as error:
                turn.error = error
                if not waits.may_retry(error, statement, self._has_snapshot.get(alias, False)):
                    raise
                self._meet(State.REFUSED)
                if self._obey() == "refuse":
                    raise
                turn.error = None
            else:
                self._has_snapshot[alias] = not statement.ends_transaction and statement.connection.in_atomic_block
                return result

    def _meet(self, state: State) -> None:
        with self._bell:
            self.state = state
            self._bell.notify_all()

    def _hear(self) -> str:
        with self._bell:
            self._bell.wait_for(lambda: self._word)
            word, self._word = self._word, ""
            return word

    def _obey(self) -> str:
        word = self._hear()
        if word in ("abandon", "close"):
            self._is_over = True
            raise Abandoned
        return word

    def _in_coroutine(self) -> places.Place | None:
        """The project's innermost line of the coroutine that waits for what this thread does."""
        place, awaited = None, self._coroutine
        for code, line in _chain(awaited):
            if places.is_own(code.co_filename):
                place = places.place_in(code.co_filename, line, code.co_qualname.rpartition("<locals>.")[2])
        return place


def _chain(awaited: Any) -> Iterator[tuple[CodeType, int]]:
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is not None:
            yield frame.f_code, frame.f_lineno
        awaited = getattr(awaited, "cr_await", None)


def _is_connecting() -> bool:
    """Receivers of ``connection_created`` included: they are the project's, but no part of the step."""
    return is_connecting(frame for frame, _ in traceback.walk_stack(sys._getframe()))


def _end(connection: BaseDatabaseWrapper, close: bool) -> None:
    """Leave no transaction open, and no connection that a step broke; with ``close``, none at all."""
    if connection.connection is None:
        return
    unusual = connection.in_atomic_block or not connection.autocommit or connection.errors_occurred
    if unusual or close:
        # Of a connection that is gone there is nothing to undo.
        with contextlib.suppress(Error), connection.wrap_database_errors:
            connection.connection.rollback()
        connection.in_atomic_block, connection.savepoint_ids = False, []
        # Django keeps connections to a database in memory open, and it would not be there without the test's own.
        BaseDatabaseWrapper.close(connection)
    if unusual and not close:
        connection.ensure_connection()


def _name(function: Callable[[], Any]) -> str:
    if not isinstance(function, functools.partial):
        return getattr(function, "__name__", type(function).__name__)
    named = [f"{name}={value!r}" for name, value in function.keywords.items()]
    values = ", ".join([*map(repr, function.args), *named])
    return f"{_name(function.func)}({values if len(values) <= 40 else values[:39] + '…'})"


def letters(functions: Sequence[Any]) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[: len(functions)]

"""The on_commit callbacks that were registered, and what became of each."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.places import Place
from fieldstone.testing.texts import aligned
from fieldstone.testing.transactions.insides import pending
from fieldstone.testing.transactions.text import worded

_order = itertools.count()


@dataclass(frozen=True, slots=True)
class Callback:
    """A function that was given to ``transaction.on_commit``."""

    function: str
    """Its name; of a ``partial`` that of the function in it."""
    place: Place
    """The project's line that registered it."""
    using: str
    """The database whose commit it waits for."""
    why: str = ""
    """Why it never ran; empty where it did."""
    error: BaseException | None = None
    """What it raised."""

    def __str__(self) -> str:
        why = self.why or (worded(self.error) if self.error else "")
        return f"{self.function} registered at {self.place}" + (f": {why}" if why else "")


class State(Enum):
    """What became of a callback."""

    WAITS = "the transaction is still open"
    RAN = ""
    FAILED = "it raised"
    ROLLED_BACK = "rolled back"
    SKIPPED = "an earlier one raised"
    ELSEWHERE = "somebody's own on_commit, in the place of Django's, has it"
    KEPT = "its transaction ended, and nothing runs them"


class Entry:
    """A callback on its way. Django alone has the function: code may wait for Django to let go of it."""

    def __init__(
        self, function: Callable[[], object], robust: bool, connection: BaseDatabaseWrapper, place: Place
    ) -> None:
        self.name = _name(function)
        self.identity = id(function)
        self.robust = robust
        self.connection = connection
        self.place = place
        self.key: object = None
        """The set of savepoints that Django keeps beside it: the same object in all the lists Django makes."""
        self.state = State.WAITS
        self.why = ""
        self.error: BaseException | None = None
        self.order = 0

    def run(self, function: Callable[[], object]) -> None:
        """Call it, and keep what comes of it."""
        self.ran(None)
        try:
            function()
        except BaseException as error:
            self.state, self.error = State.FAILED, error
            raise

    def ran(self, error: BaseException | None) -> None:
        """It was called, just now, and raised this or nothing."""
        self.order = next(_order)
        self.state, self.error = (State.FAILED if error else State.RAN), error

    def end(self, state: State, why: str = "") -> None:
        self.state, self.why = state, why or state.value

    def wrapped(self, function: Callable[[], object]) -> Callable[[], object]:
        """The function for Django to call; its name is the function's, which Django writes into its log."""

        @functools.wraps(function)
        def run() -> None:
            self.run(function)

        return run

    @property
    def is_listed(self) -> bool:
        """Whether Django would still run it at a commit."""
        return any(key is self.key for key, _, _ in pending(self.connection))

    def shown(self) -> Callback:
        """As it is now."""
        if self.state is State.WAITS and not self.is_listed:
            self.end(State.ROLLED_BACK)
        why = "" if self.state in (State.RAN, State.FAILED) else self.why or self.state.value
        return Callback(self.name, self.place, self.connection.alias, why, self.error)


class CommitCallbacks:
    """What ``commit_callbacks`` gives: the callbacks registered since, as they are, or were at its end.

    Those of ``setUpTestData`` and ``setUpClass`` were registered before, where it began with the test.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._final: dict[str, list[Callback]] = {}

    @property
    def ran(self) -> list[Callback]:
        """Those that ran to their end, in that order."""
        return self._final.get("ran") or self._in(State.RAN)

    @property
    def failed(self) -> list[Callback]:
        """Those that raised."""
        return self._final.get("failed") or self._in(State.FAILED)

    @property
    def never_run(self) -> list[Callback]:
        """The others, in the order of their registration; each says why."""
        shown = (each.shown() for each in self.entries)
        return self._final.get("never_run") or [each for each in shown if each.why]

    def close(self) -> None:
        """Whatever happens now happens after the block: keep what is known."""
        self._final = {"ran": self.ran, "failed": self.failed, "never_run": self.never_run}
        self.entries = []

    def _in(self, state: State) -> list[Callback]:
        found = [each for each in self.entries if each.state is state]
        return [each.shown() for each in sorted(found, key=lambda each: each.order)]

    def __repr__(self) -> str:
        return "\n".join(
            f"{name}:\n{listed(found)}" if found else f"{name}: none"
            for name, found in (("ran", self.ran), ("failed", self.failed), ("never run", self.never_run))
        )


def listed(callbacks: Iterable[Callback]) -> str:
    """One a line: name, place, and what became of it."""
    rows = [
        (each.function, f"registered at {each.place}", f"on {each.using!r}", each.why or _raised(each))
        for each in callbacks
    ]
    return "\n".join(aligned(rows))


def _raised(callback: Callback) -> str:
    return worded(callback.error) if callback.error else ""


def _name(function: Callable[..., object]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    return name.rpartition("<locals>.")[2]

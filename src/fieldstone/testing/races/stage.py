"""The stage: lets one actor through its gate at a time, when all the others stand still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fieldstone.testing.races import deadlocks, silence, words
from fieldstone.testing.races.actors import Actor, State, Turn, letters
from fieldstone.testing.races.exploring import Choice
from fieldstone.testing.races.performances import Deadlock, Performance
from fieldstone.testing.races.report import Outcome, RaceError
from fieldstone.testing.races.waits import Waits
from fieldstone.testing.statements import Statement

MOST_TURNS = 5_000
"""Of one run: code that polls for what never comes would take turns for ever."""
FIRST_LOOK, LAST_LOOK = 0.002, 0.05
"""Seconds without news, after which the database is asked who waits: at first, and at most. No result depends on
them: an actor that is not seen to wait is waited for."""
GRACE = 1.0
"""Seconds for the threads to end, once their race is over."""

Choose = Callable[[Sequence[int], Sequence[int]], int]
"""Whose turn it is, of those that can (positions, ascending), after those who had theirs."""


class Stage:
    """Actors for one race, with their threads; each performance begins anew with the same connections.

    ``prepare`` is told of each statement before it is run, while all actors stand still.
    """

    def __init__(
        self,
        functions: Sequence[Callable[[], Any]],
        waits: Mapping[str, Waits],
        timeout: float,
        prepare: Callable[[Statement], None],
    ) -> None:
        self._bell = threading.Condition()
        self._waits, self._timeout, self._prepare = waits, timeout, prepare
        self._refused: list[Actor] = []
        self.seen = Performance()
        self.actors = [
            Actor(letter, function, waits, self._bell)
            for letter, function in zip(letters(functions), functions, strict=True)
        ]

    @contextmanager
    def open(self) -> Iterator[None]:
        """The threads live, each with its connections, until the body is over; then none is left."""
        try:
            for actor in self.actors:
                actor.thread.start()
                self._wait_until(lambda actor=actor: actor.state is not State.RUNNING)  # type: ignore[misc]
                if actor.broken:
                    raise actor.broken
            yield
        finally:
            self._end()

    def has_finished(self, position: int) -> bool:
        return self.actors[position].state is State.FINISHED

    def perform(self, positions: Iterable[int], choose: Choose) -> Performance:
        """Run the actors at these positions, from their beginning until all have finished.

        Raises ``RaceError`` if one of them can neither go on nor is seen to wait, gives back what was to be
        awaited, or is to meet others and has asked the database nothing in any run so far.
        """
        acting = [self.actors[each] for each in positions]
        if len(acting) > 1:
            silence.check_asked(acting, self._waits)
        self.seen = Performance()
        self._refused.clear()
        for actor in acting:
            actor.begin()
            self._settle(acting)
        while any(actor.state is not State.FINISHED for actor in acting):
            ready = [at for at, actor in enumerate(self.actors) if actor in acting and actor.state is State.READY]
            if not ready:
                self._give_up_one(acting)
                continue
            turns = [each.taken for each in self.seen.choices]
            if len(turns) >= MOST_TURNS:
                raise RaceError(words.too_many_turns(turns, self.actors))
            chosen = choose(ready, turns)
            self.seen.choices.append(Choice(tuple(ready), chosen))
            self._take_turn(self.actors[chosen], acting)
        silence.check_awaited(acting)
        for actor in acting:
            if actor.broken:
                raise actor.broken
            self.seen.outcomes[actor.letter] = Outcome(actor.value, actor.error)
        return self.seen

    def _take_turn(self, actor: Actor, acting: Sequence[Actor]) -> None:
        turn = actor.turn
        if turn is None:
            raise RuntimeError("no actor is at its gate without a statement")
        self.seen.turns.append(turn)
        self._prepare(turn.statement)
        waits = {other.letter: other.waited_for for other in acting if other.waited_for}
        actor.go(bool(waits))
        self._settle(acting)
        self._note(actor, acting, waits)
        self._retry(acting, actor)

    # Standing still.

    def _settle(self, acting: Sequence[Actor]) -> None:
        """Wait until each actor stands at its gate, has finished, or waits for another inside the database."""
        look, last, began = FIRST_LOOK, self._states(acting), time.monotonic()
        while True:
            with self._bell:
                self._bell.wait_for(lambda: not _running(acting), look)
            for actor in acting:
                if actor.state not in (State.RUNNING, State.REFUSED):
                    actor.waited_for = ()
            running = _running(acting)
            if not running:
                return
            outside: dict[str, list[int]] = {}
            waiting = self._waiting(running, acting, outside)
            if len(waiting) == len(running) and self._will_last(waiting, acting):
                for actor in running:
                    actor.waited_for = waiting[actor.letter]
                return
            look = min(look * 2, LAST_LOOK)
            now = self._states(acting)
            if now != last:
                last, began = now, time.monotonic()
            elif time.monotonic() - began > self._timeout:
                raise RaceError(words.stuck(running, waiting, outside, self._timeout, self.seen.turns))

    def _waiting(
        self, running: Sequence[Actor], acting: Sequence[Actor], outside: dict[str, list[int]]
    ) -> dict[str, tuple[str, ...]]:
        """Of those that run: who waits inside the database, for whom; ``outside`` gets other sessions."""
        found: dict[str, tuple[str, ...]] = {}
        for alias, waits in self._waits.items():
            sessions = {actor.sessions[alias][0]: actor.letter for actor in acting if alias in actor.sessions}
            mine = [actor.sessions[alias][0] for actor in running if _is_at(actor, alias)]
            for session, blocking in (waits.waiting(mine) if any(mine) else {}).items():
                waiter = sessions[session]
                others = {sessions[each] for each in blocking if each in sessions}
                outside[waiter] = [each for each in blocking if each not in sessions]
                if not blocking:  # the engine does not tell
                    others = {actor.letter for actor in acting if actor.state is not State.FINISHED} - {waiter}
                if others:
                    found[waiter] = tuple(sorted(others))
        return found

    def _will_last(self, waiting: Mapping[str, tuple[str, ...]], acting: Sequence[Actor]) -> bool:
        """Whether those they wait for are still: a circle of waits is not, since the engine will break it."""
        ready = any(actor.state in (State.READY, State.REFUSED) for actor in acting)
        return ready and not deadlocks.has_circle(waiting)

    def _states(self, acting: Sequence[Actor]) -> list[tuple[State, Turn | None]]:
        return [(actor.state, actor.turn) for actor in acting]

    # Waiting, and what ends it.

    def _note(self, actor: Actor, acting: Sequence[Actor], waits: Mapping[str, tuple[str, ...]]) -> None:
        """After a turn: who waits now, and whose wait the engine ended as a deadlock."""
        for other in acting:
            if other.turn and other.waited_for and not other.turn.waited_for:
                other.turn.waited_for = other.waited_for
        for turn in self.seen.turns:
            error = turn.error
            known = turn in [each.victim for each in self.seen.deadlocks]
            if error and not known and self._waits[turn.statement.connection.alias].is_deadlock(error):
                self.seen.deadlocks.append(Deadlock(turn, deadlocks.circle(waits, (actor.letter, turn.actor))))

    def _retry(self, acting: Sequence[Actor], moved: Actor) -> None:
        """SQLite: let those that were refused try again, who waits longest first, as long as one gets further."""
        if moved.state is State.REFUSED:
            self._refused.append(moved)
            self._blame(moved, acting)
            return
        again = True
        while again:
            again = False
            for actor in list(self._refused):
                actor.retry()
                self._settle(acting)
                if actor.state is not State.REFUSED:
                    self._refused.remove(actor)
                    again = True

    def _blame(self, refused: Actor, acting: Sequence[Actor]) -> None:
        """SQLite does not tell who is in the way: it is one of those in a transaction."""
        others = [actor for actor in acting if actor is not refused and actor.state is not State.FINISHED]
        inside = [actor for actor in others if actor.turn and actor.turn.statement.connection.in_atomic_block]
        refused.waited_for = tuple(actor.letter for actor in inside or others)
        if refused.turn:
            refused.turn.waited_for = refused.waited_for

    def _give_up_one(self, acting: Sequence[Actor]) -> None:
        """All that are left wait, so that the longest wait ends as its timeout would have ended it."""
        if not self._refused:
            raise RuntimeError("settled, with nobody at a gate and nobody refused")
        victim = self._refused.pop(0)
        turn = victim.turn
        waits = tuple((actor.letter, actor.waited_for) for actor in [victim, *self._refused])
        victim.refuse()
        self._settle(acting)
        if turn and len(waits) > 1:
            self.seen.deadlocks.append(Deadlock(turn, waits))
        self._retry(acting, victim)

    # The end.

    def _wait_until(self, so: Callable[[], bool]) -> None:
        with self._bell:
            if not self._bell.wait_for(so, self._timeout):
                raise RaceError(f"no connection to the database within {self._timeout:g} s")

    def _end(self) -> None:
        """Let every thread end. One that hangs in Python cannot be ended: its sessions are, so its locks go."""
        threads = [actor for actor in self.actors if actor.thread.ident]
        for actor in threads:
            actor.abandon()
        deadline = time.monotonic() + GRACE
        for killing in (False, True):
            for actor in threads:
                if killing and actor.thread.is_alive():
                    for alias, (session, raw) in actor.sessions.items():
                        self._waits[alias].kill(session, raw)
                actor.abandon()
                actor.thread.join(max(0.0, deadline - time.monotonic()) if not killing else GRACE / 4)


def _running(acting: Sequence[Actor]) -> list[Actor]:
    return [actor for actor in acting if actor.state is State.RUNNING]


def _is_at(actor: Actor, alias: str) -> bool:
    return bool(actor.turn and actor.turn.statement.connection.alias == alias)

"""What an interleaving may leave behind: what some serial order leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, permutations

from fieldstone.testing.races import words
from fieldstone.testing.races.performances import Performance
from fieldstone.testing.races.report import Finding, Interleaving, Kind, Outcome, RaceError
from fieldstone.testing.races.sql import written
from fieldstone.testing.races.stage import Stage
from fieldstone.testing.races.states import Key, State, World

ORDERS = 24
"""Serial orders of a set of actors that are tried: all of up to four."""
EAGER = 6
"""Of them, those that are run twice before the race, to learn what differs from run to run."""

Order = tuple[int, ...]
"""Positions of actors, one after the other."""


@dataclass(frozen=True, slots=True)
class Serial:
    """How a serial order ended."""

    state: State
    outcomes: dict[str, Outcome]


class Oracle:
    """Runs serial orders when they are asked for, and remembers them."""

    def __init__(self, stage: Stage, world: World, allow: Collection[Kind | type[BaseException]]) -> None:
        self._stage, self._world = stage, world
        self._allowed = tuple(each for each in allow if not isinstance(each, str))
        self._ran: dict[Order, Serial] = {}
        self.everyone: Order = tuple(range(len(stage.actors)))

    def begin(self) -> None:
        """Run the serial orders of all actors, so that each table is known before two actors meet.

        Raises ``RaceError`` if they cannot be repeated, or if an actor never succeeds in any of them.
        """
        orders = list(islice(permutations(self.everyone), EAGER))
        both = [(order, self._perform(order)[0], self._perform(order)[0]) for order in orders]
        for order, once, again in both:
            self._world.learn_noise(once, again, self.letters(order))
        for actor in self._stage.actors:
            errors = [self.serial(order).outcomes[actor.letter].error for order in orders]
            alone = errors[0]
            if alone is not None and all(errors) and not isinstance(alone, self._allowed):
                raise RaceError(words.never_succeeds(actor, alone)) from alone

    def letters(self, order: Sequence[int]) -> str:
        return "".join(self._stage.actors[each].letter for each in order)

    def serial(self, order: Order) -> Serial:
        if order not in self._ran:
            snapshot, outcomes = self._perform(order)
            self._ran[order] = Serial(self._world.state(snapshot), outcomes)
        return self._ran[order]

    def orders(self, actors: Collection[int]) -> Iterator[Order]:
        return islice(permutations(sorted(actors)), ORDERS)

    def raises(self, letter: str, error: BaseException) -> bool:
        """Whether an actor raises that in some serial order of all actors."""
        found = (self.serial(order).outcomes[letter].error for order in self.orders(self.everyone))
        return any(type(each) is type(error) for each in found)

    def _perform(self, order: Order) -> tuple[object, dict[str, Outcome]]:
        self._world.begin()
        outcomes: dict[str, Outcome] = {}
        for each in order:
            outcomes |= self._stage.perform([each], lambda ready, before: ready[0]).outcomes
        return self._world.read(), outcomes


def judged(performance: Performance, passed_over: Sequence[int], oracle: Oracle, world: World) -> Interleaving:
    """What the stage saw, with what is wrong about it."""
    state = world.state(world.read())
    findings = [*_circles(performance), *_errors(performance, oracle)]
    verdict = _verdict(performance, state, oracle, world)
    return Interleaving(
        performance.order,
        performance.steps(),
        performance.outcomes,
        performance.lock_waits(),
        tuple(passed_over),
        state.observed if state.observed is not None else words.rows(state.rows),
        tuple(findings) if verdict is None else (verdict, *findings),
        performance.preemptions,
    )


def _circles(performance: Performance) -> Iterator[Finding]:
    for each in performance.deadlocks:
        victim = each.victim
        yield Finding("deadlock", performance.order, (victim.actor,), victim.error, waits=each.waits)


def _errors(performance: Performance, oracle: Oracle) -> Iterator[Finding]:
    for letter, outcome in performance.outcomes.items():
        error = outcome.error
        if error is not None and not _is_of_deadlock(error, performance) and not oracle.raises(letter, error):
            yield Finding("error", performance.order, (letter,), error)


def _is_of_deadlock(error: BaseException, performance: Performance) -> bool:
    """Whether it is what the victim of a deadlock was told, or what it made of that."""
    told = [each.victim.error for each in performance.deadlocks]
    cause: BaseException | None = error
    while cause is not None and cause not in told:
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _verdict(performance: Performance, state: State, oracle: Oracle, world: World) -> Finding | None:
    """``None`` if all actors, or those that succeeded, leave this state in some serial order."""
    succeeded = [
        at for at in oracle.everyone if performance.outcomes[oracle.letters((at,))].error is None
    ]  # an actor that raised is taken to have done nothing, or what it does in a serial order too
    fine = [*oracle.orders(oracle.everyone), *oracle.orders(succeeded)]
    if any(oracle.serial(order).state == state for order in fine):
        return None
    nearest = min(fine, key=lambda order: _distance(world, oracle.serial(order).state, state))
    after = oracle.letters(nearest)
    differences = world.differences(oracle.serial(nearest).state, state)
    for serial, lost in _without_some(succeeded, oracle):
        if serial.state == state:
            return Finding("lost update", performance.order, lost, after=after, differences=differences)
    tables = oracle.serial(nearest).state.tables_other_than(state)
    for serial, lost in _without_some(succeeded, oracle):
        if not tables & serial.state.tables_other_than(state) and tables <= _written_by(performance, lost):
            names = tuple(sorted(name for _, name in tables))
            return Finding("lost update", performance.order, lost, None, (), after, differences, names)
    everyone = tuple(oracle.letters(oracle.everyone))
    return Finding("anomaly", performance.order, everyone, after=after, differences=differences)


def _without_some(succeeded: Sequence[int], oracle: Oracle) -> Iterator[tuple[Serial, tuple[str, ...]]]:
    """Serial orders of some of the actors, as many as possible first, with the letters of the others."""
    for size in range(len(succeeded) - 1, -1, -1):
        for subset in combinations(succeeded, size):
            lost = tuple(oracle.letters((at,)) for at in succeeded if at not in subset)
            for order in oracle.orders(subset):
                yield oracle.serial(order), lost


def _written_by(performance: Performance, letters: Collection[str]) -> set[Key]:
    """Tables that each of these actors wrote to."""
    by_actor: dict[str, set[Key]] = {letter: set() for letter in letters}
    for turn in performance.turns:
        if turn.actor in by_actor:
            alias = turn.statement.connection.alias
            by_actor[turn.actor].update((alias, name.casefold()) for name in written(turn.statement.sql))
    return set.intersection(*by_actor.values()) if by_actor else set()


def _distance(world: World, expected: State, found: State) -> int:
    return sum(len(each.expected) + len(each.found) for each in world.differences(expected, found))

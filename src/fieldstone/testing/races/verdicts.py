"""What an interleaving may leave behind: what some serial order leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, permutations
from typing import Any

from fieldstone.testing.races import words
from fieldstone.testing.races.performances import Performance
from fieldstone.testing.races.report import Finding, Interleaving, Kind, Outcome, RaceError
from fieldstone.testing.races.sql import written
from fieldstone.testing.races.stage import Stage
from fieldstone.testing.races.states import Key, State, World, not_repeatable

ORDERS = 24
"""Serial orders of a set of actors that are tried: all of up to four."""
EAGER = 6
"""Of them, those that are run twice before the race, to learn what differs from run to run."""

Order = tuple[int, ...]
"""Positions of actors, one after the other."""


@dataclass(frozen=True, slots=True)
class Serial:
    """How a serial order ended."""

    snapshot: Any
    outcomes: dict[str, Outcome]
    state: State
    """Of ``snapshot``, with what is known of noise."""
    learned: int
    """How much was known of it."""


class Oracle:
    """Runs serial orders when they are asked for, and remembers them."""

    def __init__(self, stage: Stage, world: World, allow: Collection[Kind | type[BaseException]]) -> None:
        self._stage, self._world = stage, world
        self._allowed = tuple(each for each in allow if not isinstance(each, str))
        self._ran: dict[Order, Serial] = {}
        self._eager: list[Order] = []
        self.numbers: dict[str, tuple[str, ...]] = {}
        """By interleaving, columns with numbers of new rows, where an anomaly lies in nothing else."""
        self.everyone: Order = tuple(range(len(stage.actors)))

    def begin(self) -> None:
        """Run the serial orders of all actors, so that each table is known before two actors meet.

        Raises ``RaceError`` if they cannot be repeated, or if an actor never succeeds in any of them.
        """
        orders = self._eager = list(islice(permutations(self.everyone), EAGER))
        both = [(order, self._perform(order), self._perform(order)) for order in orders]
        for order, (_, outcomes), (_, others) in both:
            self._compare(order, outcomes, others)
        for order, (once, outcomes), (again, _) in both:
            self._world.learn_noise(once, again, self.letters(order))
            self._ran[order] = self._ended(once, outcomes)
        for actor in self._stage.actors:
            errors = [self.serial(order).outcomes[actor.letter].error for order in orders]
            alone = errors[0]
            if alone is not None and all(errors) and not isinstance(alone, self._allowed):
                raise RaceError(words.never_succeeds(actor, alone)) from alone

    def letters(self, order: Sequence[int]) -> str:
        return "".join(self._stage.actors[each].letter for each in order)

    def serial(self, order: Order) -> Serial:
        found = self._ran.get(order)
        if found is None:
            found = self._ended(*self._perform(order))
        elif found.learned != self._world.learned:
            found = self._ended(found.snapshot, found.outcomes)
        self._ran[order] = found
        return found

    def after(self, letters: str) -> Serial:
        """A serial order, as a finding names it."""
        return self.serial(tuple(map(self.letters(self.everyone).index, letters)))

    def learns(self, after: str) -> bool:
        """Whether a serial order that is run again now tells more of what differs from run to run.

        A clock that counts in seconds stands still for the first runs, and goes on later.
        """
        letters, known = self.letters(self.everyone), self._world.learned
        order = tuple(map(letters.index, after))
        for each in (order,) if order in self._eager else (order, self.everyone):
            snapshot, _ = self._perform(each)
            self._world.learn_noise(self._ran[each].snapshot, snapshot, self.letters(each))
        return self._world.learned > known

    def orders(self, actors: Collection[int]) -> Iterator[Order]:
        return islice(permutations(sorted(actors)), ORDERS)

    def raises(self, letter: str, error: BaseException) -> bool:
        """Whether an actor raises that in some serial order of all actors."""
        found = (self.serial(order).outcomes[letter].error for order in self.orders(self.everyone))
        return any(type(each) is type(error) for each in found)

    def _ended(self, snapshot: Any, outcomes: dict[str, Outcome]) -> Serial:
        return Serial(snapshot, outcomes, self._world.state(snapshot), self._world.learned)

    def _compare(self, order: Order, outcomes: Mapping[str, Outcome], others: Mapping[str, Outcome]) -> None:
        """Raises ``RaceError`` where an actor raised in one of two equal runs only, or something else."""
        for letter, outcome in outcomes.items():
            once, again = outcome.error, others[letter].error
            if type(once) is not type(again):
                told = f"  {letter}: {words.outcome(once)}  or  {words.outcome(again)}"
                raise RaceError(not_repeatable(self.letters(order), told)) from (once or again)

    def _perform(self, order: Order) -> tuple[Any, dict[str, Outcome]]:
        self._world.begin()
        outcomes: dict[str, Outcome] = {}
        for each in order:
            outcomes |= self._stage.perform([each], lambda ready, before: ready[0]).outcomes
        return self._world.read(), outcomes


def judged(performance: Performance, passed_over: Sequence[int], oracle: Oracle, world: World) -> Interleaving:
    """What the stage saw, with what is wrong about it."""
    snapshot = world.read()
    findings = [*_circles(performance), *_errors(performance, oracle)]
    verdict = _verdict(performance, world.state(snapshot), oracle, world)
    while verdict is not None and oracle.learns(verdict.after):
        verdict = _verdict(performance, world.state(snapshot), oracle, world)
    state = world.state(snapshot)
    if verdict is not None and verdict.kind == "anomaly":
        oracle.numbers[performance.order] = world.numbers(oracle.after(verdict.after).state, state, snapshot)
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

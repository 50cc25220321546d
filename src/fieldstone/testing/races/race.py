"""Run functions at once, in declared orders or in all of them, and compare with one after the other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable

from fieldstone.testing.races import keeping, waits, words
from fieldstone.testing.races.actors import letters
from fieldstone.testing.races.exploring import Choice, by_default, explore
from fieldstone.testing.races.report import KINDS, Interleaving, Kind, RaceError, RaceFound, RaceReport
from fieldstone.testing.races.stage import Stage
from fieldstone.testing.races.states import World
from fieldstone.testing.races.tables import Tables
from fieldstone.testing.races.verdicts import Oracle, judged
from fieldstone.testing.texts import engine

LIMIT = 200
"""Interleavings that are tried, unless told otherwise."""
MOST_ACTORS = 6

Order = str | Sequence[str | Callable[[], Any]]


def race(
    *steps: Callable[[], Any],
    order: Order | None = None,
    setup: Callable[[], Any] | None = None,
    observe: Callable[[], Any] | None = None,
    ignore: str | Iterable[str] = (),
    allow: Kind | type[BaseException] | Iterable[Kind | type[BaseException]] = (),
    limit: int = LIMIT,
    using: str | Sequence[str] = "default",
    timeout: float = 30.0,
) -> RaceReport:
    """Run ``steps`` at once, in all interleavings, and fail if one does what no order one after the other does.

    Each step is a function without arguments (or a coroutine function) that runs in a thread and with connections
    of its own, from no pool. Control changes hands before each statement, commit and rollback, and only there;
    savepoints, a ``BEGIN`` that locks nothing, and what Django asks while it connects do not count. Before each
    run the rows of all tables that were ever written to are as they were when ``race`` was called; so they are at
    the end. What triggers of the database write is not seen.

    ``order``: one interleaving instead of all, by letters of position (``"abab"``) or a list of the functions, one
    for each turn. When it is used up, the last one goes on, then the first that can.
    ``setup``: is called, and committed, before each run.
    ``observe``: is called after each run; what it returns is compared in place of the rows written: model
    instances and QuerySets by the values of their fields.
    ``ignore``: columns (``"column"`` or ``"table.column"``, one or several) that may differ. Columns with
    ``auto_now`` or ``auto_now_add``, and keys of new rows are left out anyway; so are columns in which two runs in
    the same order differ: of new rows, and of others where they hold a time or a UUID.
    ``allow``: what is no failure: ``"lost update"``, ``"anomaly"``, ``"deadlock"``, or classes of exceptions.
    ``limit``: the most interleavings that are tried, those with the fewest changes of hands first.
    ``using``: the alias of the database, or several.
    ``timeout``: seconds that a step may take on end without waiting for a lock inside the database.

    Raises ``RaceFound`` (its ``report`` has every interleaving), or ``RaceError`` if it cannot be run: inside a
    transaction, which other connections do not see; when a step hangs, an order asks for what is not there, two
    runs in the same order do not end alike, or no table written to has a column of ``ignore``.
    """
    __tracebackhide__ = True  # pytest shows where it was called, and the message
    aliases = [using] if isinstance(using, str) else list(using)
    columns = [ignore] if isinstance(ignore, str) else [*ignore]
    allowed, turns = _kinds(allow), None if order is None else _turns(order, steps)
    try:
        _check(steps, aliases, allowed, limit)
        with _opened(steps, aliases, setup, observe, columns, timeout) as (stage, world):
            oracle = Oracle(stage, world, allowed)
            oracle.begin()
            interleavings, more = _played(stage, world, oracle, turns, limit)
            if world.ignored_nothing():
                raise RaceError(words.ignored_nothing(world.ignored_nothing(), world.written()))
    except RaceError as error:
        raise error.with_traceback(None) from error.__cause__
    names = {actor.letter: actor.name for actor in stage.actors}
    engines = ", ".join(dict.fromkeys(engine(connections[alias]) for alias in aliases))
    report = RaceReport(engines, names, interleavings, more, allowed, world.left_out)
    if report.failures:
        raise RaceFound(
            words.found(report, declared=turns is not None, numbers=oracle.numbers, left_out=world.left_out),
            report,
        )
    return report


@contextmanager
def _opened(
    steps: Sequence[Callable[[], Any]],
    aliases: Sequence[str],
    setup: Callable[[], Any] | None,
    observe: Callable[[], Any] | None,
    ignore: Sequence[str],
    timeout: float,
) -> Iterator[tuple[Stage, World]]:
    with ExitStack() as stack:
        tables = {}
        for alias in aliases:
            connections[alias].ensure_connection()  # which keeps a database in memory alive, too
            tables[alias] = Tables(alias, timeout)
            stack.callback(tables[alias].close)
        world = World(tables, setup and _ended(setup, aliases), _observing(observe), ignore)
        engines = {alias: waits.ENGINES[each.side.vendor](each.side, timeout) for alias, each in tables.items()}
        stage = Stage(steps, engines, timeout, world.prepare)
        stack.callback(world.restore)
        stack.enter_context(stage.open())
        yield stage, world


def _played(
    stage: Stage, world: World, oracle: Oracle, turns: Sequence[int] | None, limit: int
) -> tuple[tuple[Interleaving, ...], bool]:
    """Those that were asked for, and whether there are more."""
    if turns is not None:
        return (_play(stage, world, oracle, turns, strictly=True)[0],), False
    seen: dict[str, Interleaving] = {}

    def play(asked: Sequence[int]) -> Sequence[Choice]:
        interleaving, choices = _play(stage, world, oracle, asked, strictly=False)
        seen.setdefault(interleaving.order, interleaving)
        return choices

    more = explore(play, limit)
    return tuple(seen.values()), more


def _play(
    stage: Stage, world: World, oracle: Oracle, asked: Sequence[int], *, strictly: bool
) -> tuple[Interleaving, Sequence[Choice]]:
    """Play the turns asked for, then the rest by default. A turn whose actor waits for a lock is passed over."""
    left, passed_over = list(asked), list[int]()

    def choose(ready: Sequence[int], before: Sequence[int]) -> int:
        while left:
            wanted = left.pop(0)
            if wanted in ready:
                return wanted
            if strictly and stage.has_finished(wanted):
                raise RaceError(words.nothing_left(wanted, asked, len(left), stage.seen.turns, stage.actors))
            passed_over.append(len(asked) - len(left))
        return by_default(ready, before)

    world.begin()
    performance = stage.perform(oracle.everyone, choose)
    if strictly and left:
        wanted = left.pop(0)
        raise RaceError(words.nothing_left(wanted, asked, len(left), stage.seen.turns, stage.actors))
    return judged(performance, passed_over, oracle, world), performance.choices


def _turns(order: Order, steps: Sequence[Callable[[], Any]]) -> list[int]:
    """Positions. Raises ``ValueError`` for what is neither a letter of an actor nor one of the functions."""
    known = letters(steps)
    turns = []
    for each in order.replace(" ", "") if isinstance(order, str) else order:
        if isinstance(each, str) and each in known and len(each) == 1:
            turns.append(known.index(each))
        elif not isinstance(each, str) and list(steps).count(each) == 1:
            turns.append(list(steps).index(each))
        else:
            raise ValueError(
                f"order= has {each!r}: take letters by position, of {', '.join(known)},"
                " or the functions themselves where no function is there twice"
            )
    return turns


def _kinds(
    allow: Kind | type[BaseException] | Iterable[Kind | type[BaseException]],
) -> tuple[Kind | type[BaseException], ...]:
    """One alone, or several."""
    if isinstance(allow, str):
        return (allow,)
    return (allow,) if isinstance(allow, type) else tuple(allow)


def _check(
    steps: Sequence[Callable[[], Any]], aliases: Sequence[str], allow: Iterable[object], limit: int
) -> None:
    if not 2 <= len(steps) <= MOST_ACTORS:
        raise ValueError(f"a race takes 2 to {MOST_ACTORS} functions, not {len(steps)}")
    if limit < 1:
        raise ValueError(f"limit={limit}: at least one interleaving has to be tried")
    for step in steps:
        if not callable(step):
            raise TypeError(f"{step!r} is not callable: give functions without arguments, not their results")
    for kind in allow:
        if kind not in KINDS and not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ValueError(f"allow= has {kind!r}: take {', '.join(map(repr, KINDS))}, or a class of exceptions")
    for alias in aliases:
        _check_database(connections[alias])


def _check_database(connection: BaseDatabaseWrapper) -> None:
    if connection.vendor not in keeping.ENGINES:
        raise RaceError(f"race() knows PostgreSQL, MariaDB, MySQL and SQLite, not {connection.display_name}.")
    if connection.in_atomic_block or not connection.get_autocommit():
        raise RaceError(words.in_transaction(connection))
    if connection.vendor == "sqlite":
        name = str(connection.settings_dict["NAME"])
        if name == ":memory:" or ("mode=memory" in name and "cache=shared" not in name):
            raise RaceError(words.private_database(connection.alias))


def _ended(setup: Callable[[], Any], aliases: Sequence[str]) -> Callable[[], None]:
    """Raises ``RaceError`` if it leaves a transaction open, which would keep its locks from the actors."""

    def ended() -> None:
        setup()
        for connection in (connections[alias] for alias in aliases):
            if connection.in_atomic_block or not connection.get_autocommit():
                connection.close()
                raise RaceError(words.left_open(connection.alias))

    return ended


def _observing(observe: Callable[[], Any] | None) -> Callable[[], Any] | None:
    """With the values of model instances in their place, which are equal by primary key alone.

    Raises ``RaceError`` for ``None``, and for what has not been evaluated.
    """
    if observe is None:
        return None

    def observed() -> Any:
        value = observe()
        if value is None:
            raise RaceError(_NOTHING)
        return _plain(value)

    return observed


def _plain(value: Any) -> Any:
    if isinstance(value, QuerySet):
        return _rows(value)
    if isinstance(value, Model):
        return {field.attname: getattr(value, field.attname) for field in value._meta.concrete_fields}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, list):
        return list(map(_plain, value))
    if isinstance(value, Set):
        return sorted(map(_plain, value), key=repr)
    if inspect.iscoroutine(value):
        value.close()
        raise RaceError(_UNFINISHED.format(what="a coroutine", instead="a plain function, without async"))
    if isinstance(value, Iterator):
        what = f"an iterator ({type(value).__name__})"
        raise RaceError(_UNFINISHED.format(what=what, instead="list(...) or sorted(...) of it"))
    return value


def _rows(rows: QuerySet[Any, Any]) -> list[Any]:
    """Where nothing orders them, in an order that follows from the values: databases give them in any."""
    of_models = issubclass(rows._iterable_class, ModelIterable)
    found = [_plain(each) for each in (rows.values() if of_models else rows)]
    return found if rows.ordered else sorted(found, key=repr)


_NOTHING = """\
observe= returned None: there is nothing to compare.

  Return what counts after each run, for instance observe=lambda: Counter.objects.get().count"""
_UNFINISHED = """\
observe= returned {what}, which tells nothing of what it would give.

  Return {instead}."""

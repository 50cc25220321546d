"""Processes that save, for races and crashes.

Loading Django takes half a second, so it is done once, in a server that forks each process in some milliseconds.
The server never opens a connection: neither SQLite nor PostgreSQL survives a fork of one.

What a process does is a generator function of this module or of a test's; what it yields comes to the test.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import traceback
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import Connection
from typing import Any, Self
from uuid import NAMESPACE_OID, UUID, uuid5

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.utils import load_backend
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator

JOIN_SECONDS = 120

if not settings.configured:  # in the server of forks; the tests have their own
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "fieldstone.store",
            "fieldstone.jobs",
        ],
        USE_TZ=True,
    )
    django.setup()
    for name in ("sqlite3", "postgresql", "mysql"):
        with contextlib.suppress(ImproperlyConfigured):  # its driver is not installed
            load_backend(f"django.db.backends.{name}")

from fieldstone.errors import ConflictError  # noqa: E402
from fieldstone.store import DELETED, NO_GRADE, Grade, Preferences, Store, Summary, UserInfo  # noqa: E402

Work = Callable[..., Iterable[Any]]

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])
Barrier, Event = _forks.Barrier, _forks.Event


class FailedError(Exception):
    """A process raised; the message is its traceback."""


class Writer:
    """One process at work on a database alias, which is its ``default``."""

    def __init__(self, alias: str, work: Work, *arguments: Any) -> None:
        database = {name: value for name, value in connections[alias].settings_dict.items() if name != "TEST"}
        self._heard, tell = _forks.Pipe(duplex=False)
        self.process = _forks.Process(target=_run, args=(database, tell, work, arguments), daemon=True)
        self.process.start()
        tell.close()  # so that the pipe ends with the process

    def next(self) -> Any:
        """The next thing that it yields."""
        return _unpacked(self._heard.recv())

    def rest(self) -> list[Any]:
        """Everything else that it yields, or yielded before it was killed; waits for its end."""
        told = list(self._until_the_end())
        self.process.join(JOIN_SECONDS)
        assert self.process.exitcode is not None, "it closed its pipe and did not end"
        return told

    def _until_the_end(self) -> Generator[Any, None, None]:
        # A process that was killed while it told something has sent nothing of it: short messages go at once.
        with contextlib.suppress(EOFError):
            while True:
                assert self._heard.poll(JOIN_SECONDS), f"nothing was heard for {JOIN_SECONDS} s"
                yield _unpacked(self._heard.recv())

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        self.process.kill()
        self.process.join(JOIN_SECONDS)
        self._heard.close()


class Writers(contextlib.ExitStack):
    """Processes of one test, none of which outlives it."""

    def __init__(self, alias: str) -> None:
        super().__init__()
        self._alias = alias

    def __enter__(self) -> Self:
        return self

    def start(self, work: Work, *arguments: Any) -> Writer:
        writer = Writer(self._alias, work, *arguments)
        self.callback(writer.close)
        return writer


def race(alias: str, work: Work, count: int, *arguments: Any) -> list[list[Any]]:
    """What each of ``count`` processes tells, which do ``work(number, *arguments)`` at once."""
    with Writers(alias) as writers:
        return [writer.rest() for writer in [writers.start(work, number, *arguments) for number in range(count)]]


def _run(database: dict[str, Any], tell: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    connections.settings = connections.configure_settings({"default": database})
    connections["default"] = connections.create_connection("default")
    try:
        for item in work(*arguments):
            tell.send(item)
    except BaseException:
        tell.send(FailedError(traceback.format_exc()))
        raise


def _unpacked(item: Any) -> Any:
    if isinstance(item, FailedError):
        raise item
    return item


# What they do


def block(name: str, course: str = "Run") -> UsageKey:
    return CourseLocator("Org", "Course", course).make_usage_key("problem", name)


def token_of(*name: object) -> UUID:
    """A token that the test knows too."""
    return uuid5(NAMESPACE_OID, repr(name))


def save_fields(number: int, learner: int, saves: int, blocks: int) -> Iterable[int]:
    """Field ``w<number>_<n>`` in all blocks, in another order each time; yields n once it is acknowledged."""
    order, places = random.Random(number), [block(f"contended{n}") for n in range(blocks)]
    for n in range(saves):
        order.shuffle(places)
        Store().save(learner, {place: {f"w{number}_{n}": n} for place in places})
        yield n


def make_rows(number: int, learner: int, rounds: int, blocks: int, start: Any) -> Iterable[None]:
    """Blocks of a new course each round, all met for the first time."""
    order = random.Random(number)
    for round_ in range(rounds):
        places = [block(f"new{n}", f"course{round_}") for n in range(blocks)]
        order.shuffle(places)
        start.wait(JOIN_SECONDS)
        Store().save(learner, {place: {f"w{number}": round_} for place in places})
    yield None


def try_tokens(number: int, learner: int, rounds: int, start: Any) -> Iterable[tuple[bool, int]]:
    """The same saves by every process: whether it had been written already, and the revision on the receipt."""
    places = [block(f"b{n}") for n in range(3)]
    for round_ in range(rounds):
        changes = {place: {"round": round_} for place in places} | {UserInfo(): {f"u{round_}": number}}
        start.wait(JOIN_SECONDS)
        receipt = Store().save(learner, changes, token=token_of("round", round_))
        assert {receipt.states[place].fields["round"] for place in places} == {round_}
        yield receipt.repeated, receipt.states[places[0]].revision


def expect_revisions(number: int, learner: int, rounds: int, start: Any) -> Iterable[int | None]:
    """The same expected revision by every process: the current one of a conflict, or None for the save."""
    for revision in range(rounds):
        start.wait(JOIN_SECONDS)
        try:
            Store().save(learner, {block("b"): {"winner": number}}, expected={block("b"): revision})
            yield None
        except ConflictError as conflict:
            yield conflict.current


def save_everything(number: int, learner: int, saves: int, start: Any) -> Iterable[None]:
    """Sets, deletions and grades, in some or all scopes, of a few blocks, for two learners, in any order."""
    draw = random.Random(number)
    blocks = [block(f"b{n}") for n in range(4)]
    places = [*blocks, *map(Summary, blocks), *(Preferences(f"type{n}") for n in range(3)), UserInfo()]
    start.wait(JOIN_SECONDS)
    for n in range(saves):
        names = [f"f{n}" for n in range(4)]
        changes = {
            place: {name: draw.choice([n, n, DELETED]) for name in draw.sample(names, 3)}
            for place in draw.sample(places, draw.randint(1, len(places)))
        }
        grades = {
            place: draw.choice([Grade(n, saves), NO_GRADE]) for place in draw.sample(blocks, draw.randrange(4))
        }
        Store().save(learner + number % 2, changes, grades=grades)
    yield None


def set_and_delete(number: int, learner: int, saves: int, start: Any) -> Iterable[None]:
    """Saves of one row a field, which set many fields and which delete many, in turn."""
    draw, names = random.Random(number), [f"f{n:02}" for n in range(40)]
    start.wait(JOIN_SECONDS)
    for n in range(saves):
        value = n if (number + n) % 2 else DELETED
        Store().save(learner, {UserInfo(): dict.fromkeys(draw.sample(names, 20), value)})
    yield None

"""What the actors of a race ask the database, and what counts as a step."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import pytest
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models import F

from fieldstone.testing.races import RaceError, race
from fieldstone.testing.races.sql import shown
from fieldstone.testing.statements import Statement
from tests.testing.blog.models import Counter
from tests.testing.conftest import on_engines

each_engine = on_engines(transaction=True)
ALL_OF_TWO = {"aabb", "abab", "abba", "baab", "baba", "bbaa"}


def reckoned(alias: str) -> None:
    Counter.objects.using(alias).filter(name="hits").update(count=F("count") + 1)


def increment(alias: str) -> None:
    counter = Counter.objects.using(alias).get(name="hits")
    counter.count += 1
    counter.save()


async def aincrement(alias: str) -> None:
    counter = await Counter.objects.using(alias).aget(name="hits")
    counter.count += 1
    await counter.asave()


@pytest.fixture
def hits(alias: str) -> Counter:
    return Counter.objects.using(alias).create(name="hits")


# A race that sees nothing


def refused(alias: str, *steps, **options) -> str:
    with pytest.raises(RaceError) as caught:
        race(*steps, **{"using": alias} | options)
    return str(caught.value)


@each_engine
def test_a_coroutine_that_nobody_awaits_is_told_at_once(alias, hits):
    said = refused(alias, lambda: aincrement(alias), lambda: aincrement(alias))
    assert said.startswith(
        "a (<lambda>) returned a coroutine that nobody awaits, so what it was to do was not done."
    )
    assert 'functools.partial(increment, name="hits")' in said


@each_engine
def test_a_future_that_nobody_awaits_is_told_too(alias, hits):
    loop = asyncio.new_event_loop()
    said = refused(alias, partial(increment, alias), loop.create_future)
    loop.close()
    assert said.startswith("b (create_future) returned a Future that nobody awaits")


@each_engine
@pytest.mark.parametrize("order", [None, "ab"])
def test_a_step_that_asks_nothing_is_told(alias, hits, order):
    """Nothing is found of it in any order, so its race would pass whatever it does."""

    def idle() -> None:
        pass

    said = refused(alias, partial(increment, alias), idle, order=order)
    assert said.startswith(
        f"b (idle) asked nothing of '{alias}' when run one after the other, so there is nothing to race.\n"
    )
    for cause in ("Another database?", "Threads of its own?", "A coroutine?", "Nothing to do?"):
        assert f"\n  {cause} " in said
    assert "Here they were connected to" not in said


@each_engine
def test_a_step_that_works_in_a_thread_of_its_own_is_told(alias, hits):
    def work() -> None:
        increment(alias)
        connections[alias].close()

    def step() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    said = refused(alias, step, step)
    assert said.startswith("a (step) and b (step) asked nothing of")


@pytest.mark.django_db(
    transaction=True, databases=["default", "default_history"], available_apps=["tests.testing.blog"]
)
def test_of_another_database_it_says_which():
    Counter.objects.using("default_history").create(name="hits")
    step = partial(increment, "default_history")
    said = refused("default", step, step)
    assert "asked nothing of 'default'" in said
    assert "(Here they were connected to 'default_history'.)" in said


@each_engine
def test_a_step_that_asks_only_after_another_one_is_raced(alias, hits):
    """In one of the serial orders it has something to do; that it has not when both begin is no mistake."""

    def first() -> None:
        reckoned(alias)
        done.append(1)

    def second() -> None:
        if done:
            reckoned(alias)

    done: list[int] = []
    report = race(first, second, setup=done.clear, using=alias, observe=lambda: "nothing that counts")
    assert {each.order for each in report.interleavings} == {"a"}


# Connecting


@pytest.fixture
def greeted(alias: str) -> Iterator[None]:
    """A project asks something of each new connection."""

    def greet(connection, **_) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    connection_created.connect(greet)
    yield
    connection_created.disconnect(greet)


def anew(alias: str) -> None:
    connection = connections[alias]
    if connection.vendor != "sqlite":  # where Django keeps a database in memory
        connection.close()
    else:
        connection.connect()
    increment(alias)


@each_engine
@pytest.mark.usefixtures("greeted")
def test_what_is_asked_while_connecting_is_no_step(alias, hits):
    report = race(partial(anew, alias), partial(anew, alias), using=alias, allow=["lost update"])
    assert {each.order for each in report.interleavings} == ALL_OF_TWO


@each_engine
def test_what_the_harness_mends_after_a_run_is_no_step(alias, hits):
    """A step that leaves a transaction open gets a new connection, and that is none of its steps."""

    def leave_open() -> None:
        connections[alias].set_autocommit(False)
        list(Counter.objects.using(alias).all())

    report = race(leave_open, partial(reckoned, alias), using=alias)
    assert {each.order for each in report.interleavings} == {"ab", "ba"}


# Pools


@pytest.fixture
def pooled(alias: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The alias has a pool of one connection, which the test has."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        pytest.skip("Django pools connections to PostgreSQL only")
    connection.close()
    pool = {"min_size": 1, "max_size": 1, "timeout": 1.0}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"pool": pool})
    yield
    connection.close()
    connection.close_pool()


@each_engine
@pytest.mark.usefixtures("pooled")
def test_a_race_needs_no_connection_of_a_pool_and_leaves_nothing_in_it(alias):
    Counter.objects.using(alias).create(name="hits")
    step = partial(reckoned, alias)
    for _ in range(2):
        assert not race(step, step, step, using=alias, limit=3).findings
        connections[alias].close()  # back into the pool
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout'), current_setting('deadlock_timeout')")
            assert cursor.fetchone() == ("0", "1s")


# Statements as they are shown


@pytest.mark.parametrize("made", [bytes, bytearray, memoryview])
def test_binary_values_are_shown_as_bytes(made):
    statement = Statement(SimpleNamespace(alias="default"), "UPDATE t SET b = %s", [made(b"\x00ab")])
    assert shown(statement) == r"UPDATE t SET b = b'\x00ab'"


@each_engine
def test_a_setup_that_leaves_its_transaction_open_is_refused(alias, hits):
    def setup():
        connections[alias].set_autocommit(False)
        increment(alias)

    said = refused(alias, partial(increment, alias), partial(increment, alias), setup=setup)
    assert f"setup= has left a transaction open on {alias!r}" in said
    assert Counter.objects.using(alias).get().count == 0


@each_engine
def test_columns_that_differ_from_run_to_run_are_said(alias, hits):
    def note():
        Counter.objects.using(alias).create(name=str(uuid.uuid4()))

    report = race(note, partial(reckoned, alias), using=alias)
    assert report.left_out == ("blog_counter.name",)

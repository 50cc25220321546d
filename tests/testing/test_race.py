"""What the race harness finds, on each engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connections, transaction
from django.db.models import F, Sum

from fieldstone.testing.races import RaceError, RaceFound, race
from tests.testing.blog.models import Author, Counter
from tests.testing.conftest import on_engines

each_engine = on_engines(transaction=True)


def counters(alias: str):
    return Counter.objects.using(alias)


def read_and_write(alias: str, name: str = "hits") -> None:
    counter = counters(alias).get(name=name)
    counter.count += 1
    counter.save()


def in_transaction(alias: str, *, lock: bool = False) -> None:
    with transaction.atomic(alias):
        counter = (counters(alias).select_for_update() if lock else counters(alias)).get(name="hits")
        counter.count += 1
        counter.save()


def reckoned(alias: str, *names: str) -> None:
    with transaction.atomic(alias):
        for name in names or ("hits",):
            counters(alias).filter(name=name).update(count=F("count") + 1)


def sessions(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return cursor.fetchone()[0]


def lost(alias: str, *steps: Callable[[], None], **options) -> RaceFound:
    with pytest.raises(RaceFound) as caught:
        race(*steps, using=alias, **options)
    return caught.value


@pytest.fixture
def hits(alias: str) -> Counter:
    return counters(alias).create(name="hits")


@each_engine
def test_a_lost_update_is_found_in_each_interleaving_that_has_one(alias, hits):
    """Both read before the first writes: in all but the two serial orders."""
    step = partial(read_and_write, alias)
    report = lost(alias, step, step).report
    assert {each.order for each in report.interleavings} == {"aabb", "abab", "abba", "baab", "baba", "bbaa"}
    assert [each.order for each in report.interleavings if not each.findings] == ["aabb", "bbaa"]
    assert {(each.order, each.actors) for each in report.lost_updates} == {
        ("abab", ("b",)),  # of two like steps nobody can tell which was lost
        ("abba", ("b",)),
        ("baab", ("b",)),
        ("baba", ("b",)),
    }
    assert not report.deadlocks and not report.errors and not report.limit_reached


@each_engine
def test_a_lost_update_names_who_was_lost(alias, hits):
    """The state is as if the other had been alone."""

    def add(number: int) -> None:
        counter = counters(alias).get()
        counter.count += number
        counter.save()

    report = lost(alias, partial(add, 1), partial(add, 10)).report
    assert {each.order: each.actors for each in report.lost_updates} == {
        "abab": ("a",),
        "baab": ("a",),
        "abba": ("b",),
        "baba": ("b",),
    }


@each_engine
def test_select_for_update_ends_lost_updates_with_lock_waits(alias, hits):
    """SQLite has no such lock; here its transactions begin with the lock to write."""
    step = partial(in_transaction, alias, lock=True)
    report = race(step, step, using=alias)
    assert report.lock_waits and not report.findings
    assert {(each.actor, each.waited_for) for each in report.lock_waits} == {("a", ("b",)), ("b", ("a",))}
    begins = "BEGIN IMMEDIATE" if alias == "default" else "SELECT"
    assert all(each.sql.startswith(begins) for each in report.lock_waits)


@each_engine
def test_a_transaction_alone_ends_no_lost_update(alias, hits):
    """Not at READ COMMITTED; where writers queue at BEGIN, it does."""
    step = partial(in_transaction, alias)
    if alias == "default":
        assert not race(step, step, using=alias).findings
    else:
        assert lost(alias, step, step).report.lost_updates


@each_engine
def test_an_update_that_the_database_reckons_is_not_lost(alias, hits):
    """One statement each, one turn each."""
    report = race(*[lambda: counters(alias).update(count=F("count") + 1)] * 2, using=alias)
    assert [each.order for each in report.interleavings] == ["ab", "ba"]
    assert report.names == {"a": "<lambda>", "b": "<lambda>"}


@each_engine
def test_locks_in_opposite_order_are_a_deadlock(alias):
    """Each engine breaks it by itself, and the harness says who waited for whom."""
    counters(alias).bulk_create([Counter(name="x"), Counter(name="y")])
    steps = partial(reckoned, alias, "x", "y"), partial(reckoned, alias, "y", "x")
    if alias == "default":
        assert not race(*steps, using=alias).findings
        return
    report = lost(alias, *steps).report
    assert {each.kind for each in report.findings} == {"deadlock"}
    found = {each.order: each for each in report.deadlocks}
    assert all(sorted(each.waits) == [("a", ("b",)), ("b", ("a",))] for each in found.values())
    assert all(isinstance(each.error, OperationalError) for each in found.values())
    assert not race(*steps, using=alias, allow=["deadlock"]).failures
    same = partial(reckoned, alias, "x", "y")
    assert not race(same, same, using=alias).findings


@each_engine
def test_who_closes_the_circle_is_the_victim_on_postgresql(alias):
    """Whoever waits first looks for no circle; MariaDB has its own rule."""
    counters(alias).bulk_create([Counter(name="x"), Counter(name="y")])
    steps = partial(reckoned, alias, "x", "y"), partial(reckoned, alias, "y", "x")
    if alias != "postgresql":
        pytest.skip("of PostgreSQL")
    for order, victim in [("ab ab", "b"), ("ab ba", "a"), ("ba ab", "b"), ("ba ba", "a")]:
        report = lost(alias, *steps, order=order).report
        assert [each.actors for each in report.deadlocks] == [(victim,)]


@each_engine
def test_a_circle_of_three_is_a_deadlock(alias):
    """The one that closes it waits for one of the others, directly or not."""
    counters(alias).bulk_create([Counter(name=name) for name in "xyz"])
    steps = [partial(reckoned, alias, *names) for names in ("xy", "yz", "zx")]
    if alias == "default":
        assert race(*steps, using=alias, order="abc").lock_waits
        return
    report = lost(alias, *steps, order="abc abc").report
    waits = dict(report.deadlocks[0].waits)
    assert waits == {"a": ("b",), "b": ("c",), "c": ("a", "b")}


@each_engine
def test_what_fails_only_at_once_is_an_error(alias):
    """A check before a write, without a lock: the second one runs into the constraint."""

    def register() -> None:
        if not Author.objects.using(alias).filter(name="ada").exists():
            Author.objects.using(alias).create(name="ada")

    report = lost(alias, register, register).report
    assert {type(each.error) for each in report.errors} == {IntegrityError}
    assert not report.lost_updates and not report.anomalies
    assert not race(register, register, using=alias, allow=[IntegrityError]).failures
    get_or_create = partial(Author.objects.using(alias).get_or_create, name="ada")
    report = race(get_or_create, get_or_create, using=alias)
    assert {each.value[1] for one in report.interleavings for each in one.outcomes.values()} == {True, False}


@each_engine
def test_what_fails_one_after_the_other_is_no_finding(alias):
    """The second one fails in every order, so it may fail at once, too."""
    create = partial(counters(alias).create, name="hits")
    report = race(create, create, using=alias)
    errors = [each.error for one in report.interleavings for each in one.outcomes.values()]
    assert len(errors) == 4 and len([each for each in errors if isinstance(each, IntegrityError)]) == 2


@each_engine
def test_write_skew_is_an_anomaly(alias):
    """Each reads what the other one writes: no order leaves both at 0, nor would one alone."""
    counters(alias).bulk_create([Counter(name="x", count=1), Counter(name="y", count=1)])

    def go_off_call(name: str) -> None:
        if counters(alias).aggregate(on_call=Sum("count"))["on_call"] > 1:
            counters(alias).filter(name=name).update(count=0)

    report = lost(alias, partial(go_off_call, "x"), partial(go_off_call, "y")).report
    assert {each.kind for each in report.findings} == {"anomaly"}
    assert {each.actors for each in report.anomalies} == {("a", "b")}


@each_engine
def test_a_race_can_be_repeated(alias, hits):
    """Twice the same: orders, statements, waits, findings, rows."""
    step = partial(in_transaction, alias, lock=True)
    first, second = (race(step, partial(reckoned, alias), using=alias, limit=12) for _ in range(2))
    assert repr(first.interleavings) == repr(second.interleavings)


@each_engine
def test_three_actors_have_more_interleavings_than_the_limit(alias, hits):
    """Those with the fewest preemptions first."""
    step = partial(read_and_write, alias)
    report = lost(alias, step, step, step, limit=10).report
    assert report.limit_reached and len(report.interleavings) == 10
    assert [each.preemptions for each in report.interleavings] == [0] * 6 + [1] * 4
    whole = lost(alias, step, step, step, limit=90).report
    assert not whole.limit_reached and len(whole.interleavings) == 90  # 6! / (2! 2! 2!)
    assert {each.actors for each in whole.lost_updates} == {("c",), ("b", "c")}


@each_engine
def test_a_coroutine_is_an_actor(alias, hits):
    """Its places are lines of the coroutine, although its statements are made in another thread."""

    async def increment() -> int:
        counter = await counters(alias).aget(name="hits")
        counter.count += 1
        await counter.asave()
        return counter.count

    report = lost(alias, increment, increment, order="abab").report
    assert report.lost_updates
    steps = report.interleavings[0].steps
    assert {step.place.function for step in steps} == {"increment"} and len(
        {step.place.line for step in steps}
    ) == 2
    assert report.interleavings[0].outcomes["a"].value == 1


@each_engine
def test_afterwards_all_is_as_it_was(alias, hits):
    """Rows, the numbers of new rows, and no thread or connection left."""
    Author.objects.using(alias).create(name="first")
    threads, last = threading.active_count(), Author.objects.using(alias).create(name="last").pk
    Author.objects.using(alias).filter(pk=last).delete()

    def step() -> None:
        Author.objects.using(alias).exclude(name="first").exists()
        Author.objects.using(alias).all().delete()
        Author.objects.using(alias).create(name="ada")

    race(step, step, using=alias, limit=5, allow=[IntegrityError, OperationalError, "anomaly", "deadlock"])
    assert [author.name for author in Author.objects.using(alias).all()] == ["first"]
    assert Author.objects.using(alias).create(name="next").pk == last + 1
    assert counters(alias).get() == hits
    assert threading.active_count() == threads
    if alias == "postgresql":
        while sessions(alias) > 1:  # the server notices an end a little later, or this goes on for ever
            pass


@each_engine
def test_a_step_that_hangs_in_python_is_named_with_its_place(alias, hits):
    """It holds no lock of the database when the race is given up."""
    never = threading.Event()

    def hang() -> None:
        with transaction.atomic(alias):
            counters(alias).filter(name="hits").update(count=5)
            never.wait()

    with pytest.raises(RaceError, match=r"a \(hang\) has not reached its next statement within 0.3 s") as caught:
        race(hang, partial(read_and_write, alias), using=alias, timeout=0.3)
    assert "test_race.py:" in str(caught.value) and "in hang" in str(caught.value)
    never.set()
    for thread in threading.enumerate():
        if thread.name.startswith("race: "):
            thread.join()
    assert counters(alias).get().count == 0


@each_engine
def test_waiting_for_each_other_outside_the_database_is_told(alias, hits):
    """A lock of Python's, that the other one holds at its gate: nobody but the harness can end that."""
    lock = threading.Lock()

    def step() -> None:
        with lock:
            read_and_write(alias)

    with pytest.raises(RaceError, match="b \\(step\\) has not reached") as caught:
        race(step, step, using=alias, timeout=0.3)
    assert "for one of Python's" in str(caught.value)


@each_engine
def test_a_step_that_polls_for_ever_is_told(alias, hits, monkeypatch):
    monkeypatch.setattr("fieldstone.testing.races.stage.MOST_TURNS", 50)

    def poll() -> None:
        while not counters(alias).get().count:
            pass

    with pytest.raises(RaceError, match=r"have taken 50 turns \(a 50, b 0\) and are not done"):
        race(poll, partial(reckoned, alias), using=alias)


@each_engine
def test_a_coroutine_is_ended_with_its_race(alias, hits):
    """It stands at its gate when the other one is found to hang."""
    never = threading.Event()

    async def increment() -> None:
        counter = await counters(alias).aget(name="hits")
        await counter.asave()

    def hang() -> None:
        if counters(alias).get().count == 0:
            never.wait()

    with pytest.raises(RaceError, match=r"b \(hang\) has not reached"):
        race(increment, hang, using=alias, timeout=2)
    never.set()
    for thread in threading.enumerate():
        if thread.name.startswith("race: "):
            thread.join()
    assert counters(alias).get().count == 0

"""What a race says: the text is what its users read."""

from __future__ import annotations

import re
import textwrap
import uuid
from functools import partial

import pytest
from django.db import connections, transaction
from django.test import TestCase, TransactionTestCase

from fieldstone.testing.races import RaceError, RaceFound, race
from tests.testing.blog.models import Author, Counter, Tag
from tests.testing.conftest import on_engines

each_engine = on_engines(transaction=True)


def text_of(text: str) -> str:
    """Without the numbers of lines, all of as many digits."""
    return re.sub(r"py:\d+", "py:LINE", text)


@each_engine
def test_the_whole_message_of_a_lost_update(alias):
    def increment() -> None:
        counter = Counter.objects.using(alias).get(name="hits")
        counter.count += 1
        counter.save(update_fields=["count"])

    def double() -> None:
        counter = Counter.objects.using(alias).get(name="hits")
        counter.count *= 2
        counter.save(update_fields=["count"])

    Counter.objects.using(alias).create(pk=7, name="hits", count=3)
    with pytest.raises(RaceFound) as caught:
        race(increment, double, using=alias)
    engine = {"default": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}[alias]
    at = "tests/testing/test_race_messages.py:LINE in"
    expected = f"""\
        On {engine}, 4 of all 6 interleavings of a (increment) and b (double) went wrong:
          lost update: 4

        Lost update, in order abba: the end state is as if b had never run.

          1  a  SELECT … FROM blog_counter WHERE name = 'hits' LIMIT 21  {at} increment
          2  b  SELECT … FROM blog_counter WHERE name = 'hits' LIMIT 21  {at} double
          3  b  UPDATE blog_counter SET count = 6 WHERE id = 7           {at} double
          4  a  UPDATE blog_counter SET count = 4 WHERE id = 7           {at} increment

          blog_counter
            is          id=7, name='hits', count=4
            after a, b  id=7, name='hits', count=8

          Replay:  race(increment, double, order="abba")
          Hint:    read the row with select_for_update() in the transaction that writes it,
                   or let the database reckon: .update(count=F('count') + 1)."""
    assert text_of(str(caught.value)) == textwrap.dedent(expected)


@each_engine
def test_the_layout_holds_for_three_actors_and_columns_left_out_are_named(alias):
    def increment() -> None:
        Tag.objects.using(alias).create(name=uuid.uuid4().hex)
        counter = Counter.objects.using(alias).get(name="hits")
        counter.count += 1
        counter.save()

    Counter.objects.using(alias).create(pk=7, name="hits")
    with pytest.raises(RaceFound) as caught:
        race(increment, increment, increment, using=alias, order="abc abc abc")
    assert (
        "\n    is             id=7, name='hits', count=1\n    after a, b, c  id=7, name='hits', count=3\n"
    ) in str(caught.value)
    assert "\nNot compared, since runs in the same order differ there: blog_tag.name" in str(caught.value)


@each_engine
def test_numbers_of_new_rows_in_other_columns_are_named(alias):
    """As an audit log has them: no foreign keys, so nothing tells what they point to."""

    def write(name: str) -> None:
        tag = Tag.objects.using(alias).create(name=name)
        Counter.objects.using(alias).create(name=f"tag {name}", count=tag.pk)
        author = Author.objects.using(alias).create(name=name)
        Counter.objects.using(alias).create(name=f"author {name}", count=author.pk)

    steps = partial(write, "x"), partial(write, "y")
    with pytest.raises(RaceFound) as caught:
        race(*steps, using=alias, limit=3)
    assert "these seem to be keys of new rows" in str(caught.value)
    assert 'ignore=["blog_counter.count"], or say what counts with observe=.' in str(caught.value)
    assert not race(*steps, using=alias, limit=3, ignore=["blog_counter.count"]).findings


@each_engine
def test_an_ignored_column_that_is_nowhere_is_told_with_those_there_are(alias):
    Counter.objects.using(alias).create(name="hits")

    def step() -> None:
        Counter.objects.using(alias).update(count=5)

    with pytest.raises(RaceError, match="ignore= names what no table has that was written to: 'conut'") as caught:
        race(step, step, using=alias, ignore=["conut", "name"])
    assert "  blog_counter.count\n  blog_counter.id\n  blog_counter.name" in str(caught.value)


@each_engine
def test_one_kind_alone_may_be_allowed(alias):
    Counter.objects.using(alias).create(name="hits")

    def increment() -> None:
        counter = Counter.objects.using(alias).get()
        counter.count += 1
        counter.save()

    assert race(increment, increment, using=alias, allow="lost update").lost_updates
    assert race(increment, increment, using=alias, ignore="count", allow=LookupError).allow == (LookupError,)


def test_sqlite_in_memory_is_read_while_a_transaction_holds_its_tables(project):
    """Two new rows in one transaction: the second table is copied under the lock of the first."""
    result = project("""
        import pytest
        from django.db import transaction
        from fieldstone.testing.races import race
        from tests.testing.blog.models import Author, Post

        @pytest.mark.django_db(transaction=True)
        def test_place():
            def place(name):
                with transaction.atomic():
                    author = Author.objects.create(name=name)
                    Post.objects.create(author=author, slug="x")

            race(lambda: place("a"), lambda: place("b"), allow=["deadlock"])
    """)
    result.assert_outcomes(passed=1)


@each_engine
def test_observed_instances_are_compared_by_their_values(alias):
    """They are equal by primary key."""
    Counter.objects.using(alias).create(name="hits")

    def step() -> None:
        counter = Counter.objects.using(alias).get()
        counter.count += 1
        counter.save()

    counters = Counter.objects.using(alias)
    for observe in (
        counters.get,
        counters.all,
        lambda: list(counters.all()),
        lambda: {"hits": (counters.get(),)},
        lambda: {counters.get()},
    ):
        with pytest.raises(RaceFound) as caught:
            race(step, step, using=alias, observe=observe)
        assert "'count': 1" in str(caught.value) and "'count': 2" in str(caught.value)


@each_engine
def test_what_tells_nothing_is_refused_from_observe(alias):
    async def later() -> int:
        return 1

    step = partial(Counter.objects.using(alias).update, count=5)
    for observe, told in (
        (lambda: None, "observe= returned None: there is nothing to compare"),
        (lambda: (each for each in [1]), r"an iterator \(generator\)"),
        (lambda: {"all": map(str, [1])}, r"an iterator \(map\)"),
        (later, "a plain function, without async"),
    ):
        with pytest.raises(RaceError, match=told):
            race(step, step, using=alias, observe=observe)


@each_engine
def test_a_deadlock_says_who_waited_for_whom_and_who_had_to_fail(alias):
    Counter.objects.using(alias).bulk_create([Counter(name="x"), Counter(name="y")])

    def both(*names: str) -> None:
        with transaction.atomic(alias):
            for name in names:
                Counter.objects.using(alias).filter(name=name).update(count=5)

    if alias == "default":
        pytest.skip("SQLite's transactions begin with the lock to write here")
    with pytest.raises(RaceFound) as caught:
        race(partial(both, "x", "y"), partial(both, "y", "x"), using=alias, order="ab ba")
    text = str(caught.value)
    assert "this interleaving of a (both('x', 'y')) and b (both('y', 'x')) went wrong:\n  deadlock: 1" in text
    assert re.search(r'Replay:  race\(\.\.\., \.\.\., order="abba[ab]+"\)', text)
    assert re.search(
        r"Deadlock, in order abba[ab]+: b waited for a, a waited for b; the database chose [ab] to fail", text
    )
    assert "\n          waited for a\n" in text and "OperationalError: " in text
    assert 'for all rows at once; or try again, and say allow=["deadlock"].' in text
    assert "DETAIL" not in text


@each_engine
def test_an_error_that_only_comes_at_once_names_statement_and_remedy(alias):
    def register() -> None:
        if not Counter.objects.using(alias).filter(name="hits").exists():
            Counter.objects.using(alias).create(name="hits")

    with pytest.raises(RaceFound) as caught:
        race(register, register, using=alias, order="ab")
    text = str(caught.value)
    assert "Error only when they run at once, in order abba: a raised IntegrityError: " in text
    assert "between the check and the write another one wrote. Let the constraint decide" in text


@each_engine
def test_a_turn_of_one_that_has_finished_is_told_with_the_steps_there_were(alias):
    Counter.objects.using(alias).create(name="hits")
    step = Counter.objects.using(alias).count
    for order in ("ab aa", "aba"):
        with pytest.raises(RaceError) as caught:
            race(step, step, using=alias, order=order)
        turn = "Turn 3 of order="
        assert str(caught.value).startswith(turn), caught.value
        assert "is for a (count), which has finished." in str(caught.value)
        assert "Steps so far: a 1, b 1. A statement is a step, and so are commit and rollback" in str(caught.value)


@each_engine
def test_a_turn_of_one_that_waits_is_passed_over_and_noted(alias):
    Counter.objects.using(alias).create(name="hits")

    def step() -> None:
        with transaction.atomic(alias):
            counter = Counter.objects.using(alias).select_for_update().get()
            counter.count += 1
            counter.save()

    report = race(step, step, using=alias, order="ab bb")
    assert report.interleavings[0].passed_over == (3, 4)
    assert report.interleavings[0].order == ("abaaabbb" if alias == "default" else "abaabb")


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ([print], {}, "a race takes 2 to 6 functions, not 1"),
        ([print, None], {}, "None is not callable: give functions without arguments, not their results"),
        ([print, min], {"order": "abc"}, "order= has 'c': take letters by position, of a, b"),
        ([print, print], {"order": [print]}, "where no function is there twice"),
        (
            [print, min],
            {"allow": ["lost"]},
            "allow= has 'lost': take 'lost update', 'anomaly', 'deadlock', 'error'",
        ),
        ([print, min], {"limit": 0}, "limit=0: at least one interleaving"),
    ],
)
def test_wrong_arguments_are_told(arguments, options, words):
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        race(*arguments, **options)


@on_engines(transaction=False)
def test_inside_a_transaction_it_says_what_to_use_instead(alias):
    with pytest.raises(RaceError) as caught:
        race(print, min, using=alias)
    assert f"race() was called inside the transaction of a TestCase on {alias!r}." in str(caught.value)
    assert "unittest:  derive the test from django.test.TransactionTestCase" in str(caught.value)
    assert "pytest:    @pytest.mark.django_db(transaction=True)" in str(caught.value)


@each_engine
def test_inside_an_atomic_block_of_the_test_it_is_refused(alias):
    with transaction.atomic(alias), pytest.raises(RaceError, match="inside a transaction on"):
        race(print, min, using=alias)
    connections[alias].set_autocommit(False)
    with pytest.raises(RaceError, match="inside a transaction on"):
        race(print, min, using=alias)
    connections[alias].set_autocommit(True)


class InATestCase(TestCase):
    def test_it_is_refused(self):
        with self.assertRaisesRegex(RaceError, "TransactionTestCase"):
            race(print, min)


class InATransactionTestCase(TransactionTestCase):
    available_apps = ["tests.testing.blog"]

    def test_it_runs(self):
        Counter.objects.create(name="hits")
        with self.assertRaises(RaceFound) as caught:
            race(self.increment, self.increment)
        self.assertEqual(len(caught.exception.report.lost_updates), 4)

    def increment(self):
        counter = Counter.objects.get()
        counter.count += 1
        counter.save()

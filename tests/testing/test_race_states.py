"""What counts as the same end state, and what is put back between runs."""

from __future__ import annotations

import itertools
import random
import uuid
from functools import partial

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models import F
from django.utils import timezone

from fieldstone.testing.races import RaceError, RaceFound, race
from tests.testing.blog.models import Author, Comment, Counter, Post, Tag
from tests.testing.conftest import on_engines

each_engine = on_engines(transaction=True)


def increment(alias: str) -> None:
    Counter.objects.using(alias).update(count=F("count") + 1)


@each_engine
def test_the_numbers_and_times_of_new_rows_do_not_count(alias):
    """Posts get numbers and times in the order of their making; comments refer to them by number."""
    author = Author.objects.using(alias).create(name="ada")

    def write(slug: str) -> None:
        post = Post.objects.using(alias).create(author=author, slug=slug)
        Comment.objects.using(alias).create(post=post, author=author, text=f"on {slug}")

    report = race(partial(write, "x"), partial(write, "y"), using=alias)
    assert len(report.interleavings) == 6 and not report.findings


@each_engine
def test_a_reference_to_the_wrong_new_row_counts(alias):
    """Numbers do not, but what they point to does."""
    author = Author.objects.using(alias).create(name="ada")

    def write(slug: str) -> None:
        Post.objects.using(alias).create(author=author, slug=slug)
        last = Post.objects.using(alias).latest("pk")
        Comment.objects.using(alias).create(post=last, author=author, text=f"on {slug}")

    with pytest.raises(RaceFound) as caught:
        race(partial(write, "x"), partial(write, "y"), using=alias)
    assert {each.kind for each in caught.value.report.findings} == {"anomaly"}
    assert "post_id=(" in str(caught.value) and "slug='y'" in str(caught.value)


@each_engine
def test_columns_that_differ_in_equal_runs_do_not_count(alias):
    """Here a random name; the end state still has the count."""

    def tag() -> None:
        Tag.objects.using(alias).create(name=uuid.uuid4().hex)
        counter = Counter.objects.using(alias).get()
        counter.count += 1
        counter.save()

    Counter.objects.using(alias).create(name="tags")
    with pytest.raises(RaceFound) as caught:
        race(tag, tag, using=alias, order="abab ab")
    finding = caught.value.report.findings[0]
    assert (finding.kind, finding.actors, finding.tables) == ("lost update", ("b",), ("blog_counter",))
    assert [each.table for each in finding.differences] == ["blog_counter"]
    assert "blog_counter is as if b had never run." in str(caught.value)


@each_engine
def test_a_decision_that_the_other_one_undid_is_no_lost_update(alias):
    """Write skew over two tables: each is as if the other had never run, who did not write there."""
    Counter.objects.using(alias).create(name="x")
    Tag.objects.using(alias).create(name="x")

    def count() -> None:
        if Tag.objects.using(alias).exists():
            Counter.objects.using(alias).all().delete()

    def tag() -> None:
        if Counter.objects.using(alias).exists():
            Tag.objects.using(alias).all().delete()

    with pytest.raises(RaceFound) as caught:
        race(count, tag, using=alias)
    assert {each.kind for each in caught.value.report.findings} == {"anomaly"}


@each_engine
def test_ignored_columns_and_tables_columns_do_not_count(alias):
    """Who was last shows in one column only."""
    Counter.objects.using(alias).create(name="hits")

    def sign(name: str) -> None:
        old = Counter.objects.using(alias).get().count
        Counter.objects.using(alias).update(count=old + len(name))

    steps = partial(sign, "ada"), partial(sign, "grace")
    with pytest.raises(RaceFound):
        race(*steps, using=alias)
    for ignore in ("count", "blog_counter.count"):
        assert not race(*steps, using=alias, ignore=[ignore]).findings


@each_engine
def test_observe_says_what_counts_instead(alias):
    """It is called after each run, and its values are told."""
    Counter.objects.using(alias).create(name="hits")

    def set_to(number: int) -> None:
        if Counter.objects.using(alias).get().count < number:
            Counter.objects.using(alias).update(count=number)

    steps = partial(set_to, 1), partial(set_to, 2)
    with pytest.raises(RaceFound) as caught:
        race(*steps, using=alias, observe=lambda: Counter.objects.using(alias).get().count)
    assert "observe()\n    is          1\n" in str(caught.value)
    report = race(*steps, using=alias, observe=lambda: Counter.objects.using(alias).get().count > 0)
    assert {each.state for each in report.interleavings} == {True}
    rows = race(*steps, using=alias, observe=lambda: Counter.objects.using(alias).values_list("name"))
    assert rows.interleavings[0].state == [("hits",)]


@each_engine
def test_setup_is_there_in_each_run_and_gone_at_the_end(alias):
    """Committed, so that the actors see it; its tables are put back too."""
    kept = Counter.objects.using(alias).create(name="hits", count=7)

    def setup() -> None:
        with transaction.atomic(alias):
            Counter.objects.using(alias).all().delete()
            Counter.objects.using(alias).create(name="hits", count=100)

    report = race(partial(increment, alias), partial(increment, alias), setup=setup, using=alias)
    assert [each.state["blog_counter"][0]["count"] for each in report.interleavings] == [102, 102]
    assert [(each.pk, each.count) for each in Counter.objects.using(alias).all()] == [(kept.pk, 7)]


@each_engine
def test_rows_with_references_are_put_back(alias):
    """Parents and children, deleted and made anew."""
    author = Author.objects.using(alias).create(name="ada")
    post = Post.objects.using(alias).create(author=author, slug="x", text="ß 'quoted' \\ %s")
    post.tags.add(Tag.objects.using(alias).create(name="t"))
    Comment.objects.using(alias).create(post=post, author=author)
    before = [
        list(model.objects.using(alias).values()) for model in (Author, Post, Comment, Tag, Post.tags.through)
    ]
    delete = Author.objects.using(alias).filter(name="ada").delete
    report = race(delete, partial(Tag.objects.using(alias).create, name="u"), using=alias, limit=8)
    assert any("blog_post" in each.state for each in report.interleavings)
    after = [
        list(model.objects.using(alias).values()) for model in (Author, Post, Comment, Tag, Post.tags.through)
    ]
    assert before == after


@each_engine
def test_steps_that_cannot_be_repeated_are_refused(alias):
    """Nothing could be compared with what they leave."""

    def some() -> None:
        Tag.objects.using(alias).bulk_create(Tag(name="t") for _ in range(next(numbers)))

    numbers = iter(range(1, 100))
    with pytest.raises(RaceError, match="Run twice in the order ab, one after the other") as caught:
        race(some, partial(increment, alias), using=alias)
    assert "blog_tag: " in str(caught.value)


@each_engine
def test_a_step_that_never_succeeds_is_refused(alias):
    """A race of it would prove nothing."""
    Counter.objects.using(alias).create(name="hits")

    def broken() -> None:
        Counter.objects.using(alias).get(name="hits").inkrement()

    with pytest.raises(RaceError, match=r"b \(broken\) fails even when no other one runs") as caught:
        race(partial(increment, alias), broken, using=alias)
    assert "AttributeError: 'Counter' object has no attribute 'inkrement'" in str(caught.value)
    assert "at tests/testing/test_race_states.py:" in str(caught.value) and "in broken" in str(caught.value)
    assert isinstance(caught.value.__cause__, AttributeError)
    assert not race(partial(increment, alias), broken, using=alias, allow=[AttributeError]).failures


@each_engine
def test_a_setup_that_fails_fails_the_race(alias):
    def setup() -> None:
        Counter.objects.using(alias).create(name="hits")
        Counter.objects.using(alias).create(name="hits")

    with pytest.raises(IntegrityError):
        race(partial(increment, alias), partial(increment, alias), setup=setup, using=alias)
    assert not Counter.objects.using(alias).exists()


@each_engine
def test_a_step_that_leaves_a_transaction_open_loses_it(alias):
    """As a request would, whose connection is closed after it."""
    Counter.objects.using(alias).create(name="hits")

    def forgets() -> None:
        connections[alias].set_autocommit(False)
        increment(alias)

    report = race(forgets, partial(increment, alias), using=alias, limit=3)
    assert {each.state["blog_counter"][0]["count"] for each in report.interleavings} == {1}


@each_engine
def test_a_choice_made_at_random_in_python_does_not_disturb_the_harness(alias):
    """An interleaving that cannot be played again is played as far as it goes."""
    dice = random.Random(5)

    def step() -> None:
        for _ in range(dice.randrange(1, 4)):
            Counter.objects.using(alias).count()
        increment(alias)

    report = race(step, step, using=alias, limit=10)
    assert all(each.order.count("a") >= 2 for each in report.interleavings)


@each_engine
def test_a_value_that_outlives_a_run_is_refused(alias):
    """An object of the test's, which each run goes on counting: no noise, in a row that was there before."""
    hits = Counter.objects.using(alias).create(name="hits")

    def step() -> None:
        hits.count += 1
        hits.save()

    with pytest.raises(RaceError, match="these steps do not end alike") as caught:
        race(step, step, using=alias)
    assert "count=2  or  " in str(caught.value) and 'ignore=["blog_counter.count"]' in str(caught.value)
    assert race(step, step, using=alias, ignore="count").interleavings


@each_engine
def test_a_value_that_outlives_a_run_is_refused_in_rows_of_setup_too(alias):
    """They are there in each run before the steps, and new to the database all the same."""
    numbers = itertools.count(1)

    def setup() -> None:
        Counter.objects.using(alias).create(name=f"of run {next(numbers)}")

    def step() -> None:
        Counter.objects.using(alias).update(count=next(numbers))

    with pytest.raises(RaceError, match="do not end alike") as caught:
        race(step, step, using=alias, setup=setup)
    assert 'ignore=["blog_counter.count"]' in str(caught.value)
    report = race(partial(increment, alias), partial(increment, alias), using=alias, setup=setup)
    assert not report.findings, "a name that setup makes anew each time is no difference"


@each_engine
def test_times_and_uuids_in_rows_that_were_there_do_not_count(alias):
    """Nobody expects the same of two runs."""
    author = Author.objects.using(alias).create(name="ada")
    Post.objects.using(alias).create(author=author, slug="x")

    def edit() -> None:
        Post.objects.using(alias).update(published=timezone.now(), title=uuid.uuid4().hex)

    assert not race(edit, edit, using=alias).findings


@each_engine
def test_an_actor_that_raises_in_one_of_two_equal_runs_is_refused(alias):
    calls = itertools.count()

    def step() -> None:
        Tag.objects.using(alias).exists()
        if next(calls) == 1:
            raise LookupError("the second time")

    with pytest.raises(RaceError, match="Run twice in the order ab") as caught:
        race(partial(increment, alias), step, using=alias)
    assert "  b: goes through  or  raises LookupError: the second time" in str(caught.value)


@each_engine
def test_a_clock_that_stands_still_at_first_is_no_anomaly(alias):
    """As one of whole seconds does; once it goes on, the serial orders are tried again."""
    calls = itertools.count()

    def note() -> None:
        Tag.objects.using(alias).exists()
        Tag.objects.using(alias).create(name="before" if next(calls) < 13 else "after")

    assert not race(note, note, using=alias).findings


@each_engine
def test_long_names_of_tables_are_told_apart(alias):
    """Alike but for the last letter, which a copy's name has no room for."""
    names = [f"race_of_{'x' * 50}{each}" for each in "ab"]

    def run(*statements: str) -> None:
        with connections[alias].cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)

    def step() -> None:
        run(*(f"UPDATE {name} SET n = n + 1" for name in names))

    try:
        for at, name in enumerate(names):
            run(f"CREATE TABLE {name} (id integer PRIMARY KEY, n integer)", f"INSERT INTO {name} VALUES (1, {at})")
        state = race(step, step, using=alias).interleavings[0].state
        assert [state[name][0]["n"] for name in names] == [2, 3]
    finally:
        run(*(f"DROP TABLE IF EXISTS {name}" for name in names))

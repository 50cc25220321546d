"""Interning keys: what it costs in queries, on every engine, and that no two processes make a key twice."""

from __future__ import annotations

import random
from contextlib import nullcontext

import pytest
from django.db import OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext

from fieldstone.store import Store, Summary
from fieldstone.store.models import LearningContext, StudentModule, Usage
from fieldstone.store.tables import CONTEXT, USAGE
from fieldstone.store.usages import forget_all
from tests.conftest import COURSE, each_engine, usage
from tests.engines.writer import JOIN_SECONDS, Barrier, Writers, block, race

OTHER_COURSES = [COURSE.replace(run=f"other{n}") for n in range(3)]

each_case = pytest.mark.parametrize("in_transaction", [False, True], ids=["autocommit", "in a transaction"])


def queries_to_intern(alias, changes, *, in_transaction):
    """The texts of the statements over the interning tables that a save runs."""
    around = transaction.atomic(alias) if in_transaction else nullcontext()
    with around, CaptureQueriesContext(connections[alias]) as queries:
        Store(alias).save(1, changes)
    return [query["sql"] for query in queries.captured_queries if USAGE in query["sql"] or CONTEXT in query["sql"]]


def pairs(alias):
    """Every interned usage, with the context and the block type beside it."""
    rows = Usage.objects.using(alias).values_list("key", "context__key", "block_type")
    return sorted(rows)


def expected_pairs(keys):
    return sorted((str(key), str(key.context_key), key.block_type) for key in keys)


@each_engine
@each_case
def test_a_new_usage_of_a_new_context_costs_two_queries(store, alias, in_transaction):
    queries = queries_to_intern(alias, {usage("a"): {"x": 1}}, in_transaction=in_transaction)
    assert len(queries) <= 2, queries
    assert pairs(alias) == expected_pairs([usage("a")])


@each_engine
@each_case
def test_a_new_usage_of_a_context_that_only_other_processes_met_costs_two_queries(store, alias, in_transaction):
    """Three on MariaDB, where the insert that could do it by itself would lock the table."""
    store.save(1, {usage("a"): {"x": 1}})
    forget_all()
    queries = queries_to_intern(alias, {usage("b", "html"): {"x": 1}}, in_transaction=in_transaction)
    assert len(queries) <= (3 if connections[alias].vendor == "mysql" else 2), queries
    assert pairs(alias) == expected_pairs([usage("a"), usage("b", "html")])


@each_engine
@each_case
def test_a_new_usage_of_a_known_context_costs_two_queries(store, alias, in_transaction):
    store.save(1, {usage("a"): {"x": 1}})
    queries = queries_to_intern(alias, {usage("b"): {"x": 1}}, in_transaction=in_transaction)
    assert len(queries) <= 2, queries
    assert pairs(alias) == expected_pairs([usage("a"), usage("b")])


@each_engine
@each_case
def test_a_usage_that_only_other_processes_met_costs_two_queries(store, alias, in_transaction):
    store.save(1, {usage("a"): {"x": 1}})
    forget_all()
    queries = queries_to_intern(alias, {usage("a"): {"x": 2}}, in_transaction=in_transaction)
    assert len(queries) <= 2, queries
    assert store.read(1, [usage("a")])[usage("a")].revision == 2
    assert pairs(alias) == expected_pairs([usage("a")])


@each_engine
@each_case
def test_a_usage_of_a_known_context_that_other_processes_met_costs_one_query(store, alias, in_transaction):
    store.save(1, {usage("a"): {"x": 1}})
    forget_all()
    store.save(1, {usage("b"): {"x": 1}})
    queries = queries_to_intern(alias, {usage("a"): {"x": 2}}, in_transaction=in_transaction)
    assert len(queries) <= 1, queries


@each_engine
@each_case
def test_the_cost_does_not_grow_with_the_page(store, alias, in_transaction):
    """Blocks of a known context, of one that is only stored, and of a new one, some of each stored already."""
    stored = [usage(f"b{n}", course=course) for n in range(20) for course in OTHER_COURSES[:2]]
    store.save(1, {key: {"x": 1} for key in stored})
    forget_all()
    store.save(1, {usage("b0", course=OTHER_COURSES[0]): {"x": 1}})
    page = [usage(f"b{n}", course=course) for n in range(10, 40) for course in OTHER_COURSES]
    changes = {Summary(key) if n % 2 else key: {"x": 1} for n, key in enumerate(page)}
    queries = queries_to_intern(alias, changes, in_transaction=in_transaction)
    assert len(queries) <= (3 if connections[alias].vendor == "mysql" else 2), queries
    assert pairs(alias) == expected_pairs({*stored, *page})
    assert not queries_to_intern(alias, changes, in_transaction=in_transaction)


@each_engine
def test_any_text_that_a_key_may_have_is_interned_as_it_is(store, alias):
    """Trailing and doubled characters, other cases: each engine tells them apart in every way of interning."""
    keys = [usage(name) for name in ("a", "A", "a.", "a-", "a:", "a~", "a_b", "a-b", "aXb", "ab-", "n" * 150)]
    for key in keys:
        forget_all()
        store.save(1, {key: {"x": str(key)}})
    forget_all()
    assert {key: state.fields["x"] for key, state in store.read(1, keys).items()} == {k: str(k) for k in keys}
    assert pairs(alias) == expected_pairs(keys)


def _met_in_a_transaction(number, learner, rounds, start):
    """Overlapping blocks of a course that is there at every second round, each round in a transaction."""
    draw = random.Random(number)
    for round_ in range(rounds):
        names = draw.sample([f"b{n}" for n in range(12)], 8)
        changes = {block(name, f"course{round_ // 2}"): {"x": 1} for name in names}
        forget_all()
        start.wait(JOIN_SECONDS)
        while not _is_saved(learner + number, changes):
            pass
        yield len(names)


def _is_saved(learner, changes):
    """A transaction of its own is its caller's to try again: now and then MariaDB ends one for a deadlock."""
    try:
        with transaction.atomic():
            Store().save(learner, changes)
    except OperationalError as error:
        if connections["default"].vendor == "mysql" and error.args[0] == 1213:
            return False
        raise
    return True


@each_engine
def test_processes_that_meet_keys_in_transactions_make_each_once(store, learner, alias):
    rounds, processes = 20, 4
    told = race(alias, _met_in_a_transaction, processes, learner, rounds, Barrier(processes))
    assert [len(saves) for saves in told] == [rounds] * processes
    assert LearningContext.objects.using(alias).count() == rounds / 2
    interned = Usage.objects.using(alias).values_list("key", "id", "context__key")
    assert len({key for key, _, _ in interned}) == len(interned)
    for key, _, context in interned:
        assert key.startswith(context.replace("course-v1:", "block-v1:") + "+type@problem+block@b"), (key, context)
    rows = StudentModule._base_manager.using(alias).values_list("usage__key", flat=True)
    assert set(rows) == {key for key, _, _ in interned}


def _save_beside(learner, names):
    Store().save(learner, {block(name): {"x": 1} for name in names})
    yield "saved"


@each_engine
def test_meeting_keys_that_are_there_locks_nobody_out(store, learner, alias):
    """A transaction that has met them stays open; another process, to which they are new, saves to them."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, whatever it writes")
    store.save(learner, {block("a"): {"x": 1}, block("b"): {"x": 1}})
    forget_all()
    with Writers(alias) as writers, transaction.atomic(alias):
        store.save(learner, {block("a"): {"x": 2}, block("new"): {"x": 1}})
        assert writers.start(_save_beside, learner + 1, ["a", "b", "newer"]).rest() == ["saved"]

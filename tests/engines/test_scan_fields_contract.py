"""Scans of our own tables of fields: their order, queries and plans, on every engine."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test.utils import CaptureQueriesContext

from fieldstone.errors import InvalidPlaceError
from fieldstone.store import DELETED, Preferences, Store, Summary, UserInfo
from fieldstone.testing.contracts.stores.scanning import changing
from tests.conftest import COURSE, each_engine, usage
from tests.engines.plans import FULL_SCAN, SORT, plans
from tests.engines.test_scan_contract import ELSEWHERE, LEARNERS, A, B, C

PROBLEM, HTML = Preferences("problem"), Preferences("html")


def fields_of(rows):
    return [(row.learner_id, dict(row.state.fields)) for row in rows]


def summaries_of(rows):
    return [(row.key, row.block_type, dict(row.state.fields)) for row in rows]


@pytest.fixture
def filled(store):
    """Five learners: one to three preferences for one block type, one for another, three fields of their own."""
    for learner in (30, 10, 20, 5, 40):
        preferences = {f"p{n}": learner for n in range(1 + learner % 3)}
        of_learner = {f"u{n}": learner for n in range(3)}
        store.save(learner, {PROBLEM: preferences, HTML: {"h": learner}, UserInfo(): of_learner})
    return store


@pytest.fixture
def summarised(store):
    """Summaries of three blocks of two types; a block without, and one of another course, met in between."""
    for block in (A, ELSEWHERE, B, usage("without"), C):
        place = block if block == usage("without") else Summary(block)
        store.save(7, {place: {"x": str(block), "y": None}})
    return store


@each_engine
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_summaries_come_in_the_order_in_which_the_blocks_were_first_met(summarised, batch):
    assert [row.usage_key for row in summarised.scan_summaries(COURSE, batch=batch)] == [A, B, C]


@each_engine
@pytest.mark.parametrize("learner_id", [1 - 2**63, -1, 0, 2**63 - 1])
def test_any_id_of_a_learner(store, learner_id):
    store.save(learner_id, {PROBLEM: {"x": 1}, UserInfo(): {"x": 1}})
    for place in (PROBLEM, UserInfo()):
        assert fields_of(store.scan_fields(place, batch=1)) == [(learner_id, {"x": 1})]


@each_engine
def test_wrong_arguments(store):
    """At the call, not at the first row."""
    for place in (A, Summary(A), "problem", None):
        with pytest.raises(InvalidPlaceError, match="scan_fields"):
            store.scan_fields(place)
    with pytest.raises(InvalidPlaceError, match="no learning context"):
        store.scan_summaries(A)
    for scan in (lambda: store.scan_fields(UserInfo(), batch=0), lambda: store.scan_summaries(COURSE, batch=0)):
        with pytest.raises(ValueError, match="at least one"):
            scan()


@each_engine
def test_two_queries_a_batch_and_only_as_rows_are_used(store, alias):
    """Sixty rows, ten a batch, three rows a learner; sixty blocks, ten a batch."""
    for learner in range(20):
        store.save(learner, {place: {"x": 1, "y": 1, "z": 1} for place in (PROBLEM, HTML, UserInfo())})
    store.save(None, {Summary(usage(f"b{n}")): {"x": 1} for n in range(60)})
    scans = [
        (20, lambda: store.scan_fields(PROBLEM, batch=10)),
        (20, lambda: store.scan_fields(UserInfo(), batch=10)),
        (60, lambda: store.scan_summaries(COURSE, batch=10)),
    ]
    for count, scan in scans:
        with CaptureQueriesContext(connections[alias]) as queries:
            rows = scan()
            assert len(queries) == 0
            next(rows)
            assert len(queries) <= 3
            assert 1 + len(list(rows)) == count
        assert len(queries) <= 1 + 2 * 7 + 1
        assert not any("OFFSET" in query["sql"].upper() for query in queries)


@each_engine
def test_the_primary_keys_serve_it(filled, summarised, alias):
    """No sequential scan, and no sort."""
    with CaptureQueriesContext(connections[alias]) as queries:
        for place in (PROBLEM, UserInfo()):
            list(filled.scan_fields(place, batch=3))
        list(summarised.scan_summaries(COURSE, batch=3))
    for plan in plans(alias, [query["sql"] for query in queries.captured_queries]):
        assert FULL_SCAN not in plan
        assert SORT not in plan


@each_engine
def test_learners_whose_fields_are_deleted_during_the_scan(filled, alias):
    """Those of the first batch have come by then."""
    writer = Store(alias)

    def delete_all(_):
        for learner in LEARNERS:
            writer.save(learner, {UserInfo(): {f"u{n}": DELETED for n in range(3)}})

    rows = changing(filled.scan_fields(UserInfo(), batch=4), delete_all)
    assert fields_of(rows) == [(learner, {f"u{n}": learner for n in range(3)}) for learner in LEARNERS[:2]]


@each_engine
@pytest.mark.parametrize("name", ["scan_fields", "scan_summaries"])
def test_the_calls_for_coroutines_give_the_same(filled, summarised, name):
    call, asynchronous = getattr(filled, name), getattr(filled, f"a{name}")
    arguments = [list(inspect.signature(function).parameters.values()) for function in (call, asynchronous)]
    assert arguments[0] == arguments[1]
    of, shown = (UserInfo(), fields_of) if name == "scan_fields" else (COURSE, summaries_of)

    async def gathered():
        try:
            return [row async for row in asynchronous(of, batch=2)]
        finally:
            await sync_to_async(connections.close_all)()

    expected = shown(call(of))
    assert shown(asyncio.run(gathered())) == expected != []

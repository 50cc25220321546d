"""Scans of our own tables: their order, queries and plans, on every engine."""

from __future__ import annotations

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.errors import InvalidPlaceError
from fieldstone.store import DELETED, Grade
from fieldstone.store.tables import STATE
from tests.conftest import COURSE, each_engine, usage
from tests.engines.plans import FULL_SCAN, SORT, plans

A, B, C = usage("a"), usage("b"), usage("c", "html")
OTHER_COURSE = CourseLocator("Org", "Other", "Run")
ELSEWHERE = usage("a", course=OTHER_COURSE)


def met(rows):
    return [(row.learner_id, row.key) for row in rows]


def expected(learners, *blocks):
    return [(learner, str(block)) for block in blocks for learner in sorted(learners)]


@pytest.fixture
def filled(store):
    """Five learners at three blocks of two types, and at a block of another course that was met in between."""
    for block in (A, ELSEWHERE, B, C):
        for learner in (30, 10, 20, 5, 40):
            store.save(learner, {block: {"x": learner}})
    return store


LEARNERS = (5, 10, 20, 30, 40)


@each_engine
@pytest.mark.parametrize("batch", [1, 4, 5, 1000])
def test_blocks_come_in_the_order_in_which_they_were_first_met(filled, batch):
    assert met(filled.scan(context=COURSE, batch=batch)) == expected(LEARNERS, A, B, C)
    assert met(filled.scan(context=OTHER_COURSE, batch=batch)) == expected(LEARNERS, ELSEWHERE)


@each_engine
def test_empty_states_and_stored_nulls(store, alias):
    """Open edX's iteration fails at a NULL state. Here it is a row without fields, as an empty one is."""
    store.save(1, {A: {"x": DELETED}})
    store.save(2, {A: {"x": None}})
    store.save(3, {A: {"x": 1}})
    store.save(3, {A: {"x": DELETED}})
    store.save(4, {A: {"x": 1}})
    store.save(5, {}, grades={A: Grade(1, 2)})
    with connections[alias].cursor() as cursor:
        cursor.execute(f"UPDATE {STATE} SET fields = NULL WHERE student_id = 4")
    for scan in (store.scan(usage_key=A), store.scan(context=COURSE)):
        assert [dict(row.state.fields) for row in scan] == [{}, {"x": None}, {}, {}, {}]


@each_engine
@pytest.mark.parametrize("learner_id", [1 - 2**63, -1, 0, 2**63 - 1])
def test_any_id_of_a_learner(store, learner_id):
    store.save(learner_id, {A: {"x": 1}})
    assert met(store.scan(context=COURSE, batch=1)) == met(store.scan(usage_key=A)) == [(learner_id, str(A))]


@each_engine
def test_wrong_arguments(store):
    with pytest.raises(InvalidPlaceError, match="no learning context"):
        store.scan(context=str(COURSE))
    with pytest.raises(InvalidPlaceError, match="not a place"):
        store.scan(usage_key=str(A))
    with pytest.raises(ValueError, match="at least one"):
        store.scan(context=COURSE, batch=0)


# Queries and memory


def of_context(alias):
    """The queries for a batch of a context: MariaDB asks for the usages first (MariaDB.scan_context)."""
    return 2 if connections[alias].vendor == "mysql" else 1


@each_engine
@pytest.mark.parametrize("blocks", [1, 4, 30])
def test_queries_go_by_the_batch_and_not_by_the_row_or_block(store, alias, blocks):
    """Sixty rows, ten a batch: two steps a batch, a query that finds the context, a step that finds the end."""
    for number in range(blocks):
        for learner in range(60 // blocks):
            store.save(learner, {usage(f"b{number}"): {"x": 1}})
    with CaptureQueriesContext(connections[alias]) as queries:
        assert len(list(store.scan(context=COURSE, batch=10))) == 60
    assert 7 <= len(queries) <= (1 + of_context(alias)) * 6 + 1 + of_context(alias)


@each_engine
def test_a_batch_is_all_that_is_fetched_ahead(filled, alias):
    """Constant memory: rows are asked for as they are used, never more than a batch, never by OFFSET."""
    with CaptureQueriesContext(connections[alias]) as queries:
        rows = filled.scan(context=COURSE, batch=5)
        assert len(queries) == 0
        for _ in range(5):
            next(rows)
        assert len(queries) == 1 + of_context(alias)
        next(rows)
        assert len(queries) == 2 + 2 * of_context(alias)  # the end of the first block, and the next five rows
        list(rows)
    statements = [query["sql"].upper() for query in queries]
    assert all(sql.rstrip().endswith("LIMIT 5") for sql in statements[1:])
    assert not any("OFFSET" in sql for sql in statements)


@each_engine
def test_a_usage_key_is_parsed_once_and_only_when_asked_for(filled, alias, monkeypatch):
    parsed = []
    from_string = UsageKey.from_string
    monkeypatch.setattr(UsageKey, "from_string", lambda text: parsed.append(text) or from_string(text))
    block = usage(f"parsed_on_{alias}_alone")
    for learner in LEARNERS:
        filled.save(learner, {block: {"x": 1}})
    rows = list(filled.scan(usage_key=block))
    assert parsed == []
    assert [row.usage_key for row in rows] == [block] * 5
    assert parsed == [str(block)]


@each_engine
def test_the_indexes_serve_it(filled, alias):
    """No sequential scan of the states, and no sort of more than a block's rows."""
    with CaptureQueriesContext(connections[alias]) as queries:
        list(filled.scan(context=COURSE, batch=3))
    found = plans(alias, [query["sql"] for query in queries.captured_queries[1:]])
    for plan in found:
        assert FULL_SCAN not in plan
        assert SORT not in plan
    indexes = {
        name for name in ("fieldstone_context_usages", "fieldstone_block_first") for plan in found if name in plan
    }
    assert len(indexes) == 2, found


# While others save

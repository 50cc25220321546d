"""Every learner's states of a block or of a learning context, on every engine."""

from __future__ import annotations

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator, LibraryLocator

from fieldstone.errors import InvalidPlaceError
from fieldstone.store import DELETED, Grade, Preferences, Store, Summary, UserInfo
from fieldstone.store.tables import STATE
from tests.conftest import COURSE, each_engine, usage
from tests.engines.plans import FULL_SCAN, SORT, plans

A, B, C = usage("a"), usage("b"), usage("c", "html")
OTHER_COURSE = CourseLocator("Org", "Other", "Run")
ELSEWHERE = usage("a", course=OTHER_COURSE)


def met(rows):
    return [(row.learner_id, row.key) for row in rows]


def expected(learners, *blocks):
    """Rows come by block, in the order in which the blocks were first met, then by learner."""
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
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 6, 7, 15, 16, 1000])
def test_a_context_is_read_whole_and_nothing_else_whatever_the_batch(filled, batch):
    """Batches that end amid a block, at its end, and at the end of all."""
    assert met(filled.scan(context=COURSE, batch=batch)) == expected(LEARNERS, A, B, C)
    assert met(filled.scan(context=OTHER_COURSE, batch=batch)) == expected(LEARNERS, ELSEWHERE)


@each_engine
@pytest.mark.parametrize("batch", [1, 2, 5, 6])
def test_a_block_is_read_whole_and_nothing_else_whatever_the_batch(filled, batch):
    assert met(filled.scan(usage_key=B, batch=batch)) == expected(LEARNERS, B)


@each_engine
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_one_block_type(filled, batch):
    assert met(filled.scan(context=COURSE, block_type="problem", batch=batch)) == expected(LEARNERS, A, B)
    assert met(filled.scan(context=COURSE, block_type="html", batch=batch)) == expected(LEARNERS, C)
    assert met(filled.scan(context=COURSE, block_type="poll", batch=batch)) == []
    assert met(filled.scan(usage_key=C, block_type="html", batch=batch)) == expected(LEARNERS, C)
    assert met(filled.scan(usage_key=C, block_type="problem", batch=batch)) == []


@each_engine
def test_what_is_scanned_is_what_is_read(store, learner):
    store.save(learner, {A: {"x": 1, "y": None}, C: {"z": [1.0]}})
    store.save(learner, {A: {"x": 2}})
    states = store.read(learner, [A, C])
    rows = {row.usage_key: row for row in store.scan(context=COURSE)}
    assert rows.keys() == {A, C}
    for key, row in rows.items():
        assert (row.learner_id, row.key, row.block_type) == (learner, str(key), key.block_type)
        assert dict(row.state.fields) == dict(states[key].fields)
        assert row.state._replace(fields=None) == states[key]._replace(fields=None)
        assert row.state.modified.utcoffset() is not None


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
def test_the_other_scopes_are_not_scanned(store, learner):
    store.save(learner, {Summary(A): {"x": 1}, Preferences("problem"): {"x": 1}, UserInfo(): {"x": 1}})
    assert met(store.scan(context=COURSE)) == met(store.scan(usage_key=A)) == []


@each_engine
@pytest.mark.parametrize("learner_id", [1 - 2**63, -1, 0, 2**63 - 1])
def test_any_id_of_a_learner(store, learner_id):
    store.save(learner_id, {A: {"x": 1}})
    assert met(store.scan(context=COURSE, batch=1)) == met(store.scan(usage_key=A)) == [(learner_id, str(A))]


@each_engine
def test_a_context_or_block_that_was_never_met(filled):
    assert list(filled.scan(context=CourseLocator("No", "Such", "Course"))) == []
    assert list(filled.scan(context=LibraryLocator("No", "Library"))) == []
    assert list(filled.scan(usage_key=usage("never"))) == []


@each_engine
@pytest.mark.parametrize("arguments", [{}, {"context": COURSE, "usage_key": A}])
def test_either_a_context_or_a_block(store, arguments):
    """At the call, not at the first row."""
    with pytest.raises(TypeError, match="either"):
        store.scan(**arguments)


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


def changing(rows, change):
    """The rows, with a change between each two."""
    for row in rows:
        yield row
        change(row)


@each_engine
@pytest.mark.parametrize("batch", [1, 2, 3, 5, 100])
def test_rows_that_were_there_throughout_come_once_while_others_are_added(filled, alias, batch):
    """Learners and blocks before, at and after the place where the scan is; no row comes twice."""
    writer, number = Store(alias), 0

    def add(row):
        nonlocal number
        number += 1
        if number <= 20:
            new = [row.learner_id - 1, row.learner_id + 1, 1000 + number]
            for learner in new:
                writer.save(learner, {A: {"new": 1}, B: {"new": 1}, usage(f"new{number % 3}"): {"new": 1}})

    seen = met(changing(filled.scan(context=COURSE, batch=batch), add))
    assert len(seen) == len(set(seen)), "a row came twice"
    assert set(expected(LEARNERS, A, B, C)) <= set(seen), "a row was passed over"


@each_engine
@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_row_that_is_saved_during_the_scan_comes_once(filled, alias, batch):
    """Saving moves no row: each learner's is saved right after it was seen, and so is everybody else's."""
    writer = Store(alias)

    def save_all(_):
        for learner in LEARNERS:
            writer.save(learner, {B: {"more": "x" * 3000}})

    assert met(changing(filled.scan(usage_key=B, batch=batch), save_all)) == expected(LEARNERS, B)


@each_engine
def test_saving_what_is_scanned(filled):
    """A job is ``scan`` and ``save``: the scan holds nothing open that a save would wait for."""
    for row in filled.scan(context=COURSE, batch=2):
        filled.save(row.learner_id, {row.usage_key: {"x": row.state.fields["x"] + 1}})
    assert [row.state.fields["x"] - row.learner_id for row in filled.scan(context=COURSE)] == [1] * 15

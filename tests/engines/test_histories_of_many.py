"""Earlier states of many learners at once are what each learner's history gives by itself; on every engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connections
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldstone.errors import DamagedHistoryError, HistoryTrimmedError, NoSuchRevisionError
from fieldstone.store import DELETED, Store, outbox
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.engines.walk import Part
from fieldstone.store.history import LEARNERS_TO_A_QUERY
from fieldstone.store.models import StudentModuleHistory
from fieldstone.store.retention import Limits, Trimming
from fieldstone.store.routing import Home, home_for_writing
from fieldstone.store.states import NO_GRADE, Grade, State
from fieldstone.store.tables import HISTORY, SNAPSHOT_EVERY, STATE
from fieldstone.store.verify import Verification
from fieldstone.store.verify_many import LEARNERS_AT_ONCE, findings_at
from fieldstone.testing import query_budget
from tests.conftest import each_engine, usage
from tests.engines.plans import FULL_SCAN, plans
from tests.engines.routers import Divided, each_engine_with_two_databases

A, B = usage("a"), usage("b")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
LEARNERS = [1, 2, 3, 4]


def day(number):
    return NEW_YEAR + timedelta(days=number)


class Days:
    """A clock that is set."""

    def __init__(self):
        self.now = day(0)

    def __call__(self):
        return self.now


def seen(answer):
    """What can be compared: a state by the texts that are stored, an error by its words."""
    if isinstance(answer, State):
        return dict(answer.fields.encoded), answer.modified, answer.revision, answer.grade, answer.max_grade
    return type(answer), str(answer)


def alone(store, learner, asked):
    """What the learner's history gives by itself."""
    is_revision = isinstance(asked, int)
    try:
        return seen(store.at(learner, A, **{"revision" if is_revision else "moment": asked}))
    except (NoSuchRevisionError, HistoryTrimmedError, DamagedHistoryError) as error:
        return seen(error)


def trim(store, **limits):
    limits = Limits(limits.get("revisions"), limits.get("days"))
    return sum(trimmed.revisions for trimmed in Trimming(home_for_writing(store.using), limits, day(99)).batches())


SAVES = st.lists(
    st.tuples(
        st.sampled_from(LEARNERS),
        st.sampled_from([A, A, A, B]),
        st.dictionaries(
            st.sampled_from("xyé"), st.one_of(st.just(DELETED), st.just("\x00\ud800"), st.integers()), min_size=1
        ),
        st.one_of(st.none(), st.just(NO_GRADE), st.floats(0, 1).map(lambda value: Grade(value, 1.0))),
        st.integers(0, 2),  # days until the next
    ),
    max_size=12,
)


@each_engine
def test_any_histories_give_many_what_they_give_each(store, monkeypatch):
    """Long ones by what is saved first, trimmed ones among them, and more than one query's learners."""
    monkeypatch.setattr("fieldstone.store.history.LEARNERS_TO_A_QUERY", 3)

    @settings(max_examples=25, deadline=None, database=None)
    @given(SAVES, st.dictionaries(st.sampled_from(LEARNERS), st.integers(40, 120), max_size=1), st.integers(0, 5))
    def compare(saves, long, keep):
        with connections[store.using].cursor() as cursor:
            for table in (HISTORY, STATE):
                cursor.execute(f"DELETE FROM {table}")
        clock = Days()
        timed = Store(store.using, clock=clock)
        for learner, number in long.items():
            for each in range(number):
                timed.save(learner, {A: {"n": each, f"f{each % 7}": each}})
        for learner, key, fields, grade, days in saves:
            timed.save(learner, {key: fields}, grades=None if grade is None else {key: grade})
            clock.now += timedelta(days=days)
        if keep:
            trim(store, revisions=keep)
        highest = max(long.values(), default=0) + len(saves) + 2
        for revision in range(-1, highest):
            asked = dict.fromkeys([*LEARNERS, 9], revision)
            found = store.at_many(A, asked)
            assert {n: seen(found[n]) for n in found} == {n: alone(store, n, asked[n]) for n in asked}
        for number in range(-1, 26, 3):
            asked = dict.fromkeys([*LEARNERS, 9], day(number))
            found = store.at_many(A, asked)
            assert {n: seen(found[n]) for n in found} == {n: alone(store, n, asked[n]) for n in asked}

    compare()


def long_and_short(store, learners):
    """Learner 1 has a history with two snapshots, the others two revisions, a day apart."""
    clock = Days()
    timed = Store(store.using, clock=clock)
    timed.save_many(LearnerSave.of(n, {A: {"x": n}}, {A: Grade(1, 2)}) for n in learners)
    clock.now = day(1)
    timed.save_many(LearnerSave.of(n, {A: {"x": DELETED, "y": n}}, {A: NO_GRADE}) for n in learners)
    clock.now = day(2)
    for number in range(2 * SNAPSHOT_EVERY):
        timed.save(1, {A: {"z": number}})


@each_engine
def test_each_is_asked_as_of_what_was_asked_for(store):
    long_and_short(store, LEARNERS)
    asked = {1: SNAPSHOT_EVERY + 9, 2: 1, 3: day(0), 4: day(1), 9: day(1)}
    with query_budget(5):  # revisions, two moments, the ends of what is not there; and the usage's id
        found = store.at_many(A, asked)
    assert {learner: (dict(state.fields), state.revision, state.grade) for learner, state in found.items()} == {
        1: ({"y": 1, "z": SNAPSHOT_EVERY + 6}, SNAPSHOT_EVERY + 9, None),
        2: ({"x": 2}, 1, 1.0),
        3: ({"x": 3}, 1, 1.0),
        4: ({"y": 4}, 2, None),
        9: ({}, 0, None),
    }
    assert store.at_many(A, {}) == {}
    assert store.at_many(usage("never-met"), {1: day(0)})[1].revision == 0
    assert isinstance(store.at_many(usage("never-met"), {1: 1})[1], NoSuchRevisionError)


@each_engine
def test_a_thousand_learners_cost_a_query_and_the_snapshots_save_reading_long_histories(store):
    learners = range(1, LEARNERS_TO_A_QUERY + 1)
    long_and_short(store, learners)
    store.read(1, [A])
    with CaptureQueriesContext(connections[store.using]) as queries:
        by_revision = store.at_many(A, dict.fromkeys(learners, 1) | {1: SNAPSHOT_EVERY + 3})
    assert len(queries) == 1
    with query_budget(1):
        by_moment = store.at_many(A, dict.fromkeys(learners, day(1)))
    assert [dict(by_revision[n].fields) for n in (2, 1000)] == [{"x": 2}, {"x": 1000}]
    assert [dict(by_moment[n].fields) for n in (2, 1000)] == [{"y": 2}, {"y": 1000}]
    for plan in plans(store.using, [queries[0]["sql"]]):
        assert HISTORY not in "".join(line for line in plan.splitlines() if FULL_SCAN in line), plan
    read = len(raw_rows(store, queries[0]["sql"]))
    assert read == len(learners) - 1 + 4, "of the long history only what follows from the snapshot"


def raw_rows(store, statement):
    with connections[store.using].cursor() as cursor:
        cursor.execute(statement.replace("%", "%%"))
        return cursor.fetchall()


@each_engine
def test_errors_are_each_learners_own_and_cost_one_query_more(store):
    long_and_short(store, LEARNERS)
    trim(store, revisions=1)
    timed = Store(store.using, clock=lambda: day(3))
    timed.save_many(LearnerSave.of(n, {A: {"x": "new"}}) for n in (2, 3, 4, 5, 6, 7))
    history = StudentModuleHistory.objects.using(store.using)
    history.filter(student_id=3, revision=3).update(delta="{")
    history.filter(student_id=4, revision=2).update(snapshot='{"y": 1}')
    history.filter(student_id=5).update(revision=7)
    history.filter(student_id=6).update(delta="[]")
    with query_budget(2):
        found = store.at_many(A, {1: 1, 2: 3, 3: 3, 4: 3, 5: 7, 6: 1, 7: 1, 8: 1})
    trimmed, sound, no_json, no_text, no_base, no_object, other, nobody = found.values()
    assert isinstance(trimmed, HistoryTrimmedError) and trimmed.oldest == 2 * SNAPSHOT_EVERY + 2
    assert (dict(sound.fields), dict(other.fields)) == ({"y": 2, "x": "new"}, {"x": "new"})
    for learner, damaged in ((3, no_json), (4, no_text), (5, no_base), (6, no_object)):
        assert isinstance(damaged, DamagedHistoryError) and damaged.learner_id == learner
    assert isinstance(nobody, NoSuchRevisionError)
    with query_budget(2):
        found = store.at_many(A, dict.fromkeys((1, 5, 7), day(0)))
    assert [type(found[learner]) for learner in (1, 5, 7)] == [HistoryTrimmedError, DamagedHistoryError, State]


@each_engine
def test_what_was_saved_under_an_origin_is_told_by_learner(store):
    long_and_short(store, LEARNERS)
    for _ in range(2):
        store.save_many([LearnerSave.of(n, {A: {"x": 1}, B: {"x": 1}}) for n in (1, 3)], origin="job:1")
        store.save_many([LearnerSave.of(n, {A: {"x": 1}}) for n in (2, 3)], origin="job:11")
    with query_budget(1):
        found = store.revisions_of_origin("job:1", A, LEARNERS)
    last = 2 * SNAPSHOT_EVERY + 2
    assert found == {1: [last + 1, last + 2], 3: [3, 5]}
    assert store.revisions_of_origin("job:1", A, []) == {}
    assert store.revisions_of_origin("job:1", usage("never-met"), LEARNERS) == {}


# Verification of some


@each_engine
def test_some_learners_at_one_usage_are_verified_with_a_handful_of_queries(store):
    learners = range(1, 1001)
    store.save_many(LearnerSave.of(n, {A: {"x": n}, B: {"x": n}}) for n in learners)
    store.save_many(LearnerSave.of(n, {A: {"x": DELETED}}) for n in learners)
    history = StudentModuleHistory.objects.using(store.using)
    with query_budget(1000 // LEARNERS_AT_ONCE * 2):
        assert findings_at(store.using, A, dict.fromkeys(learners, 2)) == {}
    history.filter(student_id__in=[7, 999], revision=2).delete()
    history.filter(student_id=8, revision=1, usage__key=str(B)).delete()
    assert findings_at(store.using, A, dict.fromkeys(range(5, 1001), 2)) == dict.fromkeys(
        (7, 999), "the history ends at revision 1, the state is at 2"
    )
    every = [each.what for found in Verification(store.using, Part()).batches() for each in found]
    assert every == [
        "the history ends at revision 1, the state is at 2",
        "the state is at revision 1 and has no history",
        "the history ends at revision 1, the state is at 2",
    ]


@each_engine
def test_who_has_a_long_history_is_verified_alone_and_much_damage_is_cut(store, monkeypatch):
    monkeypatch.setattr("fieldstone.store.verify_many.REVISIONS_AT_ONCE", 10)
    long_and_short(store, LEARNERS)
    assert findings_at(store.using, A, {1: 2 * SNAPSHOT_EVERY + 2, 2: 2, 3: 2, 4: 2, 9: 0}) == {}
    StudentModuleHistory.objects.using(store.using).filter(student_id=1).update(delta="x")
    found = findings_at(store.using, A, {1: 2 * SNAPSHOT_EVERY + 2, 2: 2})
    assert list(found) == [1]
    assert found[1].count("is not JSON") == 5
    assert found[1].endswith(f"; and {2 * SNAPSHOT_EVERY - 3} more")


# History on an alias of its own


@each_engine_with_two_databases
def test_history_that_is_moved_in_part_or_whole_gives_the_same(store, alias, settings, monkeypatch):
    monkeypatch.setattr(outbox, "_pause", outbox._Pause())
    home = Home(alias, f"{alias}_history")
    settings.DATABASE_ROUTERS = [Divided(home)]
    long_and_short(store, LEARNERS)
    for _ in outbox.sweep(home):
        pass
    outbox._pause.begin(home)
    store.save_many([LearnerSave.of(n, {A: {"x": "late"}}) for n in (1, 2)], origin="job:5")
    waiting = StudentModuleHistory.objects.using(home.states)
    assert waiting.count() == 2
    assert waiting.using(home.history).count() == 2 * SNAPSHOT_EVERY + 8
    for asked in (
        {1: 3, 2: 3, 3: 2, 4: 3},
        {1: 2 * SNAPSHOT_EVERY + 3, 2: 1, 3: 1},
        dict.fromkeys(LEARNERS, day(1)),
        dict.fromkeys(LEARNERS, datetime.now(UTC)),
        dict.fromkeys([*LEARNERS, 9], day(-1)),
    ):
        found = store.at_many(A, asked)
        assert {n: seen(found[n]) for n in asked} == {n: alone(store, n, asked[n]) for n in asked}
    with query_budget(**{home.states: 1, home.history: 1}):
        assert dict(store.at_many(A, {1: 3, 2: 3})[2].fields) == {"y": 2, "x": "late"}
    last = 2 * SNAPSHOT_EVERY + 3
    assert store.revisions_of_origin("job:5", A, LEARNERS) == {1: [last], 2: [3]}
    assert findings_at(alias, A, {1: last, 2: 3, 3: 2, 4: 2}) == {}
    trim(store, revisions=1)  # which moves what waits
    assert waiting.count() == 0
    assert [type(answer) for answer in store.at_many(A, {1: last, 2: 2, 3: 2, 4: 3}).values()] == [
        State, HistoryTrimmedError, State, NoSuchRevisionError,
    ]  # fmt: skip
    waiting.using(home.history).filter(student_id=3).delete()
    assert findings_at(alias, A, {2: 3, 3: 2}) == {3: "the state is at revision 2 and has no history"}

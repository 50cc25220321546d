"""Undo, restore and verify: what they make of histories, and of how many queries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from fieldstone.jobs import control, planning
from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.models import Job, Status
from fieldstone.jobs.worker import Worker
from fieldstone.store import DELETED, Store, outbox
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.engines.walk import Part
from fieldstone.store.retention import Limits, Trimming
from fieldstone.store.routing import Home, home_for_writing
from fieldstone.store.states import Grade
from fieldstone.store.tables import HISTORY, STATE
from fieldstone.store.verify import Verification
from tests.conftest import COURSE, usage
from tests.engines.routers import Divided

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "default_history"]),
    pytest.mark.usefixtures("ids_forgotten"),
]

A, B = usage("a"), usage("b")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
THOUSAND = range(1, 1001)


@pytest.fixture(params=["together", "divided", "left in the outbox"])
def store(request, settings, monkeypatch):
    """A store whose history is beside its states, on an alias of its own, or not moved there yet."""
    monkeypatch.setattr(outbox, "_pause", outbox._Pause())
    if request.param != "together":
        home = Home("default", "default_history")
        settings.DATABASE_ROUTERS = [Divided(home)]
        if request.param != "divided":
            outbox._pause.begin(home)
    return Store()


def save(changes, on=0, origin=""):
    """Save at a block A of learners, so many days after the new year."""
    store = Store(clock=lambda: NEW_YEAR + timedelta(days=on))
    saves = [LearnerSave.of(n, {A: fields}, {A: Grade(n, 10)}) for n, fields in changes.items()]
    assert not store.save_many(saves, origin=origin).refused


def run(kind, learners=None, is_dry_run=False, **options):
    job = planning.start(kind, COURSE, [A], options=options, learners=learners, is_dry_run=is_dry_run)
    return Worker().run(job.pk)


def undone(job):
    return Worker().run(control.undo(job.pk).pk)


def counts(job):
    return job.status, job.succeeded, job.skipped, job.failed


def notes(job):
    return {note.learner_id: note.text for note in job.notes.all()}


def stored(store, learners):
    found = store.read_many(learners, [A])
    return {n: (dict(states[A].fields), states[A].grade, states[A].revision) for n, states in found.items()}


def keep_the_latest():
    for _ in Trimming(home_for_writing("default"), Limits(1, None), datetime.now(UTC)).batches():
        pass


def behind_its_back(sql):
    """Damage, wherever the rows are."""
    for alias in ("default", "default_history"):
        with connections[alias].cursor() as cursor:
            cursor.execute(sql)


def all_rows():
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {STATE} ORDER BY student_id")
        return cursor.fetchall()


def disagreements():
    return [each.what for found in Verification("default", Part()).batches() for each in found]


# Undo


def test_an_undo_leaves_what_was_before_whether_there_was_a_state_or_not(store):
    save({1: {"x": 1}, 2: {"x": 2}, 3: {"x": 3}, 4: {"x": 4}})
    job = run("delete-state", [1, 2, 3])
    origin = f"job:{job.pk}"
    store.save(5, {A: {"x": 5}}, grades={A: Grade(5, 10)}, origin=origin)
    store.save(6, {A: {"x": 6}}, origin=origin)
    store.save(6, {A: {"y": 6}}, origin=origin)
    store.save(3, {A: {"x": "since"}})
    Job.objects.filter(pk=job.pk).update(whose=None)  # as if it had been over all
    undo = undone(job)
    assert counts(undo) == (Status.FINISHED, 4, 1, 1)
    assert notes(undo) == {3: "It has changed since: revision 2 was the job's, and 3 is now."}
    assert stored(store, range(1, 7)) == {
        1: ({"x": 1}, 1.0, 3),
        2: ({"x": 2}, 2.0, 3),
        3: ({"x": "since"}, None, 3),
        4: ({"x": 4}, 4.0, 1),
        5: ({}, None, 2),
        6: ({}, None, 3),
    }
    assert disagreements() == []


def test_an_undo_can_be_undone(store):
    save({1: {"x": 1}, 2: {"x": 2}})
    undo = undone(run("delete-state"))
    again = undone(undo)
    assert counts(again) == (Status.FINISHED, 2, 0, 0)
    assert stored(store, [1, 2]) == {1: ({}, None, 4), 2: ({}, None, 4)}
    assert store.history(1, A)[0].origin == f"job:{again.pk}"


def test_what_a_learner_did_between_two_saves_of_the_job_is_not_taken_back(store):
    save({1: {"x": 1}})
    job = run("delete-state")
    store.save(1, {A: {"x": "between"}})
    store.save(1, {A: {"y": 1}}, origin=f"job:{job.pk}")
    undo = undone(job)
    assert counts(undo) == (Status.FINISHED, 0, 0, 1)
    assert notes(undo)[1].startswith("It has changed between two saves of the job: of the revisions 2 to 4")
    assert dict(store.read(1, [A])[A].fields) == {"x": "between", "y": 1}


def test_where_what_was_before_is_trimmed_the_undo_says_so(store):
    save({1: {"x": 1}, 2: {"x": 2}})
    job = run("delete-state", [1])
    keep_the_latest()
    undo = undone(job)
    assert counts(undo) == (Status.FINISHED, 0, 0, 1)
    assert "revision 1 of this learner is no longer kept" in notes(undo)[1]
    assert stored(store, [1]) == {1: ({}, None, 2)}


def test_a_damaged_state_is_one_learners_failure(store):
    save({1: {"x": 1}, 2: {"x": 2}, 3: {"x": 3}})
    job = run("delete-state")
    behind_its_back(f"UPDATE {STATE} SET fields = '[]' WHERE student_id = 2")
    behind_its_back(f"UPDATE {HISTORY} SET delta = '{{' WHERE student_id = 3 AND revision = 1")
    undo = undone(job)
    assert counts(undo) == (Status.FINISHED, 1, 0, 2)
    assert notes(undo)[2].startswith("What is stored is damaged")
    assert "of learner 3 cannot be rebuilt" in notes(undo)[3]


# Restore


def test_states_are_what_they_were_at_the_moment(store):
    save({1: {"x": 1}, 2: {"x": 2}, 3: {"x": 3, "y": 3}}, on=0)
    save({2: {"x": "later"}, 3: {"y": DELETED}, 4: {"x": 4}}, on=2)
    save({3: {"x": "last"}}, on=4)
    job = run("restore", moment="2026-01-02T01:00:00+01:00")
    assert counts(job) == (Status.FINISHED, 3, 1, 0)
    assert stored(store, range(1, 5)) == {
        1: ({"x": 1}, 1.0, 1),
        2: ({"x": 2}, 2.0, 3),
        3: ({"x": 3, "y": 3}, 3.0, 4),
        4: ({}, None, 2),
    }
    again = run("restore", moment="2026-01-02T00:00:00Z")
    assert counts(again) == (Status.FINISHED, 0, 4, 0)
    between = run("restore", [3, 4], moment="2026-01-03T00:00:00Z")  # the moment of the save itself
    assert counts(between) == (Status.FINISHED, 2, 0, 0)
    assert stored(store, [3, 4]) == {3: ({"x": 3}, 3.0, 5), 4: ({"x": 4}, 4.0, 3)}
    undone(between)
    assert stored(store, [3, 4]) == {3: ({"x": 3, "y": 3}, 3.0, 6), 4: ({}, None, 4)}
    assert disagreements() == []


def test_a_state_that_was_deleted_is_found_and_restored(store):
    save({1: {"x": 1}, 2: {"x": 2}})
    run("delete-state")
    dry = run("restore", moment="2026-01-02T00:00:00Z", is_dry_run=True)
    assert notes(dry) == {1: "revision 1 again", 2: "revision 1 again"}
    assert counts(run("restore", moment="2026-01-02T00:00:00Z")) == (Status.FINISHED, 2, 0, 0)
    assert stored(store, [1, 2]) == {1: ({"x": 1}, 1.0, 3), 2: ({"x": 2}, 2.0, 3)}


def test_a_state_whose_history_does_not_reach_back_is_left_and_listed(store):
    save({1: {"x": 1}, 2: {"x": 2}}, on=0)
    save({1: {"x": "later"}}, on=2)
    keep_the_latest()
    job = run("restore", moment="2026-01-02T00:00:00Z")
    assert counts(job) == (Status.FINISHED, 0, 1, 1)
    assert "is no longer kept. The oldest that is kept is revision 2." in notes(job)[1]
    assert dict(store.read(1, [A])[A].fields) == {"x": "later"}


def test_who_saves_while_it_is_restored_is_looked_at_again(store, monkeypatch):
    save({1: {"x": 1}})
    save({1: {"x": 2}}, on=2)
    real, saved = Store.at_many, []

    def at_many(self, usage_key, asked):
        found = real(self, usage_key, asked)
        if not saved:
            saved.append(store.save(1, {A: {"late": 1}}))
        return found

    monkeypatch.setattr(Store, "at_many", at_many)
    assert counts(run("restore", moment="2026-01-02T00:00:00Z")) == (Status.FINISHED, 1, 0, 0)
    assert stored(store, [1]) == {1: ({"x": 1}, 1.0, 4)}


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("", "To which moment"),
        ("yesterday", "'yesterday' is no moment"),
        (5, "5 is no moment"),
        ("2026-01-02", "has no time zone"),
        ("2026-01-02T00:00:00", "has no time zone"),
        ("0001-01-01T00:00:00+12:00", "is no moment"),
        ("9000-01-01T00:00:00Z", "is yet to come"),
    ],
)
def test_a_moment_that_is_none_is_refused_with_how_to_write_it(moment, words):
    save({1: {"x": 1}})
    with pytest.raises(JobRefusedError, match=f'{words}.*such as "2026-03-31T23:59:00'):
        planning.start("restore", COURSE, [A], options={"moment": moment})
    assert not Job.objects.exists()


# Verify


def test_what_disagrees_with_its_history_is_listed_and_nothing_is_written(store):
    save({n: {"x": n} for n in range(1, 6)})
    save({n: {"x": DELETED, "y": n} for n in (2, 3)}, on=1)
    behind_its_back(f"DELETE FROM {HISTORY} WHERE student_id = 2 AND revision = 1")
    behind_its_back(f"UPDATE {HISTORY} SET grade = 7 WHERE student_id = 4")
    behind_its_back(f"UPDATE {STATE} SET fields = '{{' WHERE student_id = 5")
    before = all_rows()
    job = run("verify", [1, 2, 3, 4, 5, 99])
    assert counts(job) == (Status.FINISHED, 2, 1, 3)
    told = notes(job)
    assert told.pop(5).startswith("the state is not JSON")
    assert told == {
        2: "the history begins at revision 2, not at 1",
        4: "the grade is 4.0 of 10.0, in the history 7.0 of 10.0",
    }
    assert before == all_rows()


def test_history_whose_state_is_gone_is_told_of_a_learner_who_is_named(store):
    save({1: {"x": 1}, 2: {"x": 2}})
    behind_its_back(f"DELETE FROM {STATE} WHERE student_id = 1")
    job = run("verify", [1, 2])
    assert counts(job) == (Status.FINISHED, 1, 0, 1)
    assert notes(job) == {1: "there is history, to revision 1, and no state"}


# Queries


@pytest.mark.parametrize(
    ("kind", "of_states", "of_history"),
    [("undo", 4, 2), ("restore", 4, 1), ("verify", 4, 2)],
)
def test_a_thousand_learners_cost_a_handful_of_queries(kind, of_states, of_history):
    """Of the states and their history; a chunk's lease, notes and checkpoint are the worker's."""
    save({n: {"x": n} for n in THOUSAND})
    done = run("delete-state")
    options = {"undo": {"job": done.pk}, "restore": {"moment": "2026-01-02T00:00:00Z"}, "verify": {}}[kind]
    job = planning.start(kind, COURSE, [A], options=options)
    with CaptureQueriesContext(connection) as queries:
        job = Worker().run(job.pk)
    assert counts(job) == (Status.FINISHED, 1000, 0, 0)
    statements = [query["sql"] for query in queries]
    reads = [sql for sql in statements if HISTORY in sql and "INSERT" not in sql]
    states = [sql for sql in statements if STATE in sql and HISTORY not in sql]
    assert len(reads) == of_history
    assert len(states) <= of_states + 2, states  # two more by which the worker finds the chunk, and its end

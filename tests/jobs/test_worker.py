"""Jobs in this process, on SQLite: what they do, and what they do not do twice."""

from __future__ import annotations

import pytest

from fieldstone.jobs import control, planning, worker
from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds.reset_attempts import ResetAttempts
from fieldstone.jobs.models import Job, Part, Status
from fieldstone.jobs.outcomes import Failure
from fieldstone.jobs.worker import Worker
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.states import Grade
from tests.conftest import COURSE, usage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]

A, B = usage("a"), usage("b")
LEARNERS = range(1, 51)


@pytest.fixture
def states():
    """Fifty learners at two blocks; each fifth has no attempts."""
    store = Store()
    for key in (A, B):
        store.save_many(
            LearnerSave.of(n, {key: {"attempts": n % 5, "seed": n}}, {key: Grade(n % 2, 1)}) for n in LEARNERS
        )
    return store


def start(kind="reset-attempts", keys=(A, B), **options):
    return planning.start(kind, COURSE, keys, **options)


def counts(job):
    return (job.attempted, job.succeeded, job.skipped, job.failed, job.total)


def attempts(store, key=A):
    return [store.read(n, [key])[key].fields["attempts"] for n in LEARNERS]


def test_attempts_are_reset_and_all_else_stays(states):
    job = Worker().run(start().pk)
    assert (job.status, counts(job)) == (Status.FINISHED, (100, 80, 20, 0, 100))
    assert attempts(states) == attempts(states, B) == [0] * 50
    state = states.read(3, [A])[A]
    assert (state.fields["seed"], state.grade, state.revision) == (3, 1.0, 2)
    assert [revision.origin for revision in states.history(3, A)] == [f"job:{job.pk}", ""]
    assert states.read(5, [A])[A].revision == 1, "who is skipped has no new revision"


def test_state_is_deleted_with_its_grade_and_the_history_stays(states):
    job = Worker().run(start("delete-state", [A], learners=[3, 4, 999]).pk)
    assert counts(job) == (3, 2, 1, 0, 3)
    state = states.read(3, [A])[A]
    assert (dict(state.fields), state.grade) == ({}, None)
    assert states.at(3, A, revision=1).fields["seed"] == 3
    assert states.read(2, [A])[A].fields["seed"] == 2


def test_a_dry_run_writes_nothing_and_says_what_would_be(states):
    job = Worker().run(start(is_dry_run=True, keys=[A]).pk)
    assert counts(job) == (50, 40, 10, 0, 50)
    assert attempts(states) == [n % 5 for n in LEARNERS]
    note = job.notes.get(learner_id=4)
    assert (note.what, note.text) == ("would", "attempts: 4 to 0")


@pytest.mark.parametrize(
    ("kind", "keys", "options", "words"),
    [
        ("reset-attemps", [A], {}, "There are delete-state, export-history"),
        ("reset-attempts", [A], {"options": {"to": 1}}, "has no option 'to'"),
        ("reset-attempts", [usage("nobody-was-here")], {}, "no state to work on"),
        ("reset-attempts", [A], {"learners": []}, "no state to work on"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(states, kind, keys, options, words):
    with pytest.raises(JobRefusedError, match=words):
        start(kind, keys, **options)
    assert not Job.objects.exists()


def test_who_saves_while_a_chunk_is_computed_keeps_what_they_saved(states, monkeypatch):
    real = ResetAttempts.outcomes

    def outcomes(self, chunk, task):
        found = list(real(self, chunk, task))
        if monkeypatch is not None and states.read(7, [A])[A].revision == 1:
            states.save(7, {A: {"attempts": 9, "answer": "late"}})
        return iter(found)

    monkeypatch.setattr(ResetAttempts, "outcomes", outcomes)
    job = Worker().run(start(keys=[A]).pk)
    assert counts(job) == (50, 40, 10, 0, 50)
    assert dict(states.read(7, [A])[A].fields) == {"attempts": 0, "answer": "late", "seed": 7}


def test_a_job_over_the_same_states_is_refused_or_waits(states, settings):
    first = start()
    with pytest.raises(JobRefusedError, match=f"Job {first.pk} .* is at the same"):
        start("delete-state", [B])
    settings.FIELDSTONE = {**settings.FIELDSTONE, "JOBS_OVERLAP": "wait"}
    second = start("delete-state", [B])
    waiting = Worker().run(second.pk)
    assert (waiting.status, waiting.message) == (Status.WAITING, f"It waits for job {first.pk} (reset-attempts).")
    Worker().run(first.pk)
    assert Worker().run(second.pk).status == Status.FINISHED


def test_a_cancelled_job_writes_no_more(states, monkeypatch):
    monkeypatch.setattr(ResetAttempts, "states_to_a_chunk", 10)
    job = start(keys=[A])

    def cancel(now):
        control.cancel(job.pk)

    ended = Worker(on_chunk=cancel).run(job.pk)
    assert (ended.status, ended.attempted) == (Status.CANCELLED, 10)
    assert attempts(states)[:10] == [0] * 10
    assert attempts(states)[10:] == [n % 5 for n in LEARNERS][10:]


def test_a_worker_that_slept_past_its_lease_writes_nothing_more(states, monkeypatch, settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "JOB_LEASE_SECONDS": 0}
    monkeypatch.setattr(ResetAttempts, "states_to_a_chunk", 10)
    job, slept = start(keys=[A]), []
    real = ResetAttempts.outcomes

    def outcomes(self, chunk, task):
        found = list(real(self, chunk, task))
        if not slept:
            slept.append(True)
            Worker().run(job.pk)  # another takes the part over, and does all of it
        return iter(found)

    monkeypatch.setattr(ResetAttempts, "outcomes", outcomes)
    ended = Worker().run(job.pk)
    assert (ended.status, counts(ended)) == (Status.FINISHED, (50, 40, 10, 0, 50))
    assert all(states.read(n, [A])[A].revision == 2 - (n % 5 == 0) for n in LEARNERS)


def test_many_parts_are_as_one(states, monkeypatch):
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 7)
    job = start(keys=[A])
    assert Part.objects.filter(job=job).count() == 8
    assert counts(Worker().run(job.pk)) == (50, 40, 10, 0, 50)
    assert attempts(states) == [0] * 50


def test_a_learner_over_whom_workers_die_is_left_in_the_end(states, monkeypatch):
    """What ends the process cannot be caught: only that its holder is gone is seen."""
    monkeypatch.setattr(ResetAttempts, "states_to_a_chunk", 10)
    job = start(keys=[A])
    monkeypatch.setattr(worker.leases, "give_back", lambda lease, using: None)  # as if killed
    real = ResetAttempts.outcomes

    def outcomes(self, chunk, task):
        if 13 in chunk.states:
            raise KeyboardInterrupt
        return real(self, chunk, task)

    monkeypatch.setattr(ResetAttempts, "outcomes", outcomes)
    for _ in range(20):
        Part.objects.filter(job=job).exclude(leased_until=None).update(leased_until="2000-01-01T00:00Z")
        try:
            job = Worker().run(job.pk)
            break
        except KeyboardInterrupt:
            pass
    assert (job.status, counts(job)) == (Status.FINISHED, (50, 39, 10, 1, 50))
    note = job.notes.get()
    assert (note.learner_id, note.what) == (13, "failed")
    assert "workers vanished over it" in note.text


def test_an_undone_job_leaves_what_was_before_but_for_what_has_changed_since(states):
    done = Worker().run(start("delete-state", [A]).pk)
    states.save(7, {A: {"attempts": 1}})
    job = Worker().run(control.undo(done.pk).pk)
    assert counts(job) == (50, 49, 0, 1, 50)
    assert attempts(states)[:6] == [1, 2, 3, 4, 0, 1]
    assert states.read(3, [A])[A].grade == 1.0
    note = job.notes.get()
    assert (note.learner_id, note.text) == (7, "It has changed since: revision 2 was the job's, and 3 is now.")
    assert dict(states.read(7, [A])[A].fields) == {"attempts": 1}


def test_failures_alone_are_tried_again(states, monkeypatch):
    real = ResetAttempts.outcomes

    def outcomes(self, chunk, task):
        for learner_id, outcome in real(self, chunk, task):
            yield learner_id, Failure("not today") if learner_id in (3, 8) else outcome

    with monkeypatch.context() as broken:
        broken.setattr(ResetAttempts, "outcomes", outcomes)
        first = Worker().run(start(keys=[A]).pk)
    assert (first.succeeded, first.failed) == (38, 2)
    again = Worker().run(control.retry_failures(first.pk).pk)
    assert counts(again) == (2, 2, 0, 0, 2)
    assert attempts(states) == [0] * 50
    with pytest.raises(JobRefusedError, match="has no failures"):
        control.retry_failures(again.pk)


def test_a_paused_job_goes_on_where_it_was(states, monkeypatch):
    monkeypatch.setattr(ResetAttempts, "states_to_a_chunk", 10)
    job = start(keys=[A])
    paused = Worker(on_chunk=lambda now: control.pause(job.pk)).run(job.pk)
    assert (paused.status, paused.attempted) == (Status.PAUSED, 10)
    assert Worker().run(job.pk).attempted == 10, "nobody works on a paused job"
    control.resume(job.pk)
    assert counts(Worker().run(job.pk)) == (50, 40, 10, 0, 50)
    with pytest.raises(JobRefusedError, match="is finished"):
        control.cancel(job.pk)

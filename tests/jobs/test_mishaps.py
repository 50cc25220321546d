"""What a worker may meet on its way; nothing of it is done twice, counted twice, or blamed on others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from django.db import transaction
from django.db.models.signals import post_save

from fieldstone.errors import NoSuchBlockError
from fieldstone.jobs import chunks, control, kinds, planning
from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds.base import Kind
from fieldstone.jobs.models import Job, Part, Status
from fieldstone.jobs.outcomes import Change
from fieldstone.jobs.patience import Patience
from fieldstone.jobs.selection import select
from fieldstone.jobs.worker import Worker
from fieldstone.runtime.courses.current import current_course
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.states import Grade
from fieldstone.testing.faults import fail_at
from fieldstone.xblock.declared import COMPLETION, aside_key
from tests.conftest import COURSE, usage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]

A, B = usage("a"), usage("b")
LEARNERS = range(1, 51)


@dataclass(frozen=True)
class Mark(Kind):
    """Each learner gets a field, also who was never there; of some it goes wrong."""

    name = "mark"
    action_name = "marked"
    states_to_a_chunk = 10

    stumbles_over: int = 0
    cannot_store_of: int = 0

    def outcomes(self, chunk, task) -> Iterator:
        for learner_id, state in chunk.items():
            if learner_id == self.stumbles_over:
                raise ZeroDivisionError("that one")
            value = object() if learner_id == self.cannot_store_of else 1
            changes = {chunk.usage_key: {"mark": value}}
            save = LearnerSave.of(learner_id, changes, {}, {chunk.usage_key: state.revision or 0})
            yield learner_id, Change(save, "a mark")


@pytest.fixture(autouse=True)
def mark(monkeypatch):
    monkeypatch.setitem(kinds.KINDS, "mark", Mark)


@pytest.fixture
def store():
    store = Store()
    store.save_many(LearnerSave.of(n, {A: {"seed": n}}, {A: Grade(1, 1)}) for n in LEARNERS)
    return store


def worked_on(job, **more):
    return Worker(patience=Patience(sleep=lambda seconds: None), **more).run(job.pk)


def counts(job):
    return (job.attempted, job.succeeded, job.skipped, job.failed)


def revisions(store, key=A):
    return [store.read(n, [key])[key].revision for n in LEARNERS]


def test_an_error_after_the_commit_does_not_make_a_chunk_count_twice(store):
    """A site listens to rows that are saved, and what it does after the commit fails."""

    def fail():
        raise RuntimeError("a site's own")

    def listen(instance, **_):
        if instance.after == 20:
            transaction.on_commit(fail)

    post_save.connect(listen, sender=Part)
    try:
        job = worked_on(planning.start("mark", COURSE, [A]))
        if job.status == Status.PAUSED:  # said, and to be resumed
            job = worked_on(control.resume(job.pk))
    finally:
        post_save.disconnect(listen, sender=Part)
    assert (job.status, counts(job)) == (Status.FINISHED, (50, 50, 0, 0))
    assert revisions(store) == [2] * 50


@pytest.mark.parametrize("option", ["stumbles_over", "cannot_store_of"])
def test_what_goes_wrong_with_a_whole_chunk_falls_on_the_learner_who_causes_it(store, option):
    job = worked_on(planning.start("mark", COURSE, [A], options={option: 13}))
    assert (job.status, counts(job)) == (Status.FINISHED, (50, 49, 0, 1))
    assert job.notes.get().learner_id == 13
    assert revisions(store) == [2 - (n == 13) for n in LEARNERS]


def test_what_the_database_refuses_of_one_learner_falls_on_that_one(store, monkeypatch):
    """Only the database can see it: the save of a chunk fails as a whole."""
    real = Store.save_many

    def save_many(self, saves, **more):
        with (
            fail_at("INSERT INTO fieldstone_student_module ", error=ValueError("too long"))
            if any(save.learner_id == 27 for save in saves)
            else transaction.atomic()
        ):
            return real(self, saves, **more)

    monkeypatch.setattr(Store, "save_many", save_many)
    job = worked_on(planning.start("mark", COURSE, [A]))
    assert counts(job) == (50, 49, 0, 1)
    assert job.notes.get().text == "ValueError: too long"
    assert revisions(store) == [2 - (n == 27) for n in LEARNERS]


def test_a_slow_chunk_is_cut_and_each_state_is_done_once(store, settings, monkeypatch):
    """The clock goes on by a second a learner; a third of the lease is two."""
    settings.FIELDSTONE = {**settings.FIELDSTONE, "JOB_LEASE_SECONDS": 6}
    seconds, told = count(), []
    monkeypatch.setattr(chunks, "monotonic", lambda: float(next(seconds)))
    job = worked_on(planning.start("mark", COURSE, [A]), on_chunk=lambda now: told.append(now.attempted))
    assert (job.status, counts(job)) == (Status.FINISHED, (50, 50, 0, 0))
    assert revisions(store) == [2] * 50
    assert len(told) > 12, "chunks of ten would have been five"
    assert told == sorted(told)


@pytest.mark.parametrize("commit", range(1, 8))
def test_a_database_that_fails_at_any_commit_is_tried_again_and_nothing_is_done_twice(store, commit):
    """Begun, five chunks, one that finds nobody, ended."""
    job = planning.start("mark", COURSE, [A])
    with fail_at("^COMMIT$", nth=commit, when="after"):
        job = worked_on(job)
    assert (job.status, counts(job)) == (Status.FINISHED, (50, 50, 0, 0))
    assert revisions(store) == [2] * 50


def test_a_learner_of_the_list_who_was_never_there_is_done_as_well(store):
    job = worked_on(planning.start("mark", COURSE, [A], learners=[7, 999]))
    assert counts(job) == (2, 2, 0, 0)
    assert store.read(999, [A])[A].fields["mark"] == 1


def test_who_comes_while_it_runs_is_met_once_or_not_at_all(store):
    came = []

    def come(now):
        if not came:
            came.append(True)
            store.save_many(LearnerSave.of(n, {A: {"seed": n}}) for n in (-5, 1000))

    job = worked_on(planning.start("mark", COURSE, [A]), on_chunk=come)
    assert counts(job) == (51, 51, 0, 0)
    assert (store.read(-5, [A])[A].revision, store.read(1000, [A])[A].revision) == (1, 2)


def test_undo_of_a_cancelled_job_takes_back_what_was_done_and_no_more(store):
    job = planning.start("delete-state", COURSE, [A])
    Part.objects.filter(job=job).update(until=30)  # as if it had come so far
    Part.objects.create(job=job, number=2, usage=str(A), after=30, until=2**63 - 1)
    Worker(on_chunk=lambda now: control.cancel(job.pk)).run(job.pk)
    job = control.get(job.pk)
    assert (job.status, job.attempted) == (Status.CANCELLED, 30)
    undone = worked_on(control.undo(job.pk))
    assert counts(undone) == (50, 30, 20, 0)
    assert [store.read(n, [A])[A].fields["seed"] for n in LEARNERS] == list(LEARNERS)
    assert revisions(store) == [3] * 30 + [1] * 20


def test_two_saves_of_one_learner_are_refused_and_neither_is_lost_unseen(store):
    saves = [LearnerSave.of(1, {A: {name: 1}}) for name in ("one", "other")]
    with pytest.raises(ValueError, match="two saves of learner 1"):
        store.save_many(saves)
    assert dict(store.read(1, [A])[A].fields) == {"seed": 1}


# Options and learners as JSON or a shell gives them


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("rescore", {"only_if_higher": "false"}),
        ("rescore", {"only_if_higher": 1}),
        ("rescore", {"only_if_higher": None}),
        ("override-score", {"score": "0.5"}),
        ("override-score", {"score": True}),
        ("override-score", {"score": 10**400}),
        ("undo", {"job": "7"}),
        ("undo", {"job": True}),
        ("restore", {"moment": 7}),
        ("export-state", {"format": ["csv"]}),
    ],
)
def test_an_option_of_another_type_is_refused(kind, options):
    with pytest.raises(JobRefusedError, match=next(iter(options))):
        kinds.kind_of(kind, options)


def test_a_whole_number_is_a_score(store):
    assert kinds.kind_of("override-score", {"score": 1}).score == 1


@pytest.mark.parametrize("learner", ["7", True, 7.0, None, 2**63])
def test_what_is_no_learners_id_is_refused(store, learner):
    with pytest.raises(JobRefusedError, match="learner"):
        planning.start("mark", COURSE, [A], learners=[3, learner])
    assert not Job.objects.exists()


# All that is stored


@pytest.fixture
def everything():
    """Two learners in the example course: at a block with its completion, and at one that is gone."""
    course = current_course().key
    block = current_course().root.usage_key
    keys = [block, aside_key(block, COMPLETION), course.make_usage_key("poll", "gone")]
    for learner in (1, 2):
        for key in keys:
            Store().save(learner, {key: {"some": learner}}, grades={key: Grade(1, 1)})
    Store().save(1, {A: {"of": "another course"}})
    return keys


def is_empty(learner, keys):
    states = Store().read(learner, keys)
    return [(dict(states[key].fields), states[key].grade, states[key].max_grade) for key in keys] == [
        ({}, None, None)
    ] * len(keys)


@pytest.mark.parametrize(("kind", "learners"), [("reset-course", None), ("reset-learner", [1])])
def test_a_reset_empties_all_that_is_stored_and_the_history_stays(everything, kind, learners):
    selected = select(kind, course=str(current_course().key))
    job = worked_on(planning.start(kind, selected.context, selected.usage_keys, learners=learners))
    expected = 6 if learners is None else 3
    assert (job.status, counts(job)) == (Status.FINISHED, (expected, expected, 0, 0))
    assert is_empty(1, everything)
    assert is_empty(2, everything) == (learners is None)
    assert Store().read(1, [A])[A].fields["of"] == "another course"
    for key in everything:
        assert Store().at(1, key, revision=1).fields["some"] == 1
    undone = worked_on(control.undo(job.pk))
    assert counts(undone) == (expected, expected, 0, 0)
    assert Store().read(1, [everything[2]])[everything[2]].fields["some"] == 1


def test_a_block_that_the_course_loses_meanwhile_fails_its_learners_and_the_job_goes_on(store, monkeypatch):
    store.save(1, {B: {"seed": 1}})
    job = planning.start("mark", COURSE, [A, B])

    def places(self, usage_key):
        if usage_key == A:
            raise NoSuchBlockError(A)
        return [usage_key]

    monkeypatch.setattr(Mark, "places", places)
    ended = worked_on(job)
    assert (ended.status, *counts(ended)) == (Status.FINISHED, 51, 1, 0, 50)
    assert "has no block" in ended.notes.first().text


def test_who_looks_on_may_fail_and_the_job_is_not_paused(store):
    job = planning.start("mark", COURSE, [A])

    def look(now):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Worker(on_chunk=look).run(job.pk)
    assert counts(worked_on(job)) == (50, 50, 0, 0)

"""The same job, the same result, on Celery's workers, by a real broker that loses messages or is lost."""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from fieldstone.jobs import planning, tasks
from fieldstone.jobs.models import Job, Part, Status
from fieldstone.jobs.worker import Worker
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.states import Grade
from tests.brokers.conftest import BLOCKS, LEARNERS, SERVER, address_of
from tests.conftest import COURSE, _on, usage
from tests.faults.instance import Instance

TOTAL = LEARNERS * len(BLOCKS)


def by(*brokers):
    return pytest.mark.parametrize("app", brokers, indirect=True)


by_each_broker = by("redis", "rabbitmq")
on_a_server = _on([SERVER], ["fieldstone.jobs"])
on_sqlite = _on(["default"], ["fieldstone.jobs"])


def now(job):
    return Job.objects.get(pk=job.pk).counted()


def has_ended(job):
    return Job.objects.get(pk=job.pk).status == Status.FINISHED


def nobody_is_at(job):
    return not Part.objects.filter(job=job, leased_until__gt=Now()).exists()


def states(store, keys):
    read = [store.read(learner, keys) for learner in range(1, LEARNERS + 1)]
    return [[(dict(s.fields), s.grade, s.revision) for s in found.values()] for found in read]


def each_state_was_done_once(store, job):
    done = now(job)
    counts = (done.attempted, done.succeeded, done.skipped, done.failed, done.total)
    assert (done.status, counts) == (Status.FINISHED, (TOTAL, TOTAL, 0, 0, TOTAL))
    assert states(store, BLOCKS) == [[({}, None, 2)] * len(BLOCKS)] * LEARNERS
    return True


@by_each_broker
@on_a_server
def test_two_workers_leave_what_this_process_would_leave(store, job, app, starts):
    here = [usage(f"here{number}") for number in range(len(BLOCKS))]
    for key in here:
        store.save_many(
            LearnerSave.of(n, {key: {"attempts": 1}}, {key: Grade(1, 1)}) for n in range(1, LEARNERS + 1)
        )
    assert Worker().run(planning.start("delete-state", COURSE, here).pk).status == Status.FINISHED
    tasks.submit(job, workers=2)
    worker = starts(app, rescues=False)
    holders = set()

    def ended():
        names = Part.objects.filter(job=job).exclude(holder="").values_list("holder", flat=True)
        holders.update(name.split()[1] for name in names)
        return has_ended(job)

    worker.until(ended)
    assert len(holders) == 2  # processes
    assert each_state_was_done_once(store, job)
    assert states(store, BLOCKS) == states(store, here)


@by_each_broker
@on_a_server
def test_a_killed_workers_job_is_picked_up_by_another(store, job, app, starts):
    tasks.submit(job, workers=2)
    killed = starts(app, rescues=False)
    killed.until(lambda: now(job).attempted > 50)
    killed.kill()
    assert not has_ended(job)
    starts(app).until(lambda: has_ended(job))
    assert each_state_was_done_once(store, job)


@by("rabbitmq")  # that Redis loses all, a test below has
@on_a_server
def test_jobs_whose_messages_are_lost_are_rescued(store, job, app, starts, settings):
    """One that waits for another as well, once that has ended."""
    settings.FIELDSTONE = settings.FIELDSTONE | {"JOBS_OVERLAP": "wait"}
    waiting = planning.start("delete-state", COURSE, BLOCKS[:1])
    tasks.submit(job, workers=2)
    tasks.submit(waiting)
    assert app.control.purge() == 3
    starts(app).until(lambda: has_ended(job) and has_ended(waiting))
    assert each_state_was_done_once(store, job)
    assert now(waiting).skipped == LEARNERS  # the first left nothing to delete


@by("redis")
@on_sqlite
def test_the_end_of_a_job_begins_the_one_that_waited_for_it(store, job, app, starts, settings):
    settings.FIELDSTONE = settings.FIELDSTONE | {"JOBS_OVERLAP": "wait"}
    waiting = planning.start("delete-state", COURSE, BLOCKS[:1])
    tasks.submit(waiting)
    tasks.submit(job)
    worker = starts(app, rescues=False)
    worker.until(lambda: has_ended(waiting))
    assert now(job).ended <= now(waiting).started


@pytest.mark.parametrize("name", ["redis", "rabbitmq"])
@on_a_server
def test_a_job_goes_on_after_its_broker_was_killed(store, job, name, sends, starts, open_folder):
    address_of(name)  # one that is there is not killed; but the run without servers is to be quick
    broker = Instance(name, open_folder)
    try:
        broker.make()
        broker.start()
        app = sends(broker.url)
        tasks.submit(job, workers=2)
        worker = starts(app)
        worker.until(lambda: now(job).attempted > 50)
        broker.kill()
        worker.until(lambda: nobody_is_at(job))  # each has ended its slice, and could send no other
        assert not has_ended(job)
        broker.start()
        worker.until(lambda: has_ended(job))
        assert each_state_was_done_once(store, job)
        worker.kill()
    finally:
        broker.kill()

"""Workers of a job, killed at random, leave what one that nobody disturbed would leave; on every engine."""

from __future__ import annotations

import random
import time

import pytest

from fieldstone.jobs import control, planning
from fieldstone.jobs.kinds.delete_state import DeleteState
from fieldstone.jobs.models import Job, Part, Status
from fieldstone.jobs.worker import Worker
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.engines.walk import Part as PartOfStore
from fieldstone.store.states import Grade
from fieldstone.store.verify import Verification
from tests.conftest import COURSE, jobs_on_each_engine, usage
from tests.engines.writer import Writers
from tests.xblock.routers import Everything

pytestmark = pytest.mark.django_db(transaction=True)

LEARNERS = 400
BLOCKS = [usage(f"block{number}") for number in range(3)]
KILLS = 12


def work(job_id, states_to_a_chunk, lease_seconds):
    """What a process of a worker does: the number of states attempted, after each chunk."""
    from fieldstone.jobs import worker  # in the process, where settings are others

    DeleteState.states_to_a_chunk = states_to_a_chunk
    worker.conf.job_lease_seconds = lambda: lease_seconds
    told = []
    job = None
    while job is None or job.status == Status.RUNNING:
        job = Worker(on_chunk=lambda now: told.append(now.attempted)).run(job_id, seconds=0.05)
        if not told:
            time.sleep(0.02)  # the parts that are left are other workers'
        yield from told
        told.clear()
    yield job.status


@pytest.fixture
def on_engine(alias, settings):
    settings.DATABASE_ROUTERS = [Everything(alias)]
    return alias


def seed(store):
    for key in BLOCKS:
        store.save_many(
            LearnerSave.of(n, {key: {"attempts": n % 7, "answers": {"a": n}}}, {key: Grade(n % 2, 1)})
            for n in range(1, LEARNERS + 1)
        )


@jobs_on_each_engine
def test_workers_that_are_killed_leave_what_one_that_is_not_leaves(store, on_engine):
    seed(store)
    job = planning.start("delete-state", COURSE, BLOCKS, learners=None)
    chance, kills = random.Random(1), 0
    with Writers(on_engine) as writers:
        while kills < KILLS and Job.objects.get(pk=job.pk).status != Status.FINISHED:
            process = writers.start(work, job.pk, 20, 0.2)
            for _ in range(chance.randint(1, 4)):
                if process.next() == Status.FINISHED:
                    break
            process.kill()
            process.rest()
            kills += 1
        told = writers.start(work, job.pk, 20, 0.2).rest()
    assert told[-1] == Status.FINISHED
    job.refresh_from_db()
    total = LEARNERS * len(BLOCKS)
    assert (job.attempted, job.succeeded, job.skipped, job.failed, job.total) == (total, total, 0, 0, total)
    for learner in range(1, LEARNERS + 1):
        for state in store.read(learner, BLOCKS).values():
            assert (dict(state.fields), state.grade, state.revision) == ({}, None, 2)
    assert [finding for batch in Verification(on_engine, PartOfStore()).batches() for finding in batch] == []
    assert not Part.objects.filter(is_done=False).exists()


@jobs_on_each_engine
def test_many_workers_do_each_state_once(store, on_engine, monkeypatch):
    seed(store)
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 50)
    job = planning.start("delete-state", COURSE, BLOCKS)
    with Writers(on_engine) as writers:
        workers = [writers.start(work, job.pk, 10, 60.0) for _ in range(4)]
        assert {worker.rest()[-1] for worker in workers} == {Status.FINISHED}
    job.refresh_from_db()
    assert (job.attempted, job.succeeded) == (LEARNERS * 3, LEARNERS * 3)
    assert {state.revision for n in (1, 200, 400) for state in store.read(n, BLOCKS).values()} == {2}


@jobs_on_each_engine
def test_once_a_job_is_cancelled_none_of_its_workers_writes_any_more(store, on_engine, monkeypatch):
    seed(store)
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 50)
    job = planning.start("delete-state", COURSE, BLOCKS)
    with Writers(on_engine) as writers:
        workers = [writers.start(work, job.pk, 5, 60.0) for _ in range(2)]
        for worker in workers:
            worker.next()
        cancelled = control.cancel(job.pk)
        done = deleted(store)
        assert {worker.rest()[-1] for worker in workers} == {Status.CANCELLED}
    assert deleted(store) == done == cancelled.succeeded
    assert 0 < done < cancelled.total
    undone = Worker().run(control.undo(job.pk).pk)
    assert (undone.succeeded, undone.failed) == (done, 0)
    assert deleted(store) == 0


def deleted(store):
    """How many states are empty now."""
    found = store.read_many(range(1, LEARNERS + 1), BLOCKS)
    return sum(not state.fields for states in found.values() for state in states.values())

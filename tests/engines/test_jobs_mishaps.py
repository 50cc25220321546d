"""Jobs where it gets tight: lost answers, servers that restart, locks that cross; on every engine."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from django.db import OperationalError, connections, transaction

from fieldstone.jobs import control, kinds, planning
from fieldstone.jobs.kinds.base import Kind
from fieldstone.jobs.models import Job, Status
from fieldstone.jobs.outcomes import Change, Failure
from fieldstone.jobs.patience import Patience
from fieldstone.jobs.worker import Worker
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from fieldstone.testing.faults import at_statement, cut_at, kill_server_at
from tests.conftest import COURSE, _on, jobs_on_each_engine, usage
from tests.faults.conftest import open_folder
from tests.faults.instance import serving
from tests.xblock.routers import Everything

__all__ = ["open_folder"]

pytestmark = pytest.mark.django_db(transaction=True)

A = usage("a")
LEARNERS = range(1, 31)
SECONDS = 60

WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


@dataclass(frozen=True)
class Mark(Kind):
    """Each learner gets a field, also who was never there; each tenth fails."""

    name = "mark"
    action_name = "marked"
    states_to_a_chunk = 10

    def outcomes(self, chunk, task) -> Iterator:
        for learner_id, state in chunk.items():
            changes, expected = {chunk.usage_key: {"mark": 1}}, {chunk.usage_key: state.revision or 0}
            save = LearnerSave.of(learner_id, changes, {}, expected)
            yield learner_id, Failure("each tenth") if learner_id % 10 == 0 else Change(save, "a mark")


@pytest.fixture(autouse=True)
def mark(monkeypatch):
    monkeypatch.setitem(kinds.KINDS, "mark", Mark)


@pytest.fixture
def on_engine(alias, settings):
    settings.DATABASE_ROUTERS = [Everything(alias)]
    return alias


def seed(store, key=A, learners=LEARNERS):
    store.save_many(LearnerSave.of(n, {key: {"seed": n}}) for n in learners)


def worked_on(job, **more):
    return Worker(**{"patience": Patience(sleep=lambda seconds: None), **more}).run(job.pk)


def counts(job):
    return (job.attempted, job.succeeded, job.skipped, job.failed)


def each_was_marked_once(store, job, key=A):
    assert (job.status, counts(job)) == (Status.FINISHED, (30, 27, 0, 3))
    assert job.notes.count() == 3
    for learner in LEARNERS:
        state = store.read(learner, [key])[key]
        assert state.revision == 2 - (learner % 10 == 0)
        assert state.fields["seed"] == learner
    return True


def in_a_thread(pool, work):
    """``work`` on connections of its own, which are closed at its end."""

    def run():
        try:
            return work()
        finally:
            connections.close_all()

    return pool.submit(run)


def until_somebody_waits(alias):
    """A statement waits for a lock that another connection has."""
    connection, deadline = connections[alias].copy(), time.monotonic() + SECONDS
    try:
        while True:
            with connection.cursor() as cursor:
                cursor.execute(WAITING[connection.vendor])
                if cursor.fetchone()[0]:
                    return
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.15)  # MariaDB answers anew only to who has not asked for a tenth of a second
    finally:
        connection.close()


@jobs_on_each_engine
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_chunk_whose_commit_had_no_answer_is_done_and_counted_once(store, on_engine, when):
    """Begun, three chunks, one that finds nobody, ended: the connection is cut at each of the six."""
    for commit in range(1, 7):
        key = usage(f"cut{commit}")
        seed(store, key)
        job = planning.start("mark", COURSE, [key])
        with cut_at("^COMMIT$", nth=commit, when=when, using=on_engine):
            job = worked_on(job)
        assert each_was_marked_once(store, job, key)


@_on(["postgresql", "mariadb"], ["fieldstone.jobs"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_lives_through_a_restart_of_the_database(alias, settings, open_folder, when):
    settings.DATABASE_ROUTERS = [Everything(alias)]
    with serving(alias, open_folder, app=None) as instance:
        store = Store(alias)
        seed(store)
        job = planning.start("mark", COURSE, [A])

        def wait(seconds):
            if not instance.is_running:
                instance.start()

        with kill_server_at("^COMMIT$", pid=instance.process, nth=3, when=when, using=alias):
            job = worked_on(job, patience=Patience(sleep=wait))
        assert each_was_marked_once(store, job)


@jobs_on_each_engine
@pytest.mark.parametrize("turn", [control.cancel, control.pause])
def test_who_stops_a_job_and_a_chunk_with_failures_do_not_deadlock(store, on_engine, turn):
    """A failure's row refers to the job's, which whoever stops the job has locked."""
    if connections[on_engine].vendor == "sqlite":
        pytest.skip("SQLite has one lock")
    seed(store, learners=range(1, 301))
    job = planning.start("mark", COURSE, [A])
    with ThreadPoolExecutor() as pool:
        stopping = []

        def stop():
            stopping.append(in_a_thread(pool, lambda: turn(job.pk)))
            until_somebody_waits(on_engine)

        with at_statement("INSERT INTO fieldstone_jobs_note", stop, using=on_engine):
            worked = worked_on(job, patience=Patience(seconds=0))
        stopped = stopping[0].result(SECONDS)
    assert worked.status == stopped.status != Status.FINISHED
    # The chunk was first; PostgreSQL may let the worker have another before it wakes who waits.
    chunks = stopped.attempted // 10
    assert 1 <= chunks < 30
    assert counts(stopped) == counts(control.get(job.pk)) == (chunks * 10, chunks * 9, 0, chunks)
    assert job.notes.count() == chunks


@jobs_on_each_engine
def test_a_worker_that_cannot_go_on_and_one_that_can_do_not_deadlock(store, on_engine, monkeypatch):
    """The one stops the job, while the other writes failures."""
    if connections[on_engine].vendor == "sqlite":
        pytest.skip("SQLite has one lock")
    seed(store)
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 15)
    job = planning.start("mark", COURSE, [A])
    broken, stopping = threading.local(), []
    monkeypatch.setattr(Mark, "places", lambda self, key: [][0] if hasattr(broken, "is_so") else [key])

    def break_down():
        broken.is_so = True
        return worked_on(job, patience=Patience(seconds=0))

    with ThreadPoolExecutor() as pool:

        def begin():
            stopping.append(in_a_thread(pool, break_down))
            until_somebody_waits(on_engine)

        with at_statement("INSERT INTO fieldstone_jobs_note", begin, using=on_engine):
            worked_on(job, patience=Patience(seconds=0))
        stopped = stopping[0].result(SECONDS)
    assert (stopped.status, counts(stopped)) == (Status.PAUSED, (10, 9, 0, 1))
    control.resume(job.pk)
    assert each_was_marked_once(store, worked_on(job))


@jobs_on_each_engine
def test_a_chunk_and_a_page_that_deadlock_are_both_written(store, on_engine):
    """The page has the last learner's row, and wants the first's; the chunk is at it the other way round."""
    if connections[on_engine].vendor == "sqlite":
        pytest.skip("SQLite has one lock")
    seed(store)
    job, has_the_last = planning.start("mark", COURSE, [A]), threading.Event()

    def save_page(is_first):
        with transaction.atomic(on_engine):
            Store(on_engine).save(9, {A: {"page": 1}})
            has_the_last.set()
            if is_first:
                until_somebody_waits(on_engine)
            Store(on_engine).save(1, {A: {"page": 1}})

    def page():
        try:
            save_page(is_first=True)
        except OperationalError:  # it was the one that the server has undone
            save_page(is_first=False)

    with ThreadPoolExecutor() as pool:
        writing = in_a_thread(pool, page)
        assert has_the_last.wait(SECONDS)
        job = worked_on(job)
        writing.result(2 * SECONDS)
    assert (job.status, counts(job)) == (Status.FINISHED, (30, 27, 0, 3))
    for learner in (1, 9):
        state = store.read(learner, [A])[A]
        assert dict(state.fields) == {"seed": learner, "page": 1, "mark": 1}
        assert state.revision == 3


@jobs_on_each_engine
def test_a_row_that_somebody_makes_between_the_look_and_the_save_is_kept(store, on_engine):
    """What is not there cannot be locked: the chunk is undone, and computed anew."""
    if connections[on_engine].vendor == "sqlite":
        pytest.skip("SQLite has one lock, and nobody comes between")
    seed(store, learners=[1, 2, 3])
    job = planning.start("mark", COURSE, [A], learners=[1, 2, 3, 4, 5])
    with ThreadPoolExecutor() as pool:

        def come_between():
            in_a_thread(pool, lambda: Store(on_engine).save(4, {A: {"page": 1}})).result(SECONDS)

        with at_statement("INSERT INTO fieldstone_student_module ", come_between, using=on_engine):
            job = worked_on(job)
    assert (job.status, counts(job)) == (Status.FINISHED, (5, 5, 0, 0))
    assert dict(store.read(4, [A])[A].fields) == {"page": 1, "mark": 1}
    assert [store.read(n, [A])[A].revision for n in (1, 4, 5)] == [2, 2, 1]


@jobs_on_each_engine
def test_a_worker_that_sleeps_between_its_check_and_its_commit_is_not_overtaken(store, on_engine, settings):
    """The lease is past while the chunk is written: who wants the part waits until the chunk is there."""
    if connections[on_engine].vendor == "sqlite":
        pytest.skip("SQLite has one lock")
    settings.FIELDSTONE = {**settings.FIELDSTONE, "JOB_LEASE_SECONDS": 0}
    seed(store)
    job, others = planning.start("mark", COURSE, [A]), []
    with ThreadPoolExecutor() as pool:

        def sleep():
            others.append(in_a_thread(pool, lambda: worked_on(job)))
            until_somebody_waits(on_engine)

        with at_statement("INSERT INTO fieldstone_jobs_note", sleep, using=on_engine):
            worked_on(job)
        others[0].result(SECONDS)
    assert each_was_marked_once(store, worked_on(job))


@jobs_on_each_engine
def test_two_jobs_that_are_planned_at_once_do_not_overlap(store, on_engine):
    """Many at once over the same states: one is taken, the others are refused."""
    seed(store)
    barrier = threading.Barrier(4)

    def plan(_):
        try:
            barrier.wait(SECONDS)
            return planning.start("mark", COURSE, [A])
        except planning.JobRefusedError:
            return None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        planned = list(pool.map(plan, range(4)))
    assert len([job for job in planned if job]) == 1
    assert Job.objects.using(on_engine).count() == 1


@jobs_on_each_engine
def test_workers_that_begin_and_end_a_job_at_once_tell_it_once(store, on_engine, monkeypatch):
    from fieldstone.jobs.signals import job_ended, job_started

    heard = []

    def hear(signal, job, **_):
        heard.append(signal)

    seed(store)
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 5)
    job, barrier = planning.start("mark", COURSE, [A]), threading.Barrier(4)

    def work(_):
        try:
            barrier.wait(SECONDS)
            return worked_on(job)
        finally:
            connections.close_all()

    job_started.connect(hear)
    job_ended.connect(hear)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    finally:
        job_started.disconnect(hear)
        job_ended.disconnect(hear)
    assert heard == [job_started, job_ended]
    assert each_was_marked_once(store, control.get(job.pk))


@contextlib.contextmanager
def short_statements(alias):
    """The server takes 1 MB to a statement, of connections that are made from now on."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
        (before,) = cursor.fetchone()
        cursor.execute("SET GLOBAL max_allowed_packet = 1048576")
    connections[alias].close()
    try:
        yield
    finally:
        connections[alias].close()
        with connections[alias].cursor() as cursor:
            cursor.execute("SET GLOBAL max_allowed_packet = %s", [before])
        connections[alias].close()


@_on(["mariadb"], ["fieldstone.jobs"])
def test_states_too_large_for_one_statement_are_saved_in_smaller_chunks(store, on_engine):
    """MariaDB takes 16 MB to a statement by default, and a chunk may have more."""
    size, learners = 300_000, range(1, 11)
    for learner in learners:
        store.save(learner, {A: {"essay": "x" * size}})
    job = worked_on(planning.start("delete-state", COURSE, [A]))
    with short_statements(on_engine):
        patience = Patience(seconds=20, sleep=lambda seconds: None)
        undone = worked_on(control.undo(job.pk), patience=patience)
        assert (undone.status, counts(undone)) == (Status.FINISHED, (10, 10, 0, 0))
    assert all(len(store.read(n, [A])[A].fields["essay"]) == size for n in learners)

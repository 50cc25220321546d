"""What is sent to Celery, and when, without a server: by a broker in memory. Real ones: ``tests/brokers``."""

from __future__ import annotations

import subprocess
import sys

import pytest
from celery import Celery, current_app
from celery.signals import task_prerun
from django.db import connection, transaction

from fieldstone.jobs import control, leases, planning, tasks
from fieldstone.jobs.errors import JobNotSentError, JobRefusedError, NoSuchJobError
from fieldstone.jobs.models import Job, Status
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from scripts.servers.system import HOST, free_port
from tests.conftest import COURSE, usage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]


@pytest.fixture
def leads_to():
    """Makes an app that leads to a broker the current one."""
    before, apps = current_app._get_current_object(), []

    def leads_to(url):
        app = Celery("fieldstone-tests", broker=url)
        app.conf.task_publish_retry = False
        app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
        app.set_current()
        apps.append(app)
        return app

    yield leads_to
    before.set_current()
    for app in apps:
        app.close()


@pytest.fixture
def app(leads_to):
    app = leads_to("memory://")
    yield app
    app.control.purge()


@pytest.fixture
def job() -> Job:
    """One part, of two learners."""
    Store().save_many(LearnerSave.of(learner, {usage("one"): {"attempts": 1}}) for learner in (1, 2))
    return planning.start("delete-state", COURSE, [usage("one")])


def sent(app):
    """The arguments of the messages that wait in the queue, and whether they expire; they are taken out of it."""
    found = []
    with app.connection_for_read() as broker, broker.SimpleQueue(app.conf.task_default_queue) as queue:
        while queue.qsize():
            message = queue.get(block=False)
            message.ack()
            found.append((message.payload[0], message.headers["expires"] is not None))
    return found


def test_a_job_is_sent_once_for_each_worker_when_it_is_committed(app, job):
    with transaction.atomic():
        tasks.submit(job, workers=2)
        assert sent(app) == []
    assert sent(app) == [([job.pk], False)] * 2


def test_what_cannot_be_sent_is_refused(app, job, leads_to):
    with pytest.raises(JobRefusedError, match="one worker at least, not 0"):
        tasks.submit(job, workers=0)
    control.cancel(job.pk)
    job.refresh_from_db()
    with pytest.raises(JobRefusedError, match="is cancelled"):
        tasks.submit(job)
    leads_to(None)
    with pytest.raises(JobRefusedError, match="Celery has no broker here"):
        tasks.check()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_is_said_clearly(job, leads_to, scheme):
    leads_to(f"{scheme}://{HOST}:{free_port()}/")
    with pytest.raises(JobNotSentError, match=rf"Job {job.pk} is stored, but could not be sent"):
        tasks.submit(job)


def test_a_message_is_worked_on_until_its_job_has_ended(app, job):
    tasks.work.apply((job.pk,), throw=True)
    job.refresh_from_db()
    assert (job.status, job.succeeded) == (Status.FINISHED, 2)
    assert sent(app) == []


def test_a_message_that_comes_twice_changes_nothing(app, job):
    for _ in range(2):
        tasks.work.apply((job.pk,), throw=True)
    job.refresh_from_db()
    assert job.attempted == 2
    assert Store().read(1, [usage("one")])[usage("one")].revision == 2


def test_at_the_end_of_a_slice_the_job_is_sent_again(app, job, monkeypatch):
    monkeypatch.setattr(tasks, "SLICE_SECONDS", 0.0)
    tasks.work.apply((job.pk,), throw=True)
    assert sent(app) == [([job.pk], False)]


def test_a_job_whose_parts_others_have_is_not_sent_again(app, job, monkeypatch):
    monkeypatch.setattr(tasks, "SLICE_SECONDS", 0.0)
    Job.objects.update(status=Status.RUNNING)
    leases.take(job, "somebody", 60, "default")
    tasks.work.apply((job.pk,), throw=True)
    assert sent(app) == []


def test_a_job_that_ends_begins_the_one_that_waited_for_it(app, job, settings):
    settings.FIELDSTONE = settings.FIELDSTONE | {"JOBS_OVERLAP": "wait"}
    waiting = planning.start("delete-state", COURSE, [usage("one")])
    tasks.work.apply((waiting.pk,), throw=True)
    assert sent(app) == []
    tasks.work.apply((job.pk,), throw=True)
    assert sent(app) == [([waiting.pk], True)]


def test_a_rescue_sends_what_nobody_is_at_for_as_long_as_a_lease(app, job):
    tasks.rescue.apply(throw=True)
    assert sent(app) == [([job.pk], True)]
    tasks.work.apply((job.pk,), throw=True)
    tasks.rescue.apply(throw=True)
    assert sent(app) == []


def test_a_job_that_is_not_there_is_an_error(app):
    with pytest.raises(NoSuchJobError):
        tasks.work.apply((404,), throw=True)


def test_a_database_that_fails_is_tried_again_by_celery(app, job, monkeypatch):
    monkeypatch.setattr(tasks, "SLICE_SECONDS", 0.0)  # the worker's own patience ends with it
    tries = []

    def rename(name, other):
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {name} RENAME TO {other}")

    def bring_back(task, **_):
        tries.append(task.request.retries)
        if len(tries) == 3:
            rename("away", Job._meta.db_table)

    rename(Job._meta.db_table, "away")
    task_prerun.connect(bring_back)
    try:
        tasks.work.apply((job.pk,))
    finally:
        task_prerun.disconnect(bring_back)
    assert tries == [0, 1, 2]
    assert sent(app) == [([job.pk], False)]  # it had no time to do anything


SET_UP = """
import sys, django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "fieldstone.jobs"])
{before}
django.setup()
import fieldstone.jobs.worker, fieldstone.jobs.management.commands.fieldstone_job
{after}
"""


def run(before="", after=""):
    command = [sys.executable, "-c", SET_UP.format(before=before, after=after)]
    return subprocess.run(command, capture_output=True, text=True)


def test_jobs_do_without_celery():
    done = run(after="print([name for name in sys.modules if name.partition('.')[0] in ('celery', 'kombu')])")
    assert done.stdout == "[]\n", done.stderr


def test_without_the_extra_it_is_said_what_to_install():
    done = run(before="sys.modules['celery'] = None", after="import fieldstone.jobs.tasks")
    assert done.stderr.endswith("ImportError: Celery is not installed: pip install 'fieldstone[celery]'\n")

"""Jobs on Celery: a message says only which job; what is to be done of it stands in the database.

So a message that comes twice, late or never does no harm: a worker that finds nothing to do ends, and ``rescue``
sends what is missing. This module needs the extra ``celery``, and Celery finds it by its name; whoever else wants
it imports it when it is asked for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError, close_old_connections, transaction

from fieldstone import conf
from fieldstone.jobs.attention import is_left, unattended
from fieldstone.jobs.errors import JobNotSentError, JobRefusedError, NoSuchJobError
from fieldstone.jobs.kinds.base import UNKNOWN_TASK_ID
from fieldstone.jobs.models import ENDED, Job, Status
from fieldstone.jobs.patience import Patience
from fieldstone.jobs.worker import Worker
from fieldstone.store import Store

try:
    from celery import shared_task
    from kombu.exceptions import OperationalError as BrokerError
except ModuleNotFoundError as error:
    raise ImportError("Celery is not installed: pip install 'fieldstone[celery]'") from error

if TYPE_CHECKING:
    from celery import Task
    from django.db.models import QuerySet

SLICE_SECONDS = 30.0
"""How long a message is worked on, before the next is sent: a worker that is to stop does so soon, and no broker
takes a message for lost that nobody has confirmed (RabbitMQ after half an hour, Redis after an hour)."""
RESCUE_EXPIRES_SECONDS = 60.0
"""A rescue that nobody came to for so long is dropped: others have been asked for since."""


def check(workers: int = 1) -> None:
    """Raises ``JobRefusedError`` where jobs cannot be sent at all: to be asked before one is started."""
    if workers < 1:
        raise JobRefusedError(f"A job takes one worker at least, not {workers}.")
    if not work.app.conf.broker_url:
        raise JobRefusedError(
            "Celery has no broker here. Set CELERY_BROKER_URL in the settings, and import the project's Celery "
            "app in the __init__.py beside them."
        )


def submit(job: Job, workers: int = 1) -> None:
    """Send a job to Celery once it is committed, for so many workers at once.

    Raises ``JobRefusedError`` as ``check`` does, and for a job that has ended; at the commit ``JobNotSentError``.
    """
    check(workers)
    if job.status in ENDED:
        raise JobRefusedError(f"Job {job.pk} is {job.status}: there is nothing to do.")
    transaction.on_commit(partial(_send, job.pk, workers), using=Store().using)


def _send(number: int, workers: int, **options: Any) -> None:
    try:
        for _ in range(workers):
            work.apply_async((number,), **options)
    except BrokerError as error:
        raise JobNotSentError(number, error) from error


@shared_task(
    bind=True,
    name="fieldstone.jobs.work",
    ignore_result=True,
    # A message is confirmed when its slice is done, and given to another worker if this one dies meanwhile.
    acks_late=True,
    reject_on_worker_lost=True,
    # Beyond the patience that a worker has itself. If it gives up after some minutes, `rescue` sends the job.
    autoretry_for=(OperationalError, InterfaceError),
    retry_backoff=True,
    retry_backoff_max=60,
    max_retries=8,
    # Said in a line, without a traceback.
    throws=(NoSuchJobError, JobNotSentError),
)
def work(self: Task[[int], None], number: int) -> None:
    """Work on a job for a while; then send it again, if there is something left that nobody is at."""
    close_old_connections()  # also one that the last try left broken
    worker = Worker(task_id=self.request.id or UNKNOWN_TASK_ID, patience=Patience(seconds=SLICE_SECONDS))
    job = worker.run(number, seconds=SLICE_SECONDS)
    if job.status == Status.RUNNING:
        # What others have is theirs to go on with. To wait for the end of their leases is the rescue's.
        if is_left(job):
            _send(number, 1)
    elif job.status in ENDED:
        _send_all(Job.objects.using(Store().using).filter(status=Status.WAITING, context=job.context))


@shared_task(
    name="fieldstone.jobs.rescue", ignore_result=True, expires=RESCUE_EXPIRES_SECONDS, throws=(JobNotSentError,)
)
def rescue() -> None:
    """Send every job that could go on while nobody is at it; for Celery beat, a few times in a lease's time."""
    close_old_connections()
    _send_all()


def _send_all(among: QuerySet[Job] | None = None) -> None:
    for job, workers in unattended(among):
        # Unless it is taken soon, the next rescue sends it again: in a long queue they would become many.
        _send(job.pk, workers, expires=conf.job_lease_seconds())

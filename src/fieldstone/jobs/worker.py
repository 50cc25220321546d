"""Works on jobs: takes their parts by lease, and begins, ends and pauses them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic

from django.db import Error, InterfaceError, OperationalError, close_old_connections, connections, transaction
from django.utils import timezone

from fieldstone import conf
from fieldstone.jobs import leases
from fieldstone.jobs.chunks import PartWork
from fieldstone.jobs.errors import LeaseLostError, NoSuchJobError
from fieldstone.jobs.kinds import kind_of
from fieldstone.jobs.kinds.base import UNKNOWN_TASK_ID, Kind, Task
from fieldstone.jobs.leases import Lease
from fieldstone.jobs.models import Job, Part, Status
from fieldstone.jobs.patience import Patience
from fieldstone.jobs.planning import in_the_way
from fieldstone.jobs.report_files import write_report
from fieldstone.jobs.tracking import tell_ended, tell_started
from fieldstone.store import Store

log = logging.getLogger("fieldstone.jobs")

OnChunk = Callable[[Job], None]

SETBACKS = 3
"""So often in turn the database failed: what is next may be too much for it at once."""


class Worker:
    """One worker; make one a thread.

    ``on_chunk`` is called with the job, its counts as they are, after each chunk that is committed. ``task_id`` is
    what a task queue calls this work. ``patience`` says for how long a database that fails is tried again.
    """

    def __init__(
        self,
        on_chunk: OnChunk | None = None,
        *,
        task_id: str = UNKNOWN_TASK_ID,
        patience: Patience | None = None,
    ) -> None:
        self._holder = leases.holder_name()
        self._using = Store().using
        self._on_chunk = on_chunk
        self._task_id = task_id
        self._patience = patience or Patience()
        self._lease_seconds = conf.job_lease_seconds()
        self._setbacks = 0

    def run(self, job_id: int, *, seconds: float | None = None) -> Job:
        """Work until nothing is left that is free, or for so long. The job, as it stands then, with its counts.

        While the database fails it is tried again. Raises ``NoSuchJobError``, and what the database does when
        patience is at an end: the job is where it was, and any worker goes on with it.
        """
        until = None if seconds is None else monotonic() + seconds
        while True:
            try:
                return self._run(job_id, until)
            except (OperationalError, InterfaceError) as error:
                connection = connections[self._using]
                if connection.in_atomic_block:
                    raise  # the transaction is the caller's to begin again
                self._patience.wait(error)
                self._setbacks += 1
                connection.close()
                close_old_connections()  # what broke may be another: of users, of history, of a replica

    def _run(self, job_id: int, until: float | None) -> Job:
        job = self._begin(job_id)
        while job.status == Status.RUNNING and (until is None or monotonic() < until):
            lease = leases.take(job, self._holder, self._lease_seconds, self._using)
            if lease is None:
                break
            with self._giving_back(lease), suppress(LeaseLostError):
                self._work_on(job, lease, until)
            job.refresh_from_db(using=self._using)
        if job.status == Status.RUNNING and not job.parts.filter(is_done=False).exists():
            job = self._ended(job)
        return job.counted()

    @contextmanager
    def _giving_back(self, lease: Lease) -> Iterator[None]:
        """Whatever happens, another can have the part at once, unless the database is away: then in time."""
        try:
            yield
        except (OperationalError, InterfaceError):
            raise  # it is this holder's still, and taken again when the database is back
        except BaseException:
            with suppress(Error):
                leases.give_back(lease, self._using)
            raise
        else:
            leases.give_back(lease, self._using)

    # Beginning and ending

    def _begin(self, job_id: int) -> Job:
        """The job, running if it may. Raises ``NoSuchJobError``."""
        with transaction.atomic(self._using):
            job = Job.objects.using(self._using).select_for_update().filter(pk=job_id).first()
            if job is None:
                raise NoSuchJobError(job_id)
            if job.status == Status.WAITING:
                others = in_the_way(job, self._using)
                job.message = f"It waits for job {others[0].pk} ({others[0].kind})." if others else ""
                if not others:
                    job.status = Status.RUNNING
                    if job.started is None:
                        job.started = timezone.now()
                        tell_started(job)
                job.save(using=self._using)
        return job

    def _ended(self, job: Job) -> Job:
        """The job, of which all is done, finished."""
        with transaction.atomic(self._using):
            job = Job.objects.using(self._using).select_for_update().get(pk=job.pk)
            if job.status == Status.RUNNING:
                job.counted()
                job.status, job.ended = Status.FINISHED, timezone.now()
                job.save(using=self._using)
                tell_ended(job)
                transaction.on_commit(partial(write_report, job), using=self._using, robust=True)
        return job

    @contextmanager
    def _pausing(self, job: Job, lease: Lease) -> Iterator[None]:
        """What is nobody's failure in particular pauses the job, which is then nobody's: ``LeaseLostError``."""
        try:
            yield
        except (LeaseLostError, OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.exception("Job %s cannot go on", job.pk)
            with transaction.atomic(self._using):
                leases.revoke_all(job.pk, self._using, by=lease)
                message = f"It cannot go on: {type(error).__name__}: {error} When that is mended, resume it."
                Job.objects.using(self._using).filter(pk=job.pk).update(status=Status.PAUSED, message=message)
            raise LeaseLostError(f"Job {job.pk} is paused.") from error

    # Parts

    def _work_on(self, job: Job, lease: Lease, until: float | None) -> None:
        part = Part.objects.using(self._using).get(pk=lease.part_id)
        with self._pausing(job, lease):
            kind = kind_of(job.kind, job.options)
            if part.is_closing:
                self._close(job, lease, kind)
                return
            task = Task.of(job, self._task_id)
            work = PartWork(job, part, lease, kind, task, self._using, self._lease_seconds)
            if self._setbacks >= SETBACKS:
                work.fear_the_chunk()
        while not work.is_done and (until is None or monotonic() < until):
            with self._pausing(job, lease):
                work.do_chunk()
            self._patience.restore()
            self._setbacks = 0
            if self._on_chunk is not None:
                self._on_chunk(job.counted())

    def _close(self, job: Job, lease: Lease, kind: Kind) -> None:
        def still_here() -> None:
            leases.renew(lease, self._lease_seconds, self._using)

        result = {} if job.is_dry_run else kind.close(job.counted(), still_here)
        with transaction.atomic(self._using):
            part = leases.locked(lease, self._using)
            part.is_done, part.holder, part.leased_until = True, "", None
            part.save(using=self._using)
            Job.objects.using(self._using).filter(pk=job.pk).update(result=result)

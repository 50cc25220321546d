"""What an operator does to a job: pause, resume, cancel, try the failures again."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone.errors import NoSuchBlockError
from fieldstone.jobs import leases, planning
from fieldstone.jobs.errors import JobRefusedError, NoSuchJobError
from fieldstone.jobs.kinds import kind_of
from fieldstone.jobs.kinds.base import Kind
from fieldstone.jobs.models import ENDED, Job, Note, Status
from fieldstone.jobs.report_files import write_report
from fieldstone.jobs.tracking import tell_ended
from fieldstone.store import Store
from fieldstone.store.places import key_text, parse_key


def get(number: int) -> Job:
    """The job, with its counts. Raises ``NoSuchJobError``."""
    try:
        return Job.objects.using(Store().using).get(pk=number).counted()
    except Job.DoesNotExist:
        raise NoSuchJobError(number) from None


def pause(number: int) -> Job:
    """Workers stop at the end of their chunk. Raises ``JobRefusedError`` for a job that has ended."""
    return _turned(number, Status.PAUSED, {Status.WAITING, Status.RUNNING, Status.PAUSED})


def resume(number: int) -> Job:
    """A worker may go on. Raises ``JobRefusedError`` for a job that has ended."""
    return _turned(number, Status.WAITING, {Status.PAUSED, Status.WAITING, Status.RUNNING})


def cancel(number: int) -> Job:
    """No chunk is written any more once this returns; what was done stays (``undo``)."""
    return _turned(number, Status.CANCELLED, {Status.WAITING, Status.RUNNING, Status.PAUSED, Status.CANCELLED})


def _turned(number: int, status: Status, possible: set[Status]) -> Job:
    using = Store().using
    get(number)
    with transaction.atomic(using):
        if status != Status.WAITING:
            leases.revoke_all(number, using)  # and so no chunk is being written from here on
        job = Job.objects.using(using).select_for_update().get(pk=number)
        if job.status not in possible:
            raise JobRefusedError(f"Job {number} is {job.status}: it cannot be {status} any more.")
        if status == Status.WAITING and job.status == Status.RUNNING:
            return job  # it goes on as it is
        job.counted()
        if status in ENDED and job.status not in ENDED:
            job.ended = timezone.now()
            tell_ended(job)
            transaction.on_commit(partial(write_report, job), using=using, robust=True)
        job.status, job.message = status, ""
        job.save(using=using)
    return job


def undo(number: int, **more: Any) -> Job:
    """A new job that takes back what this one has done. Raises ``JobRefusedError`` while it is not over."""
    job = get(number)
    if job.status not in ENDED:
        raise JobRefusedError(f"Job {number} is {job.status}: cancel it, or let it end; then it can be undone.")
    kind = kind_of(job.kind, job.options)
    if job.is_dry_run or not job.succeeded or not kind.writes:
        raise JobRefusedError(f"Job {number} has changed nothing: there is nothing to undo.")
    usages = job.parts.filter(is_closing=False).order_by().values_list("usage", flat=True).distinct()
    places = [place for usage in usages for place in _places(kind, parse_key(usage))]
    return planning.start(
        "undo",
        LearningContextKey.from_string(job.context),
        list({key_text(place): place for place in places}.values()),
        options={"job": number},
        learners=job.whose,
        selection={"undo_of": number},
        of=job,
        **more,
    )


def _places(kind: Kind, usage_key: UsageKey) -> list[UsageKey]:
    """Where a job over a block may have written."""
    try:
        return [usage_key, *kind.places(usage_key)]
    except NoSuchBlockError:  # the course has it no more
        return [usage_key]


def retry_failures(number: int, **more: Any) -> Job:
    """A new job over those who failed, and nobody else. Raises ``JobRefusedError`` where nobody has."""
    job = get(number)
    if job.status not in ENDED:
        raise JobRefusedError(f"Job {number} is {job.status}: its failures can be tried again when it has ended.")
    whose: dict[str, list[int]] = {}
    failures = job.notes.filter(what=Note.What.FAILED).values_list("usage", "learner_id")
    for usage, learner_id in failures.iterator():
        whose.setdefault(usage, []).append(learner_id)
    if not whose:
        raise JobRefusedError(f"Job {number} has no failures.")
    return planning.start(
        job.kind,
        LearningContextKey.from_string(job.context),
        [parse_key(usage) for usage in whose],
        options=job.options,
        learners=sorted({learner for learners in whose.values() for learner in learners}),
        at={usage: sorted(learners) for usage, learners in whose.items()},
        selection={"failures_of": number},
        of=job,
        **more,
    )

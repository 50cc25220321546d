"""What there is to say of a job to people: how far it is, and what it waits for."""

from __future__ import annotations

from django.db.models import Q
from django.db.models.functions import Now

from fieldstone.jobs.models import ENDED, Job, Part, Status
from fieldstone.jobs.planning import in_the_way
from fieldstone.store import Store


def waits_for(job: Job) -> str:
    """What has to happen for a job to go on; ``""`` for one that has ended, or that somebody is at."""
    using = Store().using
    if job.status in ENDED:
        return ""
    if job.status == Status.PAUSED:
        return f"somebody who resumes it: `manage.py fieldstone_job resume {job.pk}`"
    if job.status == Status.WAITING and (others := in_the_way(job, using)):
        return f"job {others[0].pk} ({others[0].kind}, {others[0].status}), which is at the same states"
    parts = Part.objects.using(using).filter(job=job, is_done=False)
    if parts.filter(leased_until__gt=Now()).exists():
        return ""
    vanished = parts.filter(~Q(holder="")).first()
    gone = f"; {vanished.holder} has vanished" if vanished else ""
    return f"a worker: `manage.py fieldstone_job work {job.pk}`{gone}"

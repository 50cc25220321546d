"""Jobs as they are after some work, for tests of what is said of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from fieldstone.jobs.models import Job, Note, Status
from tests.conftest import COURSE, usage

PLACE = usage("a")


def ended_job(**more: Any) -> Job:
    """A job that has ended, two seconds after it was begun."""
    now = timezone.now()
    counts = {"total": 10, "attempted": 10, "succeeded": 6, "skipped": 3, "failed": 1}
    times = {"created": now, "started": now - timedelta(seconds=2), "ended": now}
    values = {"kind": "reset-attempts", "context": str(COURSE), "status": Status.FINISHED}
    return Job.objects.create(**{**values, **counts, **times, **more})


def fail(job: Job, learners: Any, reason: str = "it would not", what: str = "failed") -> None:
    """Notes of these learners' ids."""
    Note.objects.bulk_create(
        (Note(job=job, what=what, learner_id=number, usage=str(PLACE), text=reason) for number in learners),
        batch_size=5000,
    )

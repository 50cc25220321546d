"""A job in figures: what was counted, how long it took, and how fast it went."""

from __future__ import annotations

from django.utils import timezone

from fieldstone.jobs.models import COUNTS, Job


def counts(job: Job) -> dict[str, int]:
    """States: ``attempted, succeeded, skipped, failed, total``; of a running job as ``counted`` left them."""
    return {name: getattr(job, name) for name in (*COUNTS, "total")}


def duration_ms(job: Job) -> int:
    """From the first worker to the end, or to now; pauses are in it. 0 while nobody has begun."""
    if job.started is None:
        return 0
    return max(0, round(((job.ended or timezone.now()) - job.started).total_seconds() * 1000))


def states_per_second(job: Job) -> float | None:
    """Over the whole duration; ``None`` while there is nothing to divide."""
    milliseconds = duration_ms(job)
    return job.attempted * 1000 / milliseconds if job.attempted and milliseconds else None

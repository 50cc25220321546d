"""Which jobs a worker has something to do for, and has to be called for: by rows alone, whatever a queue lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from fieldstone.jobs.models import Job, Part, Status
from fieldstone.jobs.planning import in_the_way
from fieldstone.store import Store


@dataclass(frozen=True)
class Standing:
    """Who is at a running job: numbers of its parts that are not done."""

    free: int  # that a worker could take now
    vanished: int  # of these: whose holder is past its time
    leased: int


def is_left(job: Job) -> bool:
    """Whether there is something in a running job that a worker can do now."""
    standing = _standings([job.pk]).get(job.pk)
    return standing is not None and standing.free > 0


def unattended(among: QuerySet[Job] | None = None) -> Iterator[tuple[Job, int]]:
    """Jobs that could go on while nobody is at them, by default of all, and how many workers each wants.

    A job wants one, or as many as have vanished from it. A job that is full of living workers wants none, nor does
    one that waits for another, or for somebody who resumes it.
    """
    jobs = Job.objects.using(Store().using).all() if among is None else among
    running = list(jobs.filter(status=Status.RUNNING).order_by("pk"))
    standings = _standings([job.pk for job in running])
    for job in running:
        # Without a part that is not done it wants somebody who says that it has finished.
        if workers := _wanted(standings.get(job.pk)):
            yield job, workers
    for job in jobs.filter(status=Status.WAITING).order_by("pk"):
        if not in_the_way(job, Store().using):
            yield job, 1


def _wanted(standing: Standing | None) -> int:
    if standing is None:
        return 1
    if standing.free == 0:
        return 0
    return standing.vanished or (0 if standing.leased else 1)


def _standings(numbers: list[int]) -> dict[int, Standing]:
    """By the numbers of jobs; none for a job whose parts are all done. One query."""
    is_free, is_last = Q(leased_until=None) | Q(leased_until__lt=Now()), Q(is_closing=True)
    counts = {
        "others": Count("pk", filter=~is_last),
        "free": Count("pk", filter=is_free & ~is_last),
        "last": Count("pk", filter=is_free & is_last),
        "vanished": Count("pk", filter=is_free & ~Q(holder="")),
        "leased": Count("pk", filter=~is_free),
    }
    parts = Part.objects.using(Store().using).filter(job__in=numbers, is_done=False)
    found = parts.order_by().values("job").annotate(**counts).values_list("job", *counts)
    return {
        number: Standing(free if others else last, vanished, leased)
        for number, others, free, last, vanished, leased in found
    }

"""``manage.py fieldstone_jobs``: the jobs, and what each waits for."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from fieldstone.jobs.listing import waits_for
from fieldstone.jobs.models import COUNTS, ENDED, Job
from fieldstone.store import Store
from fieldstone.store.management.command import StoreCommand

EXAMPLES = """examples:
  manage.py fieldstone_jobs              those that have not ended, and the last ten that have
  manage.py fieldstone_jobs --all --json
"""


class Command(StoreCommand):
    help = "List the jobs over learners' state, and what each waits for."
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--all", action="store_true", help="all that there ever were")
        parser.add_argument("--json", action="store_true", help="a line of JSON each")

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = Job.objects.using(Store().using).order_by("pk")
        ended = jobs.filter(status__in=ENDED).order_by("-pk")
        shown = list(jobs) if options["all"] else sorted(
            [*jobs.exclude(status__in=ENDED), *ended[:10]], key=lambda job: job.pk
        )  # fmt: skip
        for job in shown:
            job.counted()
            self.stdout.write(self._json(job) if options["json"] else self._line(job))
        if not shown and not options["json"]:
            self.stdout.write("There are no jobs.")

    def _json(self, job: Job) -> str:
        counts = {name: getattr(job, name) for name in (*COUNTS, "total")}
        return json.dumps(
            {"job": job.pk, "kind": job.kind, "status": job.status, "waits_for": waits_for(job), **counts}
        )

    def _line(self, job: Job) -> str:
        waiting = waits_for(job)
        return (
            f"{job.pk:>6}  {job.kind:<16} {job.status:<10} {job.attempted:,} of {job.total:,}"
            f", {job.failed:,} failed" + (f"; waits for {waiting}" if waiting else "")
        )

"""``manage.py fieldstone_job``: start a job and work on it here, or do something to one."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import Error

from fieldstone.jobs import control, planning
from fieldstone.jobs.errors import JobNotSentError, JobRefusedError, NoSuchJobError
from fieldstone.jobs.kinds import KINDS
from fieldstone.jobs.kinds.base import Kind
from fieldstone.jobs.kinds.undo import Undo
from fieldstone.jobs.learners import learner_ids
from fieldstone.jobs.management import reporting
from fieldstone.jobs.models import Job, Note, Status
from fieldstone.jobs.selection import select
from fieldstone.jobs.worker import Worker
from fieldstone.store.management.command import StoreCommand

EXAMPLES = """examples:
  manage.py fieldstone_job start rescore --block block-v1:Org+Course+Run+type@problem+block@x
  manage.py fieldstone_job start rescore --course course-v1:Org+Course+Run --only-if-higher --dry-run
  manage.py fieldstone_job start reset-learner --course course-v1:Org+Course+Run --learner ada
  manage.py fieldstone_job start export-state --course course-v1:Org+Course+Run --format csv --file /srv/states.csv
  manage.py fieldstone_job start rescore --help    what a kind of job takes
  manage.py fieldstone_job work 7        go on with it here, also beside other workers
  manage.py fieldstone_job undo 7        take back what it did, where nobody has done anything since
  manage.py fieldstone_job cancel 7      also: pause, resume, retry (of its failures)
  manage.py fieldstone_job report 7      what became of it; with --html FILE or --json FILE, as a file

A job goes on from its last chunk, whatever ended the process that worked on it.

exit status: 0 done; 1 some learners failed, or the job has not finished; 2 wrong use, or refused.
"""

WORKING = {
    "work": "work on a job until nothing is left to do",
    "resume": "let workers go on with a paused job, and work on it",
    "retry": "start a new job over those who failed",
    "undo": "start a new job that takes back what a job did, where nobody has done anything since",
}
TURNING = {
    "pause": "let workers stop; resume goes on where they were",
    "cancel": "stop it for good; what was done stays, and can be undone",
}
TURNS: dict[str, Callable[..., Job]] = {
    "work": control.get,
    "resume": control.resume,
    "retry": control.retry_failures,
    "undo": control.undo,
    "pause": control.pause,
    "cancel": control.cancel,
}
SHOWN = 20
"""Failures; the report has all."""


class Command(StoreCommand):
    help = "Bulk work over learners' state: rescore, reset, delete, override, restore, export, verify; and undo."
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        start = actions.add_parser("start", help="start a job, and work on it")
        kinds = start.add_subparsers(dest="kind", required=True, metavar="KIND")
        for kind in KINDS.values():
            if kind is not Undo:  # it has an action of its own
                _add_kind(kinds, kind)
        for action, what in WORKING.items():
            working = _add_number(actions, action, what)
            _add_where(working)
            if action in ("retry", "undo"):
                _add_who(working)
        for action, what in TURNING.items():
            _add_number(actions, action, what)
        reporting.add_arguments(actions.add_parser("report", help="what became of it, and of whom it failed"))

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            if action == "report":
                reporting.report(options)
                return
            queue = _queue(options)
            job = self._start(options) if action == "start" else TURNS[action](options["number"], **_who(options))
            if action not in TURNING and not self._is_left_to_others(job, options, queue):
                job = self._worked_on(job, options)
        except (JobRefusedError, NoSuchJobError, JobNotSentError) as error:
            raise CommandError(str(error), returncode=2) from error
        self._report(job)
        is_left = queue is not None or options.get("no_work")
        if action not in TURNING and not is_left and (job.failed or job.status != Status.FINISHED):
            sys.exit(1)

    def _start(self, options: dict[str, Any]) -> Job:
        kind = options["kind"]
        selected = select(kind, block=options["block"], subtree=options["subtree"], course=options["course"])
        return planning.start(
            kind,
            selected.context,
            selected.usage_keys,
            options={field.name: options[field.name] for field in fields(KINDS[kind])},
            learners=learner_ids(options["learner"]) if options["learner"] else None,
            selection=selected.description,
            **_who(options),
        )

    def _is_left_to_others(self, job: Job, options: dict[str, Any], queue: Callable[[Job], None] | None) -> bool:
        if queue is not None:
            queue(job)
            self.stdout.write("It is with Celery; `manage.py fieldstone_jobs` shows how far it is.")
        elif options["no_work"]:
            self.stdout.write(f"It waits for a worker: manage.py fieldstone_job work {job.pk}")
        return queue is not None or bool(options["no_work"])

    def _worked_on(self, job: Job, options: dict[str, Any]) -> Job:
        """The job when nothing is left to do."""
        try:
            with self.progress("states", job.total, options) as shown:
                return Worker(on_chunk=lambda now: shown.reach(min(now.attempted, now.total))).run(job.pk)
        except (KeyboardInterrupt, Error):
            self.stderr.write(f"It goes on where it was: manage.py fieldstone_job work {job.pk}")
            raise

    def _report(self, job: Job) -> None:
        would = "would have " if job.is_dry_run else ""
        self.stdout.write(
            f"job {job.pk}, {job.kind}, {job.status}: {job.attempted:,} of {job.total:,} attempted, "
            f"{would}{job.succeeded:,} succeeded, {job.skipped:,} skipped, {job.failed:,} failed"
        )
        if job.message:
            self.stdout.write(job.message)
        if file := job.result.get("file"):
            self.stdout.write(str(file))
        for note in job.notes.filter(what=Note.What.WOULD).order_by("pk")[:SHOWN]:
            self.stdout.write(f"learner {note.learner_id}, {note.usage}: {note.text}")
        for note in job.notes.filter(what=Note.What.FAILED).order_by("pk")[:SHOWN]:
            self.stdout.write(self.style.ERROR(f"learner {note.learner_id}, {note.usage}: {note.text}"))
        if job.failed > SHOWN:
            self.stdout.write(f"All {job.failed:,} failures: manage.py fieldstone_job report {job.pk} --html FILE")


def _queue(options: dict[str, Any]) -> Callable[[Job], None] | None:
    """What sends a job to Celery, if that is asked for. Raises ``JobRefusedError`` where it cannot."""
    if not options.get("celery"):
        return None
    try:
        from fieldstone.jobs import tasks
    except ImportError as error:
        raise JobRefusedError(str(error)) from error
    workers = options["workers"]
    tasks.check(workers)
    return lambda job: tasks.submit(job, workers)


def _who(options: dict[str, Any]) -> dict[str, Any]:
    """What is told of a new job beside what it does. Raises ``JobRefusedError``."""
    if "reason" not in options:
        return {}
    (asked,) = learner_ids([options["by"]]) if options["by"] else (None,)
    return {"requested_by": asked, "reason": options["reason"], "is_dry_run": options["dry_run"]}


def _add_who(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", default="", help="why, for the record")
    parser.add_argument("--by", metavar="NAME", help="who asks for it, for the record: a username or an id")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and write nothing")


def _add_number(actions: Any, action: str, what: str) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(action, help=what)
    parser.add_argument("number", type=int, help="the job's")
    parser.add_argument("--no-color", action="store_true", help=SUPPRESS)
    return parser


def _add_where(parser: ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--no-work", action="store_true", help="leave the work to other workers")
    where.add_argument("--celery", action="store_true", help="send it to Celery's workers")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="so many of Celery's at once")


def _add_kind(kinds: Any, kind: type[Kind]) -> None:
    what = (kind.__doc__ or "").splitlines()[0]
    parser: ArgumentParser = kinds.add_parser(kind.name, help=what, description=what)
    over = parser.add_mutually_exclusive_group(required=True)
    over.add_argument("--block", metavar="KEY", help="one block")
    over.add_argument("--subtree", metavar="KEY", help="a block and all below it")
    over.add_argument("--course", metavar="KEY", help="the whole course")
    parser.add_argument(
        "--learner", metavar="NAME", action="append", help="only this one, a username or an id; may be repeated"
    )
    parser.add_argument("--no-color", action="store_true", help=SUPPRESS)
    _add_who(parser)
    _add_where(parser)
    for field in fields(kind):
        name, told = f"--{field.name.replace('_', '-')}", {"help": field.metadata.get("help", "")}
        if field.type in ("bool", bool):
            parser.add_argument(name, action="store_true", **told)
        else:
            of = {"str": str, "int": int, "float": float}[getattr(field.type, "__name__", str(field.type))]
            is_required = field.default is MISSING
            parser.add_argument(
                name, type=of, required=is_required, default=None if is_required else field.default, **told
            )

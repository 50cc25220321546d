"""What the pages of jobs show, and what their buttons do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from django.http import HttpRequest

from fieldstone.jobs import control
from fieldstone.jobs.kinds import KINDS
from fieldstone.jobs.listing import waits_for
from fieldstone.jobs.models import ENDED, Job, Status
from fieldstone.jobs.report import Report, Told
from fieldstone.store import Store

ENDED_AT_A_TIME = 50
NOTES_TO_A_PAGE = 100


@dataclass(frozen=True)
class Shown:
    """A job on a page."""

    report: Report
    waits_for: Sequence[tuple[str, bool]]
    """What has to happen for it to go on, in pieces; a piece that is a command is marked."""

    @classmethod
    def of(cls, report: Report) -> Shown:
        pieces = waits_for(report.job).split("`")
        return cls(report, [(piece, number % 2 == 1) for number, piece in enumerate(pieces) if piece])

    @property
    def job(self) -> Job:
        return self.report.job

    @property
    def is_over(self) -> bool:
        return self.job.status in ENDED


@dataclass(frozen=True)
class Board:
    """The jobs that have not ended, and some of those that have; latest first."""

    unfinished: Sequence[Shown]
    ended: Sequence[Shown]
    before: int | None  # ended ones are shown from here on
    next_before: int | None  # and further on from here


def board(before: int | None = None) -> Board:
    """``before``: the number of a job; those that have ended are shown from the one before it."""
    jobs = Job.objects.using(Store().using).order_by("-pk")
    ended = jobs.filter(status__in=ENDED)
    found = list((ended if before is None else ended.filter(pk__lt=before))[: ENDED_AT_A_TIME + 1])
    return Board(
        unfinished=[Shown.of(report) for report in Report.of_many(jobs.exclude(status__in=ENDED))],
        ended=[Shown(report, ()) for report in Report.of_many(found[:ENDED_AT_A_TIME])],
        before=before,
        next_before=found[ENDED_AT_A_TIME - 1].pk if len(found) > ENDED_AT_A_TIME else None,
    )


@dataclass(frozen=True)
class Notes:
    """A page of what there is to say of single learners."""

    notes: Sequence[Told]
    after: int
    next_after: int | None

    @classmethod
    def of(cls, read: Callable[[int], Iterator[Told]], after: int) -> Notes:
        found = list(islice(read(after), NOTES_TO_A_PAGE + 1))
        notes = found[:NOTES_TO_A_PAGE]
        return cls(notes, after, notes[-1].number if len(found) > len(notes) else None)


def shown(number: int) -> Shown:
    """Raises ``NoSuchJobError``."""
    return Shown.of(Report.of(control.get(number)))


def buttons(report: Report) -> Sequence[str]:
    """What can be done to a job, as it stands."""
    job = report.job
    if job.kind not in KINDS:  # it was another version's, or another site's
        return ()
    if job.status == Status.PAUSED:
        return ("resume", "cancel")
    if job.status not in ENDED:
        return ("pause", "cancel")
    has_written = bool(report.succeeded) and not job.is_dry_run and KINDS[job.kind].writes
    return ("retry",) * bool(report.failed) + ("undo",) * has_written


ACTIONS: Mapping[str, Callable[..., Job]] = {
    "pause": control.pause,
    "resume": control.resume,
    "cancel": control.cancel,
    "retry": control.retry_failures,
    "undo": control.undo,
}


def act(request: HttpRequest, number: int, action: str) -> Job:
    """The job, or the new one that comes of it. Raises ``NoSuchJobError`` and ``JobRefusedError``."""
    do = ACTIONS[action]
    if action in ("retry", "undo"):
        do = partial(do, **_asked_by(request))
    return do(number)


def _asked_by(request: HttpRequest) -> dict[str, Any]:
    return {
        "requested_by": request.user.pk,
        "request_info": {
            "username": request.user.get_username(),
            "ip": request.META.get("REMOTE_ADDR", ""),
            "agent": request.headers.get("User-Agent", "")[:1000],
            "host": request.get_host(),
        },
        "callback_prefix": f"{request.scheme}://{request.get_host()}",
    }

"""What a job does to learners is tracked: by a signal, and a line of JSON as Open edX's tracking logs have it.

The lines hold what learners wrote. They go to the logger ``fieldstone.tracking``, and from there to its own
handlers alone: never to those of other loggers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from fieldstone.jobs.figures import counts, duration_ms
from fieldstone.jobs.models import Job
from fieldstone.jobs.signals import job_ended, job_started, tracked
from fieldstone.jobs.telling import dumps
from fieldstone.store import Store

if TYPE_CHECKING:  # the kinds build blocks, which track
    from fieldstone.jobs.kinds.base import Task

log = logging.getLogger("fieldstone.tracking")

PAGE = "x_module_task"
"""The page of all events that have none, as they are marked in Open edX's logs."""
SOURCE = "task"
UNKNOWN = "unknown"


def track(task: Task, user: Any, event_type: str, event: Any, usage_key: UsageKey | None = None) -> None:
    """Tell an event of a learner once the transaction around is committed, or at once where there is none.

    ``user`` is the learner's account. What ``event`` holds is as it is now; what JSON cannot hold of it is told by
    its ``repr``. Never raises for what is in it.
    """
    context = _context(task, user, usage_key)
    line = _line(event_type, _with_task(event, context["task"]), context) if _is_wanted() else None
    _after_commit(partial(_tell, line, tracked, event_type=event_type, event=event, context=context))


def track_function(task: Task, user: Any, usage_key: UsageKey | None = None) -> Callable[[str, Any], None]:
    """``track`` for one learner: a function of an event's type and the event, such as blocks ask for."""
    return partial(_track_of, task, user, usage_key)


def tell_started(job: Job) -> None:
    """The first worker has begun a job; told once that is committed."""
    _after_commit(partial(_tell_job, job, "fieldstone.job.started", job_started))


def tell_ended(job: Job) -> None:
    """A job is over; told once that is committed, with the counts and the status that the job has then."""
    _after_commit(partial(_tell_job, job, "fieldstone.job.ended", job_ended))


def _tell_job(job: Job, event_type: str, signal: Signal) -> None:
    context = {
        "request": dict(job.request_info or {}),
        "task": {"job": job.pk},
        "user_id": job.requested_by,
        "usage_key": "",
        "course_id": job.context,
    }
    event = {
        "kind": job.kind,
        "status": str(job.status),
        "is_dry_run": job.is_dry_run,
        "selection": job.selection,
        "reason": job.reason,
        **counts(job),
        "duration_ms": duration_ms(job),
    }
    _tell(_line(event_type, event, context) if _is_wanted() else None, signal, job=job)


def _track_of(task: Task, user: Any, usage_key: UsageKey | None, event_type: str, event: Any) -> None:
    track(task, user, event_type, event, usage_key)


def _context(task: Task, user: Any, usage_key: UsageKey | None) -> dict[str, Any]:
    return {
        "request": dict(task.request_info),
        "task": {"job": task.job_id, "task_id": task.task_id, "student": _username(user)},
        "user_id": getattr(user, "pk", None),
        "usage_key": str(usage_key or ""),
        "course_id": str(usage_key.context_key) if usage_key else "",
    }


def _username(user: Any) -> str:
    return str(getattr(user, get_user_model().USERNAME_FIELD, None) or "")


def _with_task(event: Any, task: Mapping[str, Any]) -> Any:
    """Readers of Open edX's logs look for the learner and the task in the event itself."""
    if not isinstance(event, dict):
        return event
    return {**event, "student": task["student"], "task_id": task["task_id"]}


def _line(event_type: str, event: Any, context: Mapping[str, Any]) -> str:
    request = context["request"]
    module = {"module": {"usage_key": context["usage_key"]}} if context["usage_key"] else {}
    line = {
        "username": request.get("username") or UNKNOWN,  # who asked; the learner is in the task
        "event_type": event_type,
        "event_source": SOURCE,
        "ip": request.get("ip") or UNKNOWN,
        "agent": request.get("agent") or UNKNOWN,
        "host": request.get("host") or UNKNOWN,
        "page": PAGE,
        "time": timezone.now().isoformat(),
        "task": context["task"],
        "context": {"course_id": context["course_id"], "user_id": context["user_id"], **module},
        "event": event,
    }
    return dumps(line)


def _after_commit(tell: Callable[[], None]) -> None:
    transaction.on_commit(tell, using=Store().using, robust=True)


def _tell(line: str | None, signal: Signal, **arguments: Any) -> None:
    if line is not None:
        # Each time: logging turns it on again whenever a parent of this logger is configured.
        log.propagate = False
        log.info("%s", line)
    signal.send_robust(sender=None, **arguments)


def _is_wanted() -> bool:
    return log.isEnabledFor(logging.INFO)

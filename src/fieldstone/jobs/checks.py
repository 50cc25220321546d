"""Django's system checks of jobs: what in the settings would only be noticed when a job runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from fieldstone import conf

SHORTEST_LEASE = 1.0
"""Seconds: a chunk is written within a third of a lease, and a busy database takes its time."""


def check_jobs(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Whether the settings of jobs are ones that jobs understand."""
    return list(_messages()) if is_readable() else []


def check_deployed_jobs(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What does for one's own machine, and hardly for a site: only for ``check --deploy``."""
    if not is_readable() or conf.has_jobs_folder():
        return []
    return [
        Warning(
            f"Reports and exports of jobs are left in {conf.jobs_folder()}, where the system removes what is old.",
            hint='Set FIELDSTONE = {"JOBS_FOLDER": ...} to a folder that lasts, and that all workers share.',
            id="fieldstone_jobs.W003",
        )
    ]


def _messages() -> Iterator[CheckMessage]:
    overlap, seconds = conf.jobs_overlap(), _lease_seconds()
    if overlap not in ("refuse", "wait"):
        yield Error(
            f"JOBS_OVERLAP of FIELDSTONE is {overlap!r}.",
            hint='"refuse": a job over states that another is at is refused. "wait": it waits for the other.',
            id="fieldstone_jobs.E001",
        )
    if seconds is None or seconds < SHORTEST_LEASE:
        yield Error(
            f"JOB_LEASE_SECONDS of FIELDSTONE is to be a number of seconds, {SHORTEST_LEASE:g} or more.",
            hint="60 is the default: so long after a worker has vanished another takes over what it was at.",
            id="fieldstone_jobs.E002",
        )


def is_readable() -> bool:
    """Settings that are no dict are the store's checks to tell."""
    return isinstance(getattr(settings, "FIELDSTONE", {}), Mapping)


def _lease_seconds() -> float | None:
    try:
        return conf.job_lease_seconds()
    except (TypeError, ValueError):
        return None

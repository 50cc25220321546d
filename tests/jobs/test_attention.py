"""Which jobs a worker is to be called for, as their rows say it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from fieldstone.jobs import control, leases, planning
from fieldstone.jobs.attention import is_left, unattended
from fieldstone.jobs.models import Job, Part, Status
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from tests.conftest import COURSE, usage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]

BLOCKS = [usage("one"), usage("two")]


@pytest.fixture
def job() -> Job:
    """Two parts, which nobody has begun."""
    for key in BLOCKS:
        Store().save_many([LearnerSave.of(1, {key: {"attempts": 1}})])
    return planning.start("delete-state", COURSE, BLOCKS)


def wanted():
    return [(job.pk, workers) for job, workers in unattended()]


def begun(job):
    Job.objects.filter(pk=job.pk).update(status=Status.RUNNING)
    job.refresh_from_db()
    return job


def vanish(parts):
    parts.update(leased_until=Now() - timedelta(seconds=1))


def test_a_job_that_nobody_has_begun_wants_a_worker(job):
    assert wanted() == [(job.pk, 1)]


def test_a_running_job_that_nobody_is_at_wants_a_worker(job):
    assert is_left(begun(job))
    assert wanted() == [(job.pk, 1)]


def test_a_job_that_a_living_worker_is_at_wants_none(job):
    leases.take(begun(job), "somebody", 60, "default")
    assert is_left(job)
    assert wanted() == []


def test_a_job_whose_parts_are_all_taken_has_nothing_left(job):
    for holder in ("somebody", "another"):
        leases.take(begun(job), holder, 60, "default")
    assert not is_left(job)
    assert wanted() == []


def test_as_many_workers_are_wanted_as_have_vanished(job):
    for holder in ("somebody", "another"):
        leases.take(begun(job), holder, 60, "default")
    vanish(Part.objects.filter(holder="another"))
    assert wanted() == [(job.pk, 1)]  # beside the one that lives
    vanish(Part.objects.all())
    assert wanted() == [(job.pk, 2)]
    assert is_left(job)


def test_what_is_done_last_is_left_when_all_else_is_done(job):
    first, last = Part.objects.order_by("pk")
    Part.objects.filter(pk=last.pk).update(is_closing=True)
    leases.take(begun(job), "somebody", 60, "default")
    assert not is_left(job)
    vanish(Part.objects.filter(pk=first.pk))
    assert is_left(job)
    Part.objects.filter(pk=first.pk).update(is_done=True, holder="", leased_until=None)
    assert is_left(job)
    assert wanted() == [(job.pk, 1)]


def test_a_job_that_is_done_but_not_ended_wants_a_worker_who_ends_it(job):
    Part.objects.update(is_done=True)
    assert not is_left(begun(job))
    assert wanted() == [(job.pk, 1)]


@pytest.mark.parametrize("turned", [control.pause, control.cancel])
def test_a_job_that_somebody_has_stopped_wants_none(job, turned):
    turned(job.pk)
    assert wanted() == []


def test_a_job_that_is_resumed_wants_a_worker(job):
    control.pause(begun(job).pk)
    control.resume(job.pk)
    assert wanted() == [(job.pk, 1)]


def test_a_job_that_waits_for_another_wants_a_worker_when_that_has_ended(job, settings):
    settings.FIELDSTONE = settings.FIELDSTONE | {"JOBS_OVERLAP": "wait"}
    waiting = planning.start("delete-state", COURSE, BLOCKS)
    assert wanted() == [(job.pk, 1)]
    control.cancel(job.pk)
    assert wanted() == [(waiting.pk, 1)]
    assert list(unattended(Job.objects.filter(context="another"))) == []

"""A job over some thousand states, and brokers to do it by."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from celery import Celery, current_app
from django.conf import settings

from fieldstone.jobs import planning
from fieldstone.jobs.models import Job
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.states import Grade
from scripts.servers.catalogue import NEEDS
from tests.brokers.processes import CeleryWorker
from tests.conftest import COURSE, usage
from tests.faults.conftest import open_folder
from tests.xblock.routers import Everything

__all__ = ["open_folder"]

LEARNERS = 500
BLOCKS = [usage(f"block{number}") for number in range(3)]
SERVER = "postgresql" if "postgresql" in settings.DATABASES else "default"
"""Where one database is enough."""


@pytest.fixture
def job(store, alias, settings, monkeypatch) -> Job:
    """A job of twelve parts that waits for a worker."""
    settings.DATABASE_ROUTERS = [Everything(alias)]
    for key in BLOCKS:
        store.save_many(
            LearnerSave.of(n, {key: {"attempts": n % 7}}, {key: Grade(n % 2, 1)}) for n in range(1, LEARNERS + 1)
        )
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 150)
    return planning.start("delete-state", COURSE, BLOCKS)


@pytest.fixture
def sends() -> Iterator[Callable[[str], Celery]]:
    """This process sends by a broker, to a queue of the test's own."""
    before, apps = current_app._get_current_object(), []

    def sends(url: str) -> Celery:
        app = Celery("fieldstone-tests-sender", broker=url)
        app.conf.task_default_queue = f"fieldstone-tests-{uuid4().hex}"
        app.set_current()
        apps.append(app)
        return app

    yield sends
    before.set_current()
    for app in apps:
        app.close()


def address_of(name: str) -> str:
    need = NEEDS[name]
    if not (url := os.environ.get(need.variable)):
        pytest.skip(f"no {need.name}: {need.variable} is not set; `make test` starts one")
    return url


@pytest.fixture
def app(request, sends) -> Iterator[Celery]:
    """Of the broker that the test's parameter names; the queue is gone after the test."""
    app = sends(address_of(request.param))
    yield app
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(app.conf.task_default_queue)


@pytest.fixture
def starts(alias, tmp_path) -> Iterator[Callable[..., CeleryWorker]]:
    """Starts Celery's workers, none of which outlives the test."""
    with contextlib.ExitStack() as stack:

        def starts(app: Celery, *, rescues: bool = True) -> CeleryWorker:
            worker = CeleryWorker(
                alias, app.conf.broker_url, app.conf.task_default_queue, tmp_path, rescues=rescues
            )
            stack.callback(worker.kill)
            return worker

        yield starts

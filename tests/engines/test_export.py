"""Exports whose workers are killed are what one that nobody disturbed leaves, byte by byte; on every engine."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from fieldstone.jobs import planning
from fieldstone.jobs.export import together
from fieldstone.jobs.export.pieces import Pieces
from fieldstone.jobs.export.together import Whole
from fieldstone.jobs.kinds.export_history import ExportHistory
from fieldstone.jobs.kinds.export_state import ExportState
from fieldstone.jobs.kinds.exporting import Export
from fieldstone.jobs.models import Part, Status
from fieldstone.jobs.worker import Worker
from fieldstone.store import DELETED, Grade, Store, export_reads, outbox
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.export_reads import revisions_of
from fieldstone.store.models import StudentModuleHistory
from fieldstone.store.routing import Home
from tests.conftest import COURSE, jobs_on_each_engine, usage
from tests.engines.routers import Divided, each_engine_with_two_databases
from tests.engines.writer import Writers
from tests.xblock.routers import Everything

pytestmark = pytest.mark.django_db(transaction=True)

LEARNERS = 200
BLOCKS = [usage(f"block{number}") for number in range(3)]
KILLS = 5
LEASE_SECONDS = 0.2


def work(job_id, folder, deadly=""):
    """What a process of a worker does: the number of states attempted, after each chunk; the end, if it comes.

    ``deadly`` is where in the closing it is killed, by itself.
    """
    from fieldstone.jobs import worker  # in the process, where settings are others

    django_settings.FIELDSTONE = {"JOBS_FOLDER": folder}
    ExportState.states_to_a_chunk = ExportHistory.states_to_a_chunk = 15
    worker.conf.job_lease_seconds = lambda: LEASE_SECONDS
    if deadly:
        kill_at(deadly)
    told = []
    job = None
    while job is None or job.status == Status.RUNNING:
        job = Worker(on_chunk=lambda now: told.append(now.attempted)).run(job_id, seconds=0.05)
        yield from told
        told.clear()
    yield job.status


def kill_at(point):
    def killed(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    if point == "file half written":
        real_close = Export.close
        Export.close = lambda self, job, still_here: real_close(self, job, killed)
        together.SECONDS_BETWEEN_BEATS = -1
    elif point == "file in its place":
        together._Note.write = killed
    elif point == "pieces about to go":
        Pieces.remove_all = killed
    else:
        real_whole = Whole.put_together
        Whole.put_together = lambda self, names: killed(real_whole(self, names))


POINTS = ["file half written", "file in its place", "pieces about to go", "all but committed"]


@pytest.fixture
def folder(tmp_path, settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "JOBS_FOLDER": str(tmp_path / "jobs")}
    return str(tmp_path / "jobs")


@pytest.fixture
def on_engine(alias, settings):
    settings.DATABASE_ROUTERS = [Everything(alias)]
    return alias


@pytest.fixture
def seeded(store, on_engine, django_user_model):
    users = [django_user_model(username=f"ada, {n}", pk=n) for n in range(1, LEARNERS, 2)]
    django_user_model.objects.using(on_engine).bulk_create(users)
    for key in BLOCKS:
        for changes in ({"answers": {"a": 1.0}, "n": None}, {"n": DELETED}):
            store.save_many(
                LearnerSave.of(n, {key: {**changes, "at": n}}, {key: Grade(n % 2, 1)})
                for n in range(1, LEARNERS + 1)
            )
    return store


def undisturbed(kind, options):
    """The bytes of the file of a worker that nobody kills."""
    job = Worker().run(planning.start(kind, COURSE, BLOCKS, options=options).pk)
    assert job.status == Status.FINISHED
    return Path(job.result["file"]).read_bytes()


@jobs_on_each_engine
@pytest.mark.parametrize(("kind", "form"), [("export-state", "jsonl"), ("export-history", "parquet")])
def test_workers_that_are_killed_leave_the_same_file(seeded, on_engine, folder, monkeypatch, kind, form):
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 70)
    wanted = undisturbed(kind, {"format": form})
    job = planning.start(kind, COURSE, BLOCKS, options={"format": form})
    chance, kills = random.Random(1), 0
    with Writers(on_engine) as writers:
        while kills < KILLS:
            process = writers.start(work, job.pk, folder)
            for _ in range(chance.randint(0, 3)):
                if process.next() == Status.FINISHED:
                    break
            process.kill()
            process.rest()
            kills += 1
        last = [writers.start(work, job.pk, folder) for _ in range(2)]
        assert {worker.rest()[-1] for worker in last} == {Status.FINISHED}
    check(job, wanted)
    if kind == "export-state":
        assert job.result["rows"] == job.succeeded == LEARNERS * len(BLOCKS)


@jobs_on_each_engine
def test_workers_that_are_killed_while_they_put_the_file_together(seeded, on_engine, folder):
    """One after the other, each a step further."""
    wanted = undisturbed("export-state", {})
    job = planning.start("export-state", COURSE, BLOCKS)
    with Writers(on_engine) as writers:
        for point in POINTS:
            assert Status.FINISHED not in writers.start(work, job.pk, folder, point).rest()
            assert Part.objects.filter(job=job, is_done=False).get().is_closing, (
                "it was to be killed in the closing"
            )
        assert writers.start(work, job.pk, folder).rest()[-1] == Status.FINISHED
    check(job, wanted)


def check(job, wanted):
    job.refresh_from_db()
    path = Path(job.result["file"])
    assert path.read_bytes() == wanted
    assert job.result["bytes"] == len(wanted)
    left = {each.name for each in path.parent.iterdir()}
    assert not [name for name in left if "piece" in name or "half" in name]


@each_engine_with_two_databases
def test_history_that_is_moved_meanwhile_is_there_once(alias, settings, monkeypatch):
    home = Home(alias, f"{alias}_history")
    settings.DATABASE_ROUTERS = [Divided(home)]
    monkeypatch.setattr(outbox, "_pause", outbox._Pause())
    monkeypatch.setattr("fieldstone.store.export_reads.REVISIONS_AT_A_TIME", 4)
    outbox._pause.begin(home)  # no save moves its history
    store, key = Store(), BLOCKS[0]
    latest = {1: 3, 2: 9, 3: 1, 4: 2}
    for learner, saves in latest.items():
        for n in range(saves):
            store.save(learner, {key: {"n": n}})
    wanted = [(learner, n + 1, n) for learner, saves in latest.items() for n in range(saves)]
    waiting = StudentModuleHistory.objects.using(home.states)

    def read(between):
        found = []
        for revision in revisions_of(latest, key):
            found.append((revision.learner_id, revision.number, int(json.loads(revision.delta)["n"])))
            between()
        return found

    def move_some():
        if keys := sorted(waiting.values_list("student_id", "usage_id", "revision"))[-2:]:
            outbox.move(home, keys)

    assert read(lambda: None) == wanted
    assert read(move_some) == wanted
    assert not waiting.exists()
    assert read(lambda: None) == wanted


@each_engine_with_two_databases
def test_history_that_is_moved_between_the_two_looks_is_not_missed(alias, settings, monkeypatch):
    home = Home(alias, f"{alias}_history")
    settings.DATABASE_ROUTERS = [Divided(home)]
    monkeypatch.setattr(outbox, "_pause", outbox._Pause())
    outbox._pause.begin(home)
    store, key = Store(), BLOCKS[0]
    for n in range(5):
        store.save(1, {key: {"n": n}})
    real = export_reads._read

    def read(using, usage_id, reach):
        rows = real(using, usage_id, reach)
        if using == home.states:
            assert sum(moved.revisions for moved in outbox.sweep(home)) == 5
        return rows

    monkeypatch.setattr(export_reads, "_read", read)
    assert [revision.number for revision in revisions_of({1: 5}, key)] == [1, 2, 3, 4, 5]

"""Exports as jobs, on SQLite: what is in the files, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
import sys
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fieldstone.jobs import planning
from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.export.formats import NAMES, moment_text
from fieldstone.jobs.export.pieces import Pieces
from fieldstone.jobs.kinds.export_history import ExportHistory
from fieldstone.jobs.kinds.export_state import ExportState
from fieldstone.jobs.models import Job, Status
from fieldstone.jobs.worker import Worker
from fieldstone.store import DELETED, Store
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.states import Grade
from tests.conftest import COURSE, usage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]

A, B = usage("a"), usage("b", "poll")
STATE, HISTORY = "export-state", "export-history"


@pytest.fixture(autouse=True)
def folder(tmp_path, settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "JOBS_FOLDER": tmp_path / "jobs"}
    return tmp_path / "jobs"


@pytest.fixture
def ada(django_user_model):
    return django_user_model.objects.create_user("ada").pk


def run(kind, keys=(A, B), options=None, **more):
    job = planning.start(kind, COURSE, keys, options=options or {}, **more)
    return Worker().run(job.pk)


def lines(job):
    return [json.loads(line) for line in Path(job.result["file"]).read_text().splitlines()]


def test_every_state_is_a_line(ada, folder):
    store, gone = Store(), ada + 1
    store.save(ada, {A: {"x": 1.0, "text": 'é, "\n'}}, grades={A: Grade(1, 2)}, origin="handler:vote")
    store.save(ada, {B: {"gone": None}})
    store.save(gone, {A: {"y": None}})
    store.save(gone, {A: {"y": DELETED}})
    job = run(STATE)
    path = folder / f"job-{job.pk}" / "state.jsonl"
    states = {learner: store.read(learner, [A, B]) for learner in (ada, gone)}
    assert lines(job) == [
        {
            "learner_id": learner, "username": name, "usage_key": str(key), "block_type": key.block_type,
            "revision": states[learner][key].revision,
            "modified": states[learner][key].modified.isoformat(timespec="microseconds"),
            "grade": grade, "max_grade": maximum, "fields": fields,
        }
        for learner, name, key, grade, maximum, fields in [
            (ada, "ada", B, None, None, {"gone": None}),
            (ada, "ada", A, 1.0, 2.0, {"x": 1.0, "text": 'é, "\n'}),
            (gone, "", A, None, None, {}),
        ]
    ]  # fmt: skip
    assert '"x": 1.0' in path.read_text()
    assert job.result == {
        "file": str(path),
        "rows": 3,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert (job.status, job.succeeded, job.total) == (Status.FINISHED, 3, 3)


def test_every_save_is_a_line(ada):
    store = Store()
    store.save(ada, {A: {"x": 1.0, "y": None}}, origin="handler:vote", actor=77)
    store.save(ada, {A: {"x": DELETED}}, grades={A: Grade(1, 2)})
    store.save(ada + 1, {A: {"z": [1, {"a": 2}]}})
    rows = lines(run(HISTORY, [A]))
    at = {row["revision"]: row.pop("created") for row in rows[:2]}
    assert at == {rev.number: rev.at.isoformat(timespec="microseconds") for rev in store.history(ada, A)}
    assert rows[:2] == [
        {
            "learner_id": ada, "username": "ada", "usage_key": str(A), "revision": 1, "origin": "handler:vote",
            "actor_id": 77, "grade": None, "max_grade": None, "changes": {"x": 1.0, "y": None}, "deleted": [],
        },
        {
            "learner_id": ada, "username": "ada", "usage_key": str(A), "revision": 2, "origin": "",
            "actor_id": None, "grade": 1.0, "max_grade": 2.0, "changes": {"x": None}, "deleted": ["x"],
        },
    ]  # fmt: skip
    assert (rows[2]["learner_id"], rows[2]["changes"]) == (ada + 1, {"z": [1, {"a": 2}]})


def test_the_three_formats_say_the_same(ada):
    for n in range(5):
        Store().save(ada + n, {A: {"x": n, "text": "a,\nb"}}, grades={A: Grade(n, 5)})
    files = {name: Path(run(STATE, options={"format": name}).result["file"]) for name in NAMES}
    assert {path.suffix for path in files.values()} == {".jsonl", ".csv", ".parquet"}
    plain = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    with files["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{**row, "fields": json.loads(row["fields"])} for row in rows] == [
        {name: value if name == "fields" else str(value) for name, value in row.items()} for row in plain
    ]
    table = pq.read_table(files["parquet"]).to_pylist()
    for row in table:
        row.update(modified=moment_text(row["modified"]), fields=json.loads(row["fields"]))
    assert table == plain


def test_many_parts_and_chunks_make_one_file_in_order(monkeypatch, folder):
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 7)
    monkeypatch.setattr(ExportState, "states_to_a_chunk", 3)
    for key in (A, B):
        Store().save_many(LearnerSave.of(n, {key: {"x": n}}) for n in range(1, 31))
    job = run(STATE)
    assert [(row["usage_key"], row["learner_id"]) for row in lines(job)] == [
        (str(key), n) for key in (B, A) for n in range(1, 31)
    ]
    left = {path.name for path in (folder / f"job-{job.pk}").iterdir()}
    assert not [name for name in left if "piece" in name or "half" in name]


def test_a_history_of_thousands_is_read_bit_by_bit(monkeypatch, ada):
    monkeypatch.setattr("fieldstone.store.export_reads.REVISIONS_AT_A_TIME", 10)
    store = Store()
    saves = {ada: 25, ada + 1: 4, ada + 2: 10, ada + 3: 6, ada + 4: 11, ada + 5: 1}
    for learner, count in saves.items():
        for n in range(count):
            store.save(learner, {A: {"n": n}})
    rows = lines(run(HISTORY, [A]))
    assert [(row["learner_id"], row["revision"], row["changes"]) for row in rows] == [
        (learner, n + 1, {"n": n}) for learner, count in saves.items() for n in range(count)
    ]


def test_a_save_after_the_chunk_was_read_is_not_half_of_the_file(monkeypatch, ada):
    """What is exported of a learner is the history as of one moment: that of the state."""
    store = Store()
    store.save(ada, {A: {"n": 1}})
    real = ExportHistory.outcomes

    def outcomes(self, chunk, task):
        store.save(ada, {A: {"n": 2}})
        return real(self, chunk, task)

    monkeypatch.setattr(ExportHistory, "outcomes", outcomes)
    assert [row["revision"] for row in lines(run(HISTORY, [A]))] == [1]


def test_who_is_named_and_has_no_state_is_skipped(ada):
    Store().save(ada, {A: {"n": 1}})
    job = run(STATE, [A], learners=[ada, ada + 1])
    assert (job.succeeded, job.skipped, job.result["rows"]) == (1, 1, 1)


def test_files_are_for_their_owner_alone(ada, folder, tmp_path, monkeypatch):
    Store().save(ada, {A: {"n": 1}})
    seen = []
    real = Pieces.remove_all

    def remove_all(self):
        seen.extend(path.stat().st_mode for path in self.folder.glob("part-*"))
        real(self)

    monkeypatch.setattr(Pieces, "remove_all", remove_all)
    old = os.umask(0)
    try:
        job = run(STATE, [A], {"file": str(tmp_path / "out.jsonl")})
    finally:
        os.umask(old)
    assert {stat.S_IMODE(mode) for mode in seen} == {0o600}
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / f"job-{job.pk}").stat().st_mode) == 0o700


def test_a_dry_run_writes_no_file(ada, folder, tmp_path):
    Store().save(ada, {A: {"n": 1}})
    job = run(STATE, [A], {"file": str(tmp_path / "out.jsonl")}, is_dry_run=True)
    assert (job.status, job.succeeded, job.result) == (Status.FINISHED, 1, {})
    assert not (tmp_path / "out.jsonl").exists()
    assert not list(folder.glob("*/part-*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "xml"}, "There is no format 'xml'. There are jsonl, csv, parquet."),
        ({"file": "out.jsonl"}, "is to be a whole path"),
        ({"file": "{tmp}/none/out.jsonl"}, "There is no folder .*none for the file. Make it first."),
        ({"file": "{tmp}/there.jsonl"}, "There is a file .*there.jsonl already."),
        ({"file": "{tmp}/nowhere.jsonl"}, "There is a file .*nowhere.jsonl already."),
    ],
)
@pytest.mark.parametrize("kind", [STATE, HISTORY])
def test_what_cannot_be_is_refused_before_anything_starts(ada, tmp_path, kind, options, words):
    Store().save(ada, {A: {"n": 1}})
    (tmp_path / "there.jsonl").write_text("mine")
    (tmp_path / "nowhere.jsonl").symlink_to(tmp_path / "no-such-file")
    options = {name: value.format(tmp=tmp_path) for name, value in options.items()}
    with pytest.raises(JobRefusedError, match=words):
        planning.start(kind, COURSE, [A], options=options)
    assert not Job.objects.exists()


def test_parquet_without_pyarrow_is_refused_and_says_what_to_install(ada, monkeypatch):
    Store().save(ada, {A: {"n": 1}})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(JobRefusedError, match=r'pip install "fieldstone\[parquet\]"'):
        planning.start(STATE, COURSE, [A], options={"format": "parquet"})
    assert run(STATE, [A]).status == Status.FINISHED, "the others do without it"


def test_a_file_that_has_come_into_being_meanwhile_stays_as_it_is(ada, tmp_path):
    Store().save(ada, {A: {"n": 1}})
    path = tmp_path / "out.jsonl"
    job = planning.start(STATE, COURSE, [A], options={"file": str(path)})
    path.write_text("mine")
    paused = Worker().run(job.pk)
    assert (paused.status, path.read_text()) == (Status.PAUSED, "mine")
    assert "There is another file" in paused.message
    path.unlink()
    Job.objects.filter(pk=job.pk).update(status=Status.WAITING)
    assert Worker().run(job.pk).result["rows"] == 1


def test_memory_does_not_grow_with_the_states(monkeypatch):
    monkeypatch.setattr(ExportState, "states_to_a_chunk", 200)
    monkeypatch.setattr(planning, "STATES_TO_A_PART", 1000)
    peaks = []
    for key, count in ((A, 1_000), (B, 10_000)):
        for start in range(1, count, 1000):
            Store().save_many(LearnerSave.of(n, {key: {"answer": "x" * 300}}) for n in range(start, start + 1000))
        tracemalloc.start()
        try:
            assert run(STATE, [key]).result["rows"] == count
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5 + 200_000

"""What jobs tell of: lines of JSON and signals, once what they tell of is committed."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest
from django.db import transaction
from django.utils import timezone

from fieldstone.jobs.kinds.base import Task
from fieldstone.jobs.models import Job, Status
from fieldstone.jobs.signals import job_ended, job_started, tracked
from fieldstone.jobs.tracking import tell_ended, tell_started, track, track_function
from tests.conftest import usage

pytestmark = pytest.mark.django_db(transaction=True)

PLACE = usage("a")
REQUEST = {"username": "staff", "ip": "192.0.2.7", "agent": "Browser 1", "host": "courses.example"}
TASK = Task(job_id=7, task_id="c0ffee", requested_by=1, request_info=REQUEST)


class Kept(logging.Handler):
    """A handler that keeps the lines, as a file would."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))

    @property
    def events(self):
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def lines():
    """The tracking log, turned on as a site turns it on."""
    log, kept = logging.getLogger("fieldstone.tracking"), Kept()
    log.addHandler(kept)
    log.setLevel(logging.INFO)
    yield kept
    log.removeHandler(kept)
    log.setLevel(logging.NOTSET)


@pytest.fixture
def heard():
    """What was sent by ``tracked``."""
    found = []

    def hear(sender, event_type, event, context, **more):
        found.append((event_type, event, context))

    tracked.connect(hear)
    yield found
    tracked.disconnect(hear)


@pytest.fixture
def ada(django_user_model):
    return django_user_model.objects.create_user("ada")


def job(**more):
    return Job.objects.create(kind="rescore", context="course-v1:A+B+C", created=timezone.now(), **more)


def test_a_line_has_the_request_the_task_and_the_learner(lines, ada):
    track(TASK, ada, "problem_rescore", {"answers": {"2_1": "choice_1"}}, PLACE)
    (line,) = lines.events
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "username": "staff",
        "event_type": "problem_rescore",
        "event_source": "task",
        "ip": "192.0.2.7",
        "agent": "Browser 1",
        "host": "courses.example",
        "page": "x_module_task",
        "task": {"job": 7, "task_id": "c0ffee", "student": "ada"},
        "context": {
            "course_id": str(PLACE.context_key),
            "user_id": ada.pk,
            "module": {"usage_key": str(PLACE)},
        },
        "event": {"answers": {"2_1": "choice_1"}, "student": "ada", "task_id": "c0ffee"},
    }


def test_without_a_request_or_a_queue_it_says_that_they_are_unknown(lines, ada):
    track_function(Task(), ada)("problem_rescore", "as text")
    (line,) = lines.events
    assert [line[name] for name in ("username", "ip", "agent", "host")] == ["unknown"] * 4
    assert line["task"] == {"job": None, "task_id": "unknown-task_id", "student": "ada"}
    assert (line["event"], line["context"]) == ("as text", {"course_id": "", "user_id": ada.pk})


def test_nothing_is_told_of_what_is_rolled_back_or_not_yet_committed(lines, heard, ada):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        track(TASK, ada, "lost", {})
        _ = 1 / 0
    with transaction.atomic():
        track(TASK, ada, "kept", {})
        assert not lines.lines
        assert not heard
    assert [line["event_type"] for line in lines.events] == ["kept"]
    assert [event_type for event_type, _, _ in heard] == ["kept"]


def test_an_event_is_told_as_it_was(lines, ada):
    event = {"attempts": 1}
    with transaction.atomic():
        track(TASK, ada, "problem_rescore", event)
        event["attempts"] = 2
    assert lines.events[0]["event"]["attempts"] == 1


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("no")


def circle():
    around = {}
    around["around"] = around
    return around


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)"),
        (float("nan"), "nan"),
        ({"inside": [{1}, "text", 2.5]}, {"inside": ["{1}", "text", 2.5]}),
        ({(1, 2): b"x"}, {"(1, 2)": "b'x'"}),
        (Unspeakable(), "<Unspeakable without a repr>"),
        (circle(), {"around": "{'around': {...}}"}),
        ("a\nb\ud800\0", "a\nb\ud800\0"),
    ],
    ids=["datetime", "nan", "set", "key", "no repr", "circle", "odd text"],
)
def test_what_json_cannot_hold_is_told_by_its_repr(lines, ada, value, said):
    track(TASK, ada, "odd", {"value": value, "beside": 1})
    (line,) = lines.events
    assert (line["event"]["value"], line["event"]["beside"]) == (said, 1)
    assert "\n" not in lines.lines[0]


@pytest.mark.parametrize("value", [deep(), 10**5000], ids=["deep", "long"])
def test_what_nobody_can_write_breaks_no_job(lines, ada, value):
    track(TASK, ada, "odd", {"value": value, "beside": 1})
    assert lines.events[0]["event"]["beside"] == 1


def test_what_learners_wrote_goes_to_no_other_log(lines, ada):
    everything, root = Kept(), logging.getLogger()
    logging.getLogger("fieldstone.tracking").propagate = True  # as logging leaves it when a parent is configured
    root.addHandler(everything)
    try:
        track(TASK, ada, "problem_rescore", {"answer": "a secret"})
    finally:
        root.removeHandler(everything)
    assert len(lines.lines) == 1
    assert not everything.lines


def test_a_listener_hears_the_event_also_where_no_lines_are_wanted(heard, ada, caplog):
    event = {"answer": datetime(2026, 1, 2, tzinfo=UTC)}
    track(TASK, ada, "problem_rescore", event, PLACE)
    ((event_type, got, context),) = heard
    assert (event_type, got) == ("problem_rescore", event)
    assert context["request"] == REQUEST
    assert context["task"] == {"job": 7, "task_id": "c0ffee", "student": "ada"}
    assert (context["user_id"], context["usage_key"]) == (ada.pk, str(PLACE))
    assert not caplog.records


def test_a_listener_that_raises_stops_nobody(lines, heard, ada, caplog):
    def fail(sender, **event):
        raise RuntimeError("a listener's own")

    tracked.connect(fail)
    try:
        track(TASK, ada, "problem_rescore", {})
    finally:
        tracked.disconnect(fail)
    assert len(lines.lines) == len(heard) == 1
    assert "a listener's own" in caplog.text


def test_a_job_is_told_of_when_it_begins_and_when_it_has_ended(lines):
    heard = []

    def hear_started(sender, job, **more):
        heard.append(("started", job.pk))

    def hear_ended(sender, job, **more):
        heard.append(("ended", job.pk))

    job_started.connect(hear_started)
    job_ended.connect(hear_ended)
    found = job(request_info=REQUEST, requested_by=1, reason="a wrong key", total=3, started=timezone.now())
    try:
        with transaction.atomic():
            tell_started(found)
            assert not heard
        with transaction.atomic():
            tell_ended(found)
            found.status, found.attempted, found.succeeded, found.failed = Status.FINISHED, 3, 2, 1
            found.ended = timezone.now()
    finally:
        job_started.disconnect(hear_started)
        job_ended.disconnect(hear_ended)
    assert heard == [("started", found.pk), ("ended", found.pk)]
    started, ended = lines.events
    assert (started["event_type"], ended["event_type"]) == ("fieldstone.job.started", "fieldstone.job.ended")
    assert (ended["username"], ended["task"]) == ("staff", {"job": found.pk})
    event = ended["event"]
    assert [event[name] for name in ("attempted", "succeeded", "skipped", "failed", "total")] == [3, 2, 0, 1, 3]
    assert (event["kind"], event["status"], event["reason"]) == ("rescore", "finished", "a wrong key")
    assert event["duration_ms"] >= 0

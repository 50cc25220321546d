"""The pages of jobs: who may see them, what they show, and what their buttons do."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from django.test import Client

from fieldstone.jobs import control, planning
from fieldstone.jobs.models import Job, Part, Status
from fieldstone.jobs.worker import Worker
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from fieldstone.testing import query_budget
from tests.browser.server import ROOT
from tests.conftest import COURSE
from tests.jobs.reports import PLACE, ended_job, fail
from tests.runtime.courses import COURSE_XML, course_files

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]


@pytest.fixture
def on_a_server(settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "LEARNER_SWITCHER": False}


@pytest.fixture
def staff(client, django_user_model, on_a_server):
    user = django_user_model.objects.create_user("grace", is_staff=True)
    client.force_login(user)
    return user


@pytest.fixture
def waiting():
    """A job over ten learners that nobody is at."""
    Store().save_many(LearnerSave.of(n, {PLACE: {"attempts": n % 5}}) for n in range(1, 11))
    return planning.start("reset-attempts", COURSE, [PLACE])


def addresses(job):
    gets = ["", "live/", *(f"{job.pk}/{rest}" for rest in ("", "live/", "report.json", "report.html"))]
    posts = [f"{job.pk}/{action}/" for action in ("pause", "resume", "cancel", "retry", "undo")]
    return [("get", f"/jobs/{rest}") for rest in gets] + [("post", f"/jobs/{rest}") for rest in posts]


def text_of(response):
    content = response.streaming_content if response.streaming else [response.content]
    return b"".join(content).decode()


# Who may


@pytest.mark.parametrize("who", ["visitor", "learner"])
def test_nobody_but_staff_is_let_in(client, ada, waiting, who, on_a_server):
    if who == "learner":
        client.force_login(ada)
    for method, address in addresses(waiting):
        response = getattr(client, method)(address)
        assert response.status_code == 403, address
        assert "Jobs are for staff" in text_of(response)
    waiting.refresh_from_db()
    assert (waiting.status, Job.objects.count()) == (Status.WAITING, 1)
    assert 'href="/jobs/"' not in text_of(client.get("/"))


def test_staff_find_the_jobs_in_the_header(client, staff, waiting):
    assert 'href="/jobs/"' in text_of(client.get("/"))
    for method, address in addresses(waiting):
        if method == "get":
            assert client.get(address).status_code == 200, address


def test_where_anybody_may_be_any_learner_a_learner_may_see_jobs_too(client, ada, waiting):
    assert client.get("/jobs/").status_code == 403
    client.force_login(ada)
    assert client.get("/jobs/").status_code == 200


def test_buttons_need_a_token_and_a_post(django_user_model, staff, waiting):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff)
    assert strict.post(f"/jobs/{waiting.pk}/cancel/").status_code == 403
    assert strict.get(f"/jobs/{waiting.pk}/cancel/").status_code == 405
    waiting.refresh_from_db()
    assert waiting.status == Status.WAITING


@pytest.mark.parametrize(
    "address", ["/jobs/99/", "/jobs/99/live/", "/jobs/99/report.json", f"/jobs/{10**30}/", "/jobs/x/"]
)
def test_what_there_is_not_is_not_found(client, staff, address):
    assert client.get(address).status_code == 404


def test_there_are_some_reports_and_some_buttons_and_no_others(client, staff, waiting):
    assert client.get(f"/jobs/{waiting.pk}/report.exe").status_code == 404
    assert client.post(f"/jobs/{waiting.pk}/explode/").status_code == 404
    assert client.post("/jobs/99/cancel/").status_code == 404


WITHOUT_JOBS = """
import sys, django
from django.conf import settings
from project import settings as example
names = [name for name in dir(example) if name.isupper()]
given = {name: getattr(example, name) for name in names}
given["INSTALLED_APPS"] = [app for app in given["INSTALLED_APPS"] if app != "fieldstone.jobs"]
given["ALLOWED_HOSTS"] = ["testserver"]
given["DATABASES"] = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
settings.configure(**given)
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
for app in ("auth", "sessions", "fieldstone_store"):
    call_command("migrate", app, verbosity=0)
client = Client()
client.force_login(get_user_model().objects.create_user("grace", is_staff=True))
page = client.get("/")
print(page.status_code, b'href="/jobs/"' in page.content, client.get("/jobs/").status_code)
print([name for name in sys.modules if name.startswith("fieldstone.jobs")])
"""


def test_a_site_without_jobs_has_no_pages_of_them():
    """In a process of its own: which applications there are is settled when Django begins."""
    path = os.pathsep.join([str(ROOT / "example"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_JOBS], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["200 False 404", "[]"], done.stderr


# All of them


def test_where_there_are_none_it_says_how_to_start_one(client, staff):
    page = text_of(client.get("/jobs/"))
    assert "There are no jobs" in page
    assert "manage.py fieldstone_job start reset-attempts --course course-v1:" in page
    assert "hx-get" not in page


def test_the_list_shows_what_each_waits_for_and_asks_again_while_one_has_not_ended(client, staff, waiting):
    done = ended_job(request_info={"username": "bob"}, failed=1234)
    page = text_of(client.get("/jobs/"))
    assert f"<code>manage.py fieldstone_job work {waiting.pk}</code>" in page
    assert 'hx-get="/jobs/live/"' in page
    assert "1,234 failed" in page
    assert "bob" in page
    assert page.index(f"/jobs/{waiting.pk}/") < page.index(f"/jobs/{done.pk}/"), "those that go on come first"
    control.cancel(waiting.pk)
    part = text_of(client.get("/jobs/live/"))
    assert "hx-get" not in part
    assert "<html" not in part


def test_ended_jobs_have_pages(client, staff):
    jobs = [ended_job() for _ in range(53)]
    first = client.get("/jobs/").context["board"]
    assert [shown.job.pk for shown in first.ended] == [job.pk for job in reversed(jobs[3:])]
    second = client.get("/jobs/", {"before": first.next_before}).context["board"]
    assert [shown.job.pk for shown in second.ended] == [job.pk for job in reversed(jobs[:3])]
    assert second.next_before is None
    assert client.get("/jobs/", {"before": "x"}).status_code == 200


def test_many_ended_jobs_cost_what_one_costs(client, staff):
    for _ in range(20):
        ended_job(requested_by=staff.pk)
    with query_budget(5):  # the session and who it is, unfinished and ended jobs, and names
        client.get("/jobs/")


# One of them


def test_a_jobs_page_has_its_report(client, staff):
    job = ended_job(reason="a new term", message="Something to know.")
    fail(job, [staff.pk], "no such choice")
    page = text_of(client.get(f"/jobs/{job.pk}/"))
    for words in ("a new term", "Something to know.", "2.0 s", "5 states a second", "no such choice", "grace"):
        assert words in page
    assert "100 % attempted: 6 succeeded, 3 skipped, 1 failed" in page
    assert "hx-get" not in page
    for name in ("json", "html"):
        assert f'href="/jobs/{job.pk}/report.{name}"' in page


def test_what_others_wrote_is_escaped(client, staff):
    evil = "<script>alert(1)</script>"
    job = ended_job(reason=evil, message=evil, request_info={"username": evil}, selection={evil: evil})
    fail(job, [7], evil)
    for address in ("/jobs/", f"/jobs/{job.pk}/"):
        assert evil not in text_of(client.get(address))


def test_failures_have_pages_and_the_file_has_all(client, staff):
    job = ended_job(failed=250)
    fail(job, range(1, 251))
    seen, address = [], f"/jobs/{job.pk}/"
    while True:
        failures = client.get(address).context["failures"]
        seen += [failure.learner for failure in failures.notes]
        if failures.next_after is None:
            break
        assert len(failures.notes) == 100
        address = f"/jobs/{job.pk}/?after={failures.next_after}"
    assert seen == list(range(1, 251))
    response = client.get(f"/jobs/{job.pk}/report.json")
    assert response["Content-Disposition"] == f'attachment; filename="job-{job.pk}.json"'
    assert len(json.loads(text_of(response))["failures"]) == 250
    assert text_of(client.get(f"/jobs/{job.pk}/report.html")).count("it would not") == 250


def test_a_dry_runs_page_says_what_would_change(client, staff, waiting):
    control.cancel(waiting.pk)
    job = Worker().run(planning.start("reset-attempts", COURSE, [PLACE], is_dry_run=True).pk)
    page = text_of(client.get(f"/jobs/{job.pk}/"))
    assert "What would change" in page
    assert "attempts: 4 to 0" in page
    assert "Undo" not in page


def test_the_moving_part_brings_new_failures_and_calls_for_the_whole_page_at_the_end(client, staff, waiting):
    address = f"/jobs/{waiting.pk}/live/"
    now = {"status": "waiting", "failed": 0}
    assert "failures" not in text_of(client.get(address, now))
    Part.objects.filter(job=waiting).update(attempted=3, failed=1, succeeded=2)
    fail(waiting, [7], "no such choice")
    part = text_of(client.get(address, now))
    assert "3 of 10 states attempted" in part
    assert 'id="failures"' in part
    assert 'hx-swap-oob="true"' in part
    assert "failed=1" in part, "what it asks for next time"
    assert "no such choice" not in text_of(client.get(address, {**now, "failed": 1}))
    control.pause(waiting.pk)
    assert client.get(address, now)["HX-Refresh"] == "true"


# What buttons do


def press(client, job, action):
    return client.post(f"/jobs/{job.pk}/{action}/", follow=True)


def buttons(client, job):
    return list(client.get(f"/jobs/{job.pk}/").context["buttons"])


def test_a_job_is_paused_resumed_and_cancelled(client, staff, waiting):
    assert buttons(client, waiting) == ["pause", "cancel"]
    assert "is paused" in text_of(press(client, waiting, "pause"))
    assert buttons(client, waiting) == ["resume", "cancel"]
    assert "may go on" in text_of(press(client, waiting, "resume"))
    assert "is cancelled" in text_of(press(client, waiting, "cancel"))
    waiting.refresh_from_db()
    assert waiting.status == Status.CANCELLED
    assert buttons(client, waiting) == []


def test_what_cannot_be_done_is_said_and_nothing_happens(client, staff, waiting):
    control.cancel(waiting.pk)
    assert "cannot be" in text_of(press(client, waiting, "pause"))
    assert "has no failures" in text_of(press(client, waiting, "retry"))
    assert "nothing to undo" in text_of(press(client, waiting, "undo"))
    assert Job.objects.count() == 1


def test_failures_are_tried_again_by_who_pressed(client, staff, waiting):
    done = Worker().run(waiting.pk)
    fail(done, [4])
    Job.objects.filter(pk=done.pk).update(failed=1)
    assert buttons(client, done) == ["retry", "undo"]
    response = press(client, done, "retry")
    again = Job.objects.latest("pk")
    assert response.redirect_chain[-1][0] == f"/jobs/{again.pk}/"
    assert (again.of_id, again.whose, again.requested_by) == (done.pk, [4], staff.pk)
    assert again.request_info == {"username": "grace", "ip": "127.0.0.1", "agent": "", "host": "testserver"}
    assert f"tries the failures of job {done.pk} again" in text_of(response)


def test_a_job_is_undone_and_both_pages_name_the_other(client, staff, waiting):
    done = Worker().run(waiting.pk)
    response = press(client, done, "undo")
    undone = Job.objects.latest("pk")
    assert (undone.kind, undone.requested_by) == ("undo", staff.pk)
    assert f'href="/jobs/{done.pk}/"' in text_of(response)
    assert f'href="/jobs/{undone.pk}/"' in text_of(client.get(f"/jobs/{done.pk}/"))
    Worker().run(undone.pk)
    assert Store().read(4, [PLACE])[PLACE].fields["attempts"] == 4


def test_what_has_changed_nothing_has_nothing_to_undo(client, staff):
    assert buttons(client, ended_job(kind="verify", failed=0)) == []
    assert buttons(client, ended_job(kind="export-state", failed=0)) == []
    assert buttons(client, ended_job(kind="of another version")) == []


def test_jobs_are_there_where_the_course_cannot_be_read(client, staff, waiting, settings, tmp_path):
    broken = course_files(tmp_path, {"course.xml": COURSE_XML.format("<chapter")})
    settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE": broken}
    assert client.get("/jobs/").status_code == 200
    assert client.get(f"/jobs/{waiting.pk}/").status_code == 200

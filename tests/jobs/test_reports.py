"""A job's report: what it says, as a value, as files, and on the terminal."""

from __future__ import annotations

import json
import logging
import tracemalloc
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from fieldstone.jobs import control, planning
from fieldstone.jobs.models import Status
from fieldstone.jobs.report import Report
from fieldstone.jobs.report_files import as_html, as_json, write_report
from fieldstone.jobs.worker import Worker
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from fieldstone.testing import query_budget
from tests.conftest import COURSE
from tests.jobs.reports import PLACE, ended_job, fail

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]


@pytest.fixture
def states():
    Store().save_many(LearnerSave.of(n, {PLACE: {"attempts": n % 5}}) for n in range(1, 11))


def started(**options):
    return planning.start("reset-attempts", COURSE, [PLACE], **options)


def of(job):
    return json.loads("".join(as_json(Report.of(job))))


def page(job):
    return "".join(as_html(Report.of(job)))


def test_a_report_counts_as_open_edx_does(states):
    report = Report.of(Worker().run(started(reason="a new term").pk))
    assert (report.attempted, report.succeeded, report.skipped, report.failed, report.total) == (10, 8, 2, 0, 10)
    assert (report.action_name, report.job.status) == ("reset", Status.FINISHED)
    assert report.duration_ms >= 0
    assert ("Why", "a new term") in report.words()


def test_how_long_and_how_fast():
    report = Report.of(ended_job())
    assert (report.duration_ms, report.states_per_second) == (2000, 5.0)
    assert {("Took", "2.0 s"), ("Speed", "5 states a second")} <= set(report.words())


def test_a_job_that_nobody_has_begun_took_no_time(states):
    report = Report.of(started())
    assert (report.duration_ms, report.states_per_second, report.done_percent) == (0, None, 0)
    assert {"Took", "Speed", "Begun"}.isdisjoint(name for name, _ in report.words())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(9.5, "9.5 s"), (59, "59 s"), (61, "1 min 1 s"), (7322, "2 h 2 min"), (180000, "2 d 2 h")],
)
def test_a_duration_is_told_in_two_units(seconds, said):
    job = ended_job()
    job.started = job.ended - (job.ended - job.started) / 2 * seconds
    assert dict(Report.of(job).words())["Took"] == said


def test_a_running_jobs_counts_are_those_of_its_parts(states):
    job = started()
    job.parts.update(attempted=4, succeeded=3, failed=1)
    report = Report.of(job)
    assert (report.attempted, report.succeeded, report.failed, report.done_percent) == (4, 3, 1, 40)


def test_the_bar_is_of_all_that_there_is_to_do():
    cancelled = Report.of(ended_job(status=Status.CANCELLED, total=20))
    assert [(share.name, share.start, share.width) for share in cancelled.shares] == [
        ("succeeded", "0.000", "30.000"),
        ("skipped", "30.000", "15.000"),
        ("failed", "45.000", "5.000"),
    ]


def test_who_asked_is_told_by_name(django_user_model):
    staff = django_user_model.objects.create_user("staff")
    by_account, by_request = ended_job(requested_by=staff.pk), ended_job(request_info={"username": "then"})
    gone = ended_job(requested_by=999)
    assert [report.asked_by for report in Report.of_many([by_account, by_request, gone])] == ["staff", "then", ""]
    assert ("Asked by", "account 999") in Report.of(gone).words()


def test_reports_of_many_jobs_look_for_names_once(django_user_model):
    staff = django_user_model.objects.create_user("staff")
    jobs = [ended_job(requested_by=staff.pk) for _ in range(5)]
    with query_budget(1):
        Report.of_many(jobs)


def test_failures_are_told_with_names_and_reasons_from_where_one_left_off(django_user_model):
    ada = django_user_model.objects.create_user("ada")
    job = ended_job()
    fail(job, [ada.pk], "no such choice")
    fail(job, [999], "no account")
    first, second = Report.of(job).failures()
    assert first[1:] == (ada.pk, "ada", str(PLACE), "no such choice")
    assert second[1:] == (999, "", str(PLACE), "no account")
    assert list(Report.of(job).failures(after=first.number)) == [second]


def test_failures_are_read_in_batches():
    job = ended_job()
    fail(job, range(1, 1201))
    with query_budget(7):  # three batches with their names, and the end
        assert [failure.learner for failure in Report.of(job).failures()] == list(range(1, 1201))


def test_a_job_and_what_came_of_it_name_each_other(states):
    first = Worker().run(started().pk)
    undone = control.undo(first.pk)
    assert [tuple(relation) for relation in Report.of(first).relations] == [("taken back by", undone.pk)]
    assert [tuple(relation) for relation in Report.of(undone).relations] == [("takes back", first.pk)]
    assert of(first)["followers"] == [{"job": undone.pk, "kind": "undo"}]
    assert of(undone)["of"] == first.pk
    assert Report.of(undone).over == f"what was done by job {first.pk}"


def test_the_json_has_all_of_it():
    job = ended_job(request_info={"username": "staff"}, selection={"block": str(PLACE)}, result={"file": "/x/y"})
    fail(job, range(1, 4), 'a "quoted"\nreason')
    report = of(job)
    assert report["job"] == job.pk
    counted = [report[name] for name in ("attempted", "succeeded", "skipped", "failed", "total")]
    assert counted == [10, 6, 3, 1, 10]
    assert (report["action_name"], report["duration_ms"], report["states_per_second"]) == ("reset", 2000, 5.0)
    assert (report["asked_by"], report["selection"]) == ("staff", {"block": str(PLACE)})
    assert (report["result"], report["context"]) == ({"file": "/x/y"}, str(COURSE))
    assert [failure["learner"] for failure in report["failures"]] == [1, 2, 3]
    assert report["failures"][0] == {
        "learner": 1, "username": "", "usage_key": str(PLACE), "reason": 'a "quoted"\nreason'
    }  # fmt: skip
    assert "would" not in report


def test_the_json_of_a_dry_run_says_what_would_change(states):
    job = Worker().run(started(is_dry_run=True).pk)
    report = of(job)
    assert report["failures"] == []
    assert {entry["learner"]: entry["would"] for entry in report["would"]}[4] == "attempts: 4 to 0"
    assert "What would change" in page(job)
    assert "would be reset" in page(job)


def test_the_page_needs_nothing_beside_itself():
    job = ended_job(request_info={"username": "staff"}, failed=1)
    fail(job, [7], "no such choice")
    text = page(job)
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    assert 'aria-label="6 succeeded, 3 skipped, 1 failed, of 10"' in text
    assert "no such choice" in text
    for outside in ("http:", "https:", "<script", "<link", "src=", "url(", "@import"):
        assert outside not in text


def test_what_others_wrote_is_escaped_on_the_page(django_user_model):
    evil = "<script>alert(1)</script>"
    account = django_user_model.objects.create_user("eve")
    django_user_model.objects.filter(pk=account.pk).update(username=evil)
    job = ended_job(
        reason=evil, request_info={"username": evil}, message=evil, selection={evil: evil}, result={"file": evil}
    )
    fail(job, [account.pk], evil)
    assert "<script" not in page(job)
    assert page(job).count("&lt;script&gt;alert(1)") >= 6


def test_the_page_is_the_same_in_a_language_that_writes_numbers_otherwise():
    job = ended_job(total=16)
    english = page(job)
    with translation.override("de"):
        assert page(job) == english


@pytest.fixture
def folder(settings, tmp_path):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "JOBS_FOLDER": tmp_path / "jobs"}
    return tmp_path / "jobs"


def test_both_files_are_written_into_the_jobs_folder(folder):
    job = ended_job()
    fail(job, [7])
    write_report(job)
    write_report(job)  # again: it replaces them
    mine = folder / f"job-{job.pk}"
    assert sorted(path.name for path in mine.iterdir()) == ["report.html", "report.json"]
    assert json.loads((mine / "report.json").read_text())["failures"][0]["learner"] == 7
    assert (mine / "report.html").read_text() == page(job)
    assert mine.stat().st_mode & 0o077 == 0, "learners' names are for nobody else"


def test_a_report_that_cannot_be_written_is_logged_with_its_path(folder, caplog):
    folder.write_text("a file, where a folder should be")
    job = ended_job()
    write_report(job)
    (record,) = caplog.records
    assert (record.levelno, str(folder / f"job-{job.pk}") in record.getMessage()) == (logging.ERROR, True)


def test_many_failures_take_no_more_memory_than_a_few(folder):
    job = ended_job(failed=5000)
    fail(job, range(1, 11))
    write_report(job)  # templates are read, and so on
    fail(job, range(11, 5001), "so long a reason " * 120)  # 10 MiB of them
    tracemalloc.start()
    try:
        write_report(job)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * 1024 * 1024
    with (folder / f"job-{job.pk}" / "report.html").open() as lines:
        assert sum(line.startswith("<tr><td>") for line in lines) == 5000


# The command


def said(*arguments):
    out = StringIO()
    call_command("fieldstone_job", "report", *map(str, arguments), stdout=out)
    return out.getvalue()


class Terminal(StringIO):
    def isatty(self):
        return True


def test_the_command_prints_it():
    job = ended_job(request_info={"username": "staff"}, failed=150)
    fail(job, range(1, 151), "no such\nchoice")
    text = said(job.pk)
    assert text.startswith(f"job {job.pk}, reset-attempts, finished\n")
    assert "Succeeded  6\n" in text
    assert "Asked by   staff\n" in text
    assert text.count("no such choice\n") == 100
    assert "and 50 more" in text


def test_the_command_draws_a_table_on_a_terminal():
    job = ended_job()
    fail(job, [7], "[bold]no[/bold]")
    out = Terminal()
    call_command("fieldstone_job", "report", str(job.pk), stdout=out)
    assert "[bold]no[/bold]" in out.getvalue()


def test_the_command_writes_files(tmp_path):
    job = ended_job()
    found = {name: tmp_path / f"report.{name}" for name in ("html", "json")}
    text = said(job.pk, "--html", found["html"], "--json", found["json"])
    assert text.splitlines() == [str(found["json"]), str(found["html"])]
    assert json.loads(found["json"].read_text())["job"] == job.pk
    assert found["html"].read_text() == page(job)


def test_the_command_says_what_is_wrong(tmp_path):
    with pytest.raises(CommandError, match="There is no job 99") as caught:
        said(99)
    assert caught.value.returncode == 2
    job = ended_job()
    with pytest.raises(CommandError, match="cannot be written") as caught:
        said(job.pk, "--json", tmp_path / "missing" / "report.json")
    assert caught.value.returncode == 2

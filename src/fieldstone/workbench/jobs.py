"""The pages of jobs: each view is gate, form, service, template."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRefresh

from fieldstone.jobs.errors import JobRefusedError, NoSuchJobError
from fieldstone.jobs.report_files import FORMATS
from fieldstone.workbench import job_pages
from fieldstone.workbench.forms import BoardForm, JobForm
from fieldstone.workbench.gates import jobs_only
from fieldstone.workbench.job_pages import Board, Notes, Shown
from fieldstone.workbench.shell import render_page

TYPES = {"json": "application/json", "html": "text/html; charset=utf-8"}
SAID = {
    "pause": "Job {0} is paused: its workers stop.",
    "resume": "Job {0} may go on.",
    "cancel": "Job {0} is cancelled. What it had done stays.",
    "retry": "Job {0} tries the failures of job {1} again, once a worker is at it.",
    "undo": "Job {0} takes back what job {1} did, once a worker is at it.",
}


@jobs_only
@require_GET
def board(request: HttpRequest) -> HttpResponse:
    return render_page(request, "jobs.html", {"board": _board(request)})


@jobs_only
@require_GET
def board_live(request: HttpRequest) -> HttpResponse:
    """The part of the page of all jobs that moves."""
    return render(request, "workbench/_jobs.html", {"board": _board(request)})


def _board(request: HttpRequest) -> Board:
    form = BoardForm(request.GET)
    return job_pages.board(form.cleaned_data["before"] if form.is_valid() else None)


@jobs_only
@require_GET
def job(request: HttpRequest, number: int) -> HttpResponse:
    shown, form = _shown(number), JobForm.of(request.GET)
    report = shown.report
    context = {
        "shown": shown,
        "buttons": job_pages.buttons(report),
        "failures": Notes.of(report.failures, form["after"]),
        "would": Notes.of(report.would, form["would_after"]) if report.job.is_dry_run else None,
        "formats": list(FORMATS),
    }
    return render_page(request, "job.html", context)


@jobs_only
@require_GET
def live(request: HttpRequest, number: int) -> HttpResponse:
    """The part of a job's page that moves; with its failures, where there are more of them than the page has."""
    shown, form = _shown(number), JobForm.of(request.GET)
    if form["status"] != shown.job.status:  # it has other buttons now
        return HttpResponseClientRefresh()
    failures = Notes.of(shown.report.failures, form["after"])
    is_more = form["failed"] != shown.report.failed
    context = {"shown": shown, "failures": failures, "is_again": True, "is_more": is_more}
    return render(request, "workbench/_job_live.html", context)


@jobs_only
@require_GET
def report_file(request: HttpRequest, number: int, name: str) -> HttpResponseBase:
    """The report with all of its failures, as it is now."""
    if name not in FORMATS:
        raise Http404(f"A report is {' or '.join(FORMATS)}.")
    response = StreamingHttpResponse(FORMATS[name](_shown(number).report), content_type=TYPES[name])
    response["Content-Disposition"] = f'attachment; filename="job-{number}.{name}"'
    return response


@jobs_only
@require_POST
def act(request: HttpRequest, number: int, action: str) -> HttpResponse:
    if action not in job_pages.ACTIONS:
        raise Http404(f"There is {', '.join(job_pages.ACTIONS)}.")
    try:
        found = job_pages.act(request, number, action)
    except NoSuchJobError as error:
        raise Http404(str(error)) from error
    except JobRefusedError as error:
        messages.error(request, str(error))
        return redirect("workbench:job", number)
    messages.success(request, SAID[action].format(found.pk, number))
    return redirect("workbench:job", found.pk)


def _shown(number: int) -> Shown:
    try:
        return job_pages.shown(number)
    except NoSuchJobError as error:
        raise Http404(str(error)) from error

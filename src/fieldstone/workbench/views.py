"""The pages: each view is gate, form, service, template."""

from __future__ import annotations

import mimetypes
from functools import partial
from http import HTTPStatus
from pathlib import Path

from django.contrib import messages
from django.core.exceptions import SuspiciousFileOperation
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils._os import safe_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from fieldstone.errors import NoSuchBlockError
from fieldstone.runtime.handlers import handle, key_in
from fieldstone.runtime.resources import DisallowedFileError, open_resource
from fieldstone.runtime.runtime import VIEWS
from fieldstone.runtime.structure import BlockUnavailableError
from fieldstone.runtime.wiring import Mode, Viewer
from fieldstone.runtime.wiring.errors import StateClaimedError
from fieldstone.runtime.wiring.viewers import ANONYMOUS, begin_visit, end_visit
from fieldstone.workbench import learners as learner_service
from fieldstone.workbench import pages, signatures, stored
from fieldstone.workbench.courses import current_course, unit_with
from fieldstone.workbench.courses import outline as course_outline
from fieldstone.workbench.forms import NewLearnerForm, SwitchForm
from fieldstone.workbench.gates import authors_only, limited_in_length, may_preview, switcher_only, viewer_of
from fieldstone.workbench.security import block_content, block_page
from fieldstone.workbench.shell import render_page


@require_GET
def outline(request: HttpRequest) -> HttpResponse:
    course = current_course()
    chapters = course_outline(course, request.user)
    return render_page(request, "outline.html", {"chapters": chapters, "problems": course.problems})


@require_GET
@block_page
def unit(request: HttpRequest, usage_key: str) -> HttpResponse:
    course = current_course()
    try:
        found = unit_with(course, usage_key)
    except NoSuchBlockError as error:
        raise Http404(str(error)) from error
    if not request.user.is_authenticated:
        begin_visit(request.session)
    try:
        page = pages.unit_page(course, found, viewer_of(request), _base_url(request))
    except StateClaimedError:  # the session is an old copy, of a visitor who has become a learner
        end_visit(request.session)
        return redirect(request.path)
    return render_page(request, "unit.html", {**vars(page), "may_preview": may_preview(request)})


@authors_only
@require_GET
@block_page
def block(request: HttpRequest, usage_key: str, view_name: str) -> HttpResponse:
    """One block in one of its views, in the author's preview."""
    course = current_course()
    if view_name not in VIEWS:
        raise Http404(f"The views are {', '.join(VIEWS)}.")
    try:
        found, around = course.block(usage_key), unit_with(course, usage_key)
    except NoSuchBlockError as error:
        raise Http404(str(error)) from error
    viewer = viewer_of(request, Mode.PREVIEW)
    page = pages.block_page(course, found, around, viewer, view_name, _base_url(request))
    return render_page(request, "block.html", vars(page))


@switcher_only
@require_GET
def learners(request: HttpRequest) -> HttpResponse:
    return _learners_page(request, NewLearnerForm(), request.GET.get("next", ""))


@switcher_only
@require_POST
def learner_create(request: HttpRequest) -> HttpResponse:
    form = NewLearnerForm(request.POST)
    if form.is_valid():
        try:
            learner_service.create(request, form.cleaned_data["name"])
            return redirect(_next(request))
        except learner_service.NameTakenError:
            form.add_error("name", "There is an account of this name already; choose it above or take another.")
    return _learners_page(request, form, request.POST.get("next", ""), HTTPStatus.BAD_REQUEST)


@switcher_only
@require_POST
def learner_switch(request: HttpRequest) -> HttpResponse:
    form = SwitchForm(request.POST)
    if not form.is_valid() or not learner_service.switch(request, form.cleaned_data["learner"]):
        messages.error(request, "There is no such learner.")
        return redirect("workbench:learners")
    return redirect(_next(request))


def _learners_page(request: HttpRequest, form: NewLearnerForm, next_url: str, status: int = 200) -> HttpResponse:
    found = learner_service.all_learners(request)
    return render_page(request, "learners.html", {"learners": found, "form": form, "next": next_url}, status)


def _next(request: HttpRequest) -> str:
    url = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return url if safe else reverse("workbench:outline")


@limited_in_length
@block_content
def handler(request: HttpRequest, usage_key: str, name: str, suffix: str = "") -> HttpResponseBase:
    """A block's handler, for the session's learner or visitor, with a CSRF token."""
    return _handled(request, viewer_of(request), usage_key, name, suffix)


@limited_in_length
@authors_only
@block_content
def preview_handler(request: HttpRequest, usage_key: str, name: str, suffix: str = "") -> HttpResponseBase:
    """The same in the author's preview."""
    return _handled(request, viewer_of(request, Mode.PREVIEW), usage_key, name, suffix)


@csrf_exempt  # it takes no notice of a session; who asks is for the block to check
@block_content
def signed_handler(
    request: HttpRequest, signature: str, usage_key: str, name: str, suffix: str = ""
) -> HttpResponseBase:
    """A handler that others call, such as an LTI tool with a score: for nobody, until the block says for whom."""
    if not signatures.is_signed(signature, usage_key):
        return JsonResponse({"error": "This address was not given out by this site."}, status=403)
    return _handled(request, Viewer(ANONYMOUS), usage_key, name, suffix)


def _handled(request: HttpRequest, viewer: Viewer, usage_key: str, name: str, suffix: str) -> HttpResponseBase:
    course = current_course()
    try:
        key = key_in(course, usage_key)
    except NoSuchBlockError as error:
        return JsonResponse({"error": str(error)}, status=404)
    origin = f"handler:{name}/{suffix}" if suffix else f"handler:{name}"
    return handle(
        partial(pages.runtime_for, course, viewer, origin, _base_url(request)), key, name, suffix, request
    )


def _base_url(request: HttpRequest) -> str:
    return f"{request.scheme}://{request.get_host()}"


@require_GET
def state(request: HttpRequest, usage_key: str) -> HttpResponse:
    """What is stored of the session's learner or visitor at a block."""
    course = current_course()
    try:
        key = course.block(usage_key).usage_key
    except NoSuchBlockError as error:
        raise Http404(str(error)) from error
    runtime = pages.runtime_for(course, viewer_of(request), origin="")
    return render(request, "workbench/state.html", stored.stored_at(runtime, key))


@require_GET
@block_content
def resource(request: HttpRequest, block_type: str, uri: str) -> HttpResponseBase:
    """A public file of a block's package."""
    try:
        opened = open_resource(block_type, uri)
    except (FileNotFoundError, BlockUnavailableError, DisallowedFileError) as error:
        raise Http404(f"The block {block_type} publishes no file {uri}.") from error
    return FileResponse(opened, content_type=mimetypes.guess_type(uri)[0] or "application/octet-stream")


@require_GET
@block_content
def asset(request: HttpRequest, name: str) -> HttpResponseBase:
    """A file of the course's static folder."""
    try:
        folder = current_course().folder / "static"
        path = Path(safe_join(str(folder), name)).resolve()
        if not path.is_relative_to(folder.resolve()):  # a symbolic link: a course is somebody's upload
            raise SuspiciousFileOperation(name)
        return FileResponse(path.open("rb"))
    except (OSError, SuspiciousFileOperation, ValueError) as error:
        raise Http404(f"The course has no file {name}.") from error


def _error_page(request: HttpRequest, status: HTTPStatus, message: str) -> HttpResponse:
    context = {"status": int(status), "title": status.phrase, "message": message}
    return render_page(request, "error.html", context, status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(request, HTTPStatus.NOT_FOUND, "There is nothing at this address.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(request, HTTPStatus.FORBIDDEN, str(exception) or "You may not do this.")


def server_error(request: HttpRequest) -> HttpResponse:
    return _error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, "Something failed; the log says what.")

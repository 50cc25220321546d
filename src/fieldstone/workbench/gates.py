"""Who may do what in the workbench."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.apps import apps
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from fieldstone import conf
from fieldstone.runtime.uploads import check_length
from fieldstone.runtime.wiring import Mode, Viewer


def switcher_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Only where the site lets anybody be any learner, which is right on one's own machine alone."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not conf.learner_switcher():
            raise PermissionDenied(
                'The learner switcher is off: it is on with DEBUG, or FIELDSTONE = {"LEARNER_SWITCHER": True}.'
            )
        return view(request, *args, **kwargs)

    return wrapper


def authors_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Only for staff, and on one's own machine for any learner: an author's preview shows answers."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_preview(request):
            raise PermissionDenied(
                "Previews are for authors: sign in as staff, or choose a learner with DEBUG on."
            )
        return view(request, *args, **kwargs)

    return wrapper


def jobs_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Only for those who may see what jobs do to everybody's state, where there are jobs at all."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_see_jobs(request):
            raise PermissionDenied("Jobs are for staff: sign in as staff, or choose a learner with DEBUG on.")
        return view(request, *args, **kwargs)

    return wrapper


def may_see_jobs(request: HttpRequest) -> bool:
    """Whether there are jobs, and the author's views are open to who asks."""
    return apps.is_installed("fieldstone.jobs") and may_preview(request)


def may_preview(request: HttpRequest) -> bool:
    """Whether the author's views are open to who asks."""
    user = request.user
    return user.is_authenticated and (user.is_staff or conf.learner_switcher())


def limited_in_length(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Refuse what is too long before it is read for its CSRF token, as Django's middleware would."""
    protected = csrf_protect(view)

    @csrf_exempt  # from the middleware; `protected` does the same later
    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            check_length(request)
            return protected(request, *args, **kwargs)
        except RequestDataTooBig as error:
            return JsonResponse({"error": str(error)}, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    return wrapper


def viewer_of(request: HttpRequest, mode: Mode = Mode.PERSISTED) -> Viewer:
    """Who asks: a learner, or a visitor by the session."""
    return Viewer(request.user, request.session, mode)

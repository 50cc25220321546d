"""Who may do what in the workbench."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from fieldstone import conf


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

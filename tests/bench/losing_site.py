"""Settings of a site that loses what it acknowledges, now and then: the load run has to notice."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase

from bench.learners.settings import *  # noqa: F403
from bench.learners.settings import MIDDLEWARE as HONEST_MIDDLEWARE

MIDDLEWARE = [*HONEST_MIDDLEWARE, "tests.bench.losing_site.lose_some"]
EVERY = 5
_answers = count(1)


def lose_some(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Any:
    """Middleware: every fifth answer to a problem is saved, acknowledged and rolled back."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path.endswith("problem_check") or next(_answers) % EVERY:
            return get_response(request)
        with transaction.atomic():
            response = get_response(request)
            transaction.set_rollback(True)
        return response

    return middleware

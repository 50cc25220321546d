"""How many statements the server asks of its database for each request, told in a header of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponseBase

HEADER = "X-Queries"


def count_queries(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Any:
    """Middleware. BEGIN and COMMIT of the driver's own are not statements of Django's and not counted."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        count = 0

        def counted(execute: Any, *arguments: Any) -> Any:
            nonlocal count
            count += 1
            return execute(*arguments)

        with connection.execute_wrapper(counted):
            response = get_response(request)
        response[HEADER] = str(count)
        return response

    return middleware

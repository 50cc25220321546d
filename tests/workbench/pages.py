"""Reading the workbench's pages in tests."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from tests.runtime.courses import answer


def unit_url(usage_key: Any) -> str:
    return f"/unit/{usage_key}/"


def handler_url(usage_key: Any, name: str, suffix: str = "") -> str:
    return f"/xblock/{usage_key}/handler/{name}" + (f"/{suffix}" if suffix else "")


def state_url(usage_key: Any) -> str:
    return f"/xblock/{usage_key}/state/"


def send(client: Client, usage_key: Any, name: str, body: Any, **more: Any) -> HttpResponse:
    """A handler called with JSON, as blocks' scripts call it."""
    text = body if isinstance(body, str) else json.dumps(body)
    return client.post(handler_url(usage_key, name), text, content_type="application/json", **more)


def send_answer(client: Client, usage_key: Any, choice: str) -> HttpResponse:
    """A problem answered, as its script does it."""
    return client.post(
        handler_url(usage_key, "xmodule_handler", "problem_check"),
        answer(usage_key, choice),
        content_type="application/x-www-form-urlencoded",
    )


def policy_of(response: HttpResponse) -> dict[str, list[str]]:
    """The Content-Security-Policy: sources by directive."""
    directives = (directive.split() for directive in response["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in directives}


def file_of(response: HttpResponse) -> bytes:
    """What a response sends that streams a file; closes it."""
    content = b"".join(response.streaming_content)
    response.close()
    return content

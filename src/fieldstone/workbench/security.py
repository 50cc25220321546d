"""What block HTML may do: a block's script runs in the learner's page, so the page's policy is what holds it.

A script in a unit page can call ``/xblock/`` and nothing else of the workbench: not the page that switches
learners, whose form it could send. That page in turn cannot be framed, nor reached from a window that another
page opened. So whoever writes a block gets at the fields of the learner who is looking, and of nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

View = Callable[..., HttpResponseBase]


def block_page(view: View) -> View:
    """A page with block HTML in it: nothing from other hosts but pictures and frames, calls only to blocks."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        blocks = request.build_absolute_uri(reverse("workbench:outline") + "xblock/")
        response["Content-Security-Policy"] = "; ".join(
            [
                "default-src 'self'",
                # Blocks' templates are compiled in the page (underscore, Handlebars), hence eval.
                "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
                "style-src 'self' 'unsafe-inline'",
                "img-src * data: blob:",
                "media-src * data: blob:",
                "font-src 'self' data:",
                f"connect-src {blocks}",
                f"form-action {blocks}",
                f"frame-src https: {blocks}",
                "worker-src 'none'",  # a worker has a policy of its own
                "object-src 'none'",
                "base-uri 'none'",
                "frame-ancestors 'self'",
            ]
        )
        return response

    return wrapper


def no_block_page(view: View) -> View:
    """A page that no block's script may drive: out of frames, and out of reach of a window that opened it."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response["Content-Security-Policy"] = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        response["X-Frame-Options"] = "DENY"
        response["Cross-Origin-Opener-Policy"] = "noopener-allow-popups"
        return response

    return wrapper


def block_content(view: View) -> View:
    """What a block or a course sends: shown on its own, it is in a sandbox, without the learner's session."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response["Content-Security-Policy"] = "sandbox allow-scripts allow-forms allow-popups"
        response["X-Content-Type-Options"] = "nosniff"
        return response

    return wrapper

"""What block HTML may do: a block's script runs in the learner's page, so the page's policy is what holds it.

A script in a unit page can call ``/xblock/`` and nothing else of the workbench: not the page that switches
learners, whose form it could send. Nor can it send it from another window: no page can be framed, and the browser
cuts the tie to a window that it opens on any page (cross-origin opener policy) but a unit's, which has the same
policy. So whoever writes a block gets at the fields of the learner who is looking, and of nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

View = Callable[..., HttpResponseBase]


def strict_by_default(get_response: View) -> View:
    """Middleware, the first of all: what does not say otherwise has no block HTML in it, and lets none near it.

    That is pages of this application and of others, and errors. It overrides Django's own opener policy, which
    is the one of unit pages: with that, a unit page could drive a window that it opened on an error page.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if "Content-Security-Policy" not in response:
            policy = (
                "default-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
            )
            response["Content-Security-Policy"] = policy
            response["X-Frame-Options"] = "DENY"
            response["Cross-Origin-Opener-Policy"] = "noopener-allow-popups"
        return response

    return middleware


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
                # Videos and the like, the course's files. Served over https, "https:" would be our pages too.
                f"frame-src {blocks}" if request.is_secure() else f"frame-src https: {blocks}",
                "worker-src 'none'",  # a worker has a policy of its own
                "object-src 'none'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ]
        )
        response["Cross-Origin-Opener-Policy"] = "same-origin"
        return response

    return wrapper


def block_content(view: View) -> View:
    """What a block or a course sends: shown on its own, it is in a sandbox, without the learner's session."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response["Content-Security-Policy"] = "sandbox allow-scripts allow-forms allow-popups"
        response["X-Content-Type-Options"] = "nosniff"
        response["X-Frame-Options"] = "SAMEORIGIN"  # a course's page in a frame of its unit
        return response

    return wrapper

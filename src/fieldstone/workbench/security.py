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
from django.utils.cache import patch_vary_headers

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
        response["Content-Security-Policy"] = _of_blocks(request, frame_ancestors="'none'")
        response["Cross-Origin-Opener-Policy"] = "same-origin"
        return response

    return wrapper


def _of_blocks(request: HttpRequest, frame_ancestors: str) -> str:
    """What the scripts of blocks may do in the session of the learner who looks at them."""
    blocks = request.build_absolute_uri(reverse("workbench:outline") + "xblock/")
    return "; ".join(
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
            f"frame-ancestors {frame_ancestors}",
        ]
    )


def block_content(view: View) -> View:
    """What a block or a course sends: shown on its own, it is in a sandbox, without the learner's session.

    In a frame that a page of this site has in it, it is under the policy of that page, and may talk to it: content
    in SCORM calls its host through ``window.parent``. Only the browser can say that it is in such a frame.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        is_framed = request.headers.get("Sec-Fetch-Dest") in ("iframe", "frame")
        if is_framed and request.headers.get("Sec-Fetch-Site") == "same-origin":
            policy = _of_blocks(request, frame_ancestors="'self'")
        else:
            policy = "sandbox allow-scripts allow-forms allow-popups"
        response["Content-Security-Policy"] = policy
        patch_vary_headers(response, ["Sec-Fetch-Dest", "Sec-Fetch-Site"])
        response["X-Content-Type-Options"] = "nosniff"
        response["X-Frame-Options"] = "SAMEORIGIN"  # a course's page in a frame of its unit
        return response

    return wrapper

"""Where an external grader posts its answer to what a learner handed in."""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from fieldstone.errors import NoSuchBlockError
from fieldstone.runtime.handlers import handle
from fieldstone.runtime.services.xqueue import DISPATCHES, FROM_GRADER, is_signed, waits_for
from fieldstone.runtime.wiring import Viewer
from fieldstone.workbench import pages
from fieldstone.workbench.courses import current_course


@csrf_exempt  # a grader has no session; who may post is proved by the address itself
@require_POST
def answer(request: HttpRequest, proof: str, usage_key: str, user_id: int, dispatch: str) -> HttpResponseBase:
    """The problem takes the answer as its learner's.

    404 for an address that this site has not made, or of what is gone since; 400 for a message that is none; 409
    when nothing waits for this answer: a grader that was faster than the save tries again; 422 when the problem
    cannot use it.
    """
    if dispatch not in DISPATCHES or not is_signed(proof, usage_key, user_id, dispatch):
        return _error(HTTPStatus.NOT_FOUND, "This is no address for a grader's answer.")
    message = _message(request)
    if message is None:
        return _error(
            HTTPStatus.BAD_REQUEST,
            "xqueue_header has to be JSON with the lms_key, and xqueue_body has to be there.",
        )
    course = current_course()
    learner = get_user_model()._default_manager.filter(pk=user_id).first()
    try:
        key = course.block(usage_key).usage_key
    except NoSuchBlockError as error:
        return _error(HTTPStatus.NOT_FOUND, str(error))
    if learner is None:
        return _error(HTTPStatus.NOT_FOUND, "The learner's account is gone.")
    make_runtime = partial(pages.runtime_for, course, Viewer(learner), f"xqueue:{dispatch}")
    if not waits_for(make_runtime().get_block(key), message["queuekey"]):
        return _error(
            HTTPStatus.CONFLICT,
            "Nothing waits for this answer: it was answered, handed in again, or is not saved yet.",
        )
    request.META[FROM_GRADER] = True
    request.POST = QueryDict(urlencode(message))  # the names that the problem's handler reads
    return _delivered(handle(make_runtime, key, "xmodule_handler", dispatch, request))


def _delivered(response: HttpResponseBase) -> HttpResponseBase:
    """What the problem answered; 422 if it says with 200, for its page's script, that it could not."""
    if not isinstance(response, HttpResponse) or response.status_code != HTTPStatus.OK:
        return response
    failed = json.loads(response.content).get("success")
    return response if failed is None else _error(HTTPStatus.UNPROCESSABLE_ENTITY, str(failed))


def _message(request: HttpRequest) -> dict[str, str] | None:
    """What a problem is told of the grader's message; ``None`` for one that is not as the queue writes it."""
    try:
        header = json.loads(request.POST["xqueue_header"])
        return {"queuekey": str(header["lms_key"]), "xqueue_body": request.POST["xqueue_body"]}
    except (KeyError, TypeError, ValueError):
        return None


def _error(status: HTTPStatus, message: str) -> JsonResponse:
    return JsonResponse({"error": message}, status=status)

"""Calling a block's handler with Django's request, and what its errors mean to the caller."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import UsageKey
from webob import Response
from xblock.core import XBlock
from xblock.django.request import webob_to_django_response
from xblock.exceptions import (
    InvalidScopeError,
    KeyValueMultiSaveError,
    NoSuchHandlerError,
    NoSuchUsage,
    NotFoundError,
    ProcessingError,
    XBlockSaveError,
)

from fieldstone.errors import FieldstoneError, InvalidEntryError, NoSuchBlockError, ReadOnlyError
from fieldstone.runtime.course import Course
from fieldstone.runtime.runtime import CourseRuntime
from fieldstone.runtime.sandbox import told_in_answer
from fieldstone.runtime.services import InvalidEventError, MissingServiceError
from fieldstone.runtime.structure import BlockUnavailableError, UnavailableBlock
from fieldstone.runtime.turns import in_turn
from fieldstone.runtime.uploads import handler_request, read_body
from fieldstone.runtime.wiring.errors import NobodyError, StateClaimedError

log = logging.getLogger(__name__)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_WRONG_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What a handler raises that was sent JSON of another shape than it reads; blocks rarely check."""


class NotAResponseError(Exception):
    """A handler gave something else: a fault of its block. Nothing was saved."""


def key_in(course: Course, text: str) -> UsageKey:
    """The usage key of a block of the course, or of an aside of one, from a URL. Raises ``NoSuchBlockError``."""
    if not text.startswith("aside-usage"):
        return course.block(text).usage_key  # the course's own: a key that is known need not be parsed
    try:
        aside_key: Any = UsageKey.from_string(text)
        course.block(aside_key.usage_key)
    except (InvalidKeyError, AttributeError) as error:
        raise NoSuchBlockError(text) from error
    return aside_key  # type: ignore[no-any-return]


def handle(
    make_runtime: Callable[[], CourseRuntime], usage_key: UsageKey, name: str, suffix: str, request: HttpRequest
) -> HttpResponseBase:
    """The response of a handler of a block or aside, or JSON that says what went wrong: ``{"error": "..."}``.

    Requests that overlap come out as if one had come after the other (``turns``): a handler that computed with
    what another has changed meanwhile is run again. What an answer saves while it is streamed raises
    ``ReadOnlyError``.

    404 for an unknown block, handler or thing, 400 for a body that the block cannot use, 403 for a write to what
    the course's author owns or by nobody, 405 for a write by a GET, 409 when the visitor has become a learner
    meanwhile, 413 for a body over ``MAX_UPLOAD_BYTES``, 501 for a service that the site does not have, 503 when
    nothing was saved because the store refused. All are logged.
    """
    try:
        read_body(request)
    except RequestDataTooBig as error:
        return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
    try:
        answer = in_turn(make_runtime, partial(_answer, usage_key, name, suffix, request))
    except Exception as error:
        explained = _explained(error, usage_key, name, suffix)
        if explained is None:
            raise
        return explained
    return _response(answer)


def _answer(usage_key: UsageKey, name: str, suffix: str, request: HttpRequest, runtime: CourseRuntime) -> Response:
    """One try. Fields and grade of one answer are one save."""
    # A GET carries no CSRF token: another site's link could use up a learner's attempts.
    runtime.field_data_cache.read_only = request.method in _SAFE_METHODS
    block = _block(runtime, usage_key)
    with handler_request(request) as sent, told_in_answer():
        answer = runtime.handle(block, name, sent, suffix)
    if not isinstance(answer, Response):
        raise NotAResponseError(f"{name!r} of {usage_key} gave {type(answer).__name__} and no webob.Response.")
    return answer


def _block(runtime: CourseRuntime, usage_key: UsageKey) -> XBlock:
    if hasattr(usage_key, "aside_type"):
        return runtime.get_aside(usage_key)
    block = runtime.get_block(usage_key)
    if isinstance(block, UnavailableBlock):
        raise BlockUnavailableError(block.reason)
    return block


def _response(answer: Response) -> HttpResponseBase:
    """As Django's; streamed where the block gives its body bit by bit."""
    response: HttpResponse = webob_to_django_response(
        answer, streaming=not isinstance(answer.app_iter, list | tuple)
    )
    return response


def _explained(error: Exception, usage_key: UsageKey, name: str, suffix: str) -> JsonResponse | None:
    """The answer to a known error; ``None`` for a block's own failure."""
    match error:
        case NoSuchHandlerError():
            return _error(HTTPStatus.NOT_FOUND, f"The block {usage_key} has no handler {name!r}.")
        case NotFoundError():
            return _error(HTTPStatus.NOT_FOUND, f"The block {usage_key} has nothing at {suffix!r}.")
        case NoSuchBlockError() | NoSuchUsage() | BlockUnavailableError():
            return _error(HTTPStatus.NOT_FOUND, str(error))
        case ProcessingError():
            # Open edX answers so, and its blocks' scripts show the message to the learner.
            return JsonResponse({"success": str(error)})
        case MissingServiceError():
            log.warning("%s in %s: %s", usage_key, name, error)
            return _error(HTTPStatus.NOT_IMPLEMENTED, str(error))
        case InvalidScopeError():
            log.warning("%s tried to write authored fields in %s", usage_key, name)
            return _error(HTTPStatus.FORBIDDEN, "The course's content cannot be changed here.")
    return _not_saved(error, usage_key, name)


def _not_saved(error: Exception, usage_key: UsageKey, name: str) -> JsonResponse | None:
    causes = [error, error.__cause__]
    if any(isinstance(cause, ReadOnlyError) for cause in causes):
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "What this handler does is stored: send a POST.")
    if any(isinstance(cause, NobodyError) for cause in causes):
        return _error(
            HTTPStatus.FORBIDDEN, "There is no learner here whose answer this could be: load the page again."
        )
    if any(isinstance(cause, StateClaimedError) for cause in causes):
        return _error(HTTPStatus.CONFLICT, "You have signed in meanwhile. Nothing was saved: load the page again.")
    if any(isinstance(cause, InvalidEntryError) for cause in causes):
        log.warning("%s in %s: %s", usage_key, name, error)
        return _error(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "That is more than can be kept without an account. Nothing was saved.",
        )
    if isinstance(error, InvalidEventError):
        log.exception("%s could not publish in %s", usage_key, name, exc_info=error)
        return _error(HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, XBlockSaveError | KeyValueMultiSaveError | DatabaseError | FieldstoneError):
        log.exception("%s: nothing was saved by %s", usage_key, name, exc_info=error)
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "Your answer was not saved. Please try again.")
    if isinstance(error, _WRONG_SHAPE):
        log.exception("%s could not use the body sent to %s", usage_key, name, exc_info=error)
        reason = f"The block could not use what was sent ({type(error).__name__})."
        return _error(HTTPStatus.BAD_REQUEST, reason)
    return None


def _error(status: HTTPStatus, message: str) -> JsonResponse:
    return JsonResponse({"error": message}, status=status)

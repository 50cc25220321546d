"""Calling a block's handler with Django's request, and what its errors mean to the caller."""

from __future__ import annotations

import logging
from http import HTTPStatus

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from opaque_keys.edx.keys import UsageKey
from xblock.django.request import django_to_webob_request, webob_to_django_response
from xblock.exceptions import (
    InvalidScopeError,
    KeyValueMultiSaveError,
    NoSuchHandlerError,
    NotFoundError,
    ProcessingError,
    XBlockSaveError,
)

from fieldstone.errors import ReadOnlyError
from fieldstone.runtime.runtime import CourseRuntime
from fieldstone.runtime.structure import UnavailableBlock

log = logging.getLogger(__name__)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_WRONG_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What a handler raises that was sent JSON of another shape than it reads; blocks rarely check."""


def handle(
    runtime: CourseRuntime, usage_key: UsageKey, name: str, suffix: str, request: HttpRequest
) -> HttpResponse:
    """The response of a handler, or one in JSON that says what went wrong: ``{"error": "..."}``.

    404 for an unknown handler or thing, 400 for a body that the block cannot use, 403 for a write to what the
    course's author owns, 503 when nothing was saved because the store refused. All are logged.
    """
    # A GET carries no CSRF token: another site's link could use up a learner's attempts.
    runtime.field_data_cache.read_only = request.method in _SAFE_METHODS
    block = runtime.get_block(usage_key)
    if isinstance(block, UnavailableBlock):
        return _error(HTTPStatus.NOT_FOUND, block.reason)
    try:
        with runtime.field_data_cache.saving_at_the_end():  # fields and grade of one answer: one save
            answer = runtime.handle(block, name, django_to_webob_request(request), suffix)
        response: HttpResponse = webob_to_django_response(answer)
        return response
    except NoSuchHandlerError:
        return _error(HTTPStatus.NOT_FOUND, f"The block {usage_key} has no handler {name!r}.")
    except NotFoundError:
        return _error(HTTPStatus.NOT_FOUND, f"The block {usage_key} has nothing at {suffix!r}.")
    except ProcessingError as error:
        # Open edX answers so, and its blocks' scripts show the message to the learner.
        return JsonResponse({"success": str(error)})
    except InvalidScopeError:
        log.warning("%s tried to write authored fields in %s", usage_key, name)
        return _error(HTTPStatus.FORBIDDEN, "The course's content cannot be changed here.")
    except ReadOnlyError:
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "What this handler does is stored: send a POST.")
    except (XBlockSaveError, KeyValueMultiSaveError, DatabaseError):
        log.exception("%s: nothing was saved by %s", usage_key, name)
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "Your answer was not saved. Please try again.")
    except _WRONG_SHAPE as error:
        log.exception("%s could not use the body sent to %s", usage_key, name)
        return _error(HTTPStatus.BAD_REQUEST, f"The block could not use what was sent ({type(error).__name__}).")


def _error(status: HTTPStatus, message: str) -> JsonResponse:
    return JsonResponse({"error": message}, status=status)

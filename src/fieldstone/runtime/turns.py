"""Requests that overlap come out as if one had come after the other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import count
from typing import TypeVar

from django.db import OperationalError, connections, transaction

from fieldstone.errors import ConflictError
from fieldstone.runtime.runtime import CourseRuntime
from fieldstone.store import Store
from fieldstone.store.engines import engine_of
from fieldstone.store.places import Place

TRIES = 20
"""How often a request is run whose save others forestall: from the second time on it has locked what it saves."""

Result = TypeVar("Result")


def in_turn(
    make_runtime: Callable[[], CourseRuntime],
    run: Callable[[CourseRuntime], Result],
) -> Result:
    """What ``run`` gives with a runtime, and one save of all that blocks save in it.

    Where another request has changed meanwhile what is to be saved over, or two were in each other's way, it is
    run again with a new runtime. Up to its save it leaves nothing behind but what blocks do outside their fields.

    Raises ``ConflictError`` when others were always faster, and what ``run`` and ``Store.save`` raise.
    """
    contended: dict[Place, None] = {}
    for attempt in count(1):
        runtime = make_runtime()
        try:
            with ExitStack() as stack:
                if attempt > 1:
                    _wait_for_turn(stack, runtime, contended, attempt)
                stack.enter_context(runtime.saving())
                result = run(runtime)
            runtime.field_data_cache.read_only = True  # a streamed answer's saves would be out of turn
            return result
        except ConflictError:
            if attempt == TRIES:
                raise
        except OperationalError as error:
            if attempt == TRIES or not _is_deadlock(error):
                raise
        contended |= dict.fromkeys(runtime.field_data_cache.to_be_saved)
    raise AssertionError("unreachable")


def _is_deadlock(error: OperationalError) -> bool:
    """May it be tried again? A caller's own transaction may not: it is gone, and the caller's to try again."""
    connection = connections[Store().using]
    return not connection.in_atomic_block and engine_of(connection).is_deadlock(error)


def _wait_for_turn(stack: ExitStack, runtime: CourseRuntime, contended: Iterable[Place], attempt: int) -> None:
    """Lock the rows that others were faster at, all at once, so that it is this request's turn."""
    if not runtime.viewer.is_persisted:
        time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311  # a region has no rows to lock
        return
    store = Store()
    stack.enter_context(transaction.atomic(store.using))
    store.lock(runtime.user, contended)

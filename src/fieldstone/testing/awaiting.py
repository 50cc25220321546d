"""Which coroutine waits for what runs now in a thread of ``sync_to_async``; its frames are not in that thread."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from asgiref.sync import SyncToAsync

HANDLER: CodeType = SyncToAsync.thread_handler.__code__
WAITS: CodeType = SyncToAsync.__call__.__code__
WRAPPERS = {"async_generator_asend", "async_generator_athrow", "coroutine_wrapper"}
"""What Python puts between, as in ``async for``; only the garbage collector can tell what is behind it."""


def frames_awaiting(handler: FrameType) -> list[FrameType]:
    """Of the coroutine that waits for this call of ``HANDLER``, innermost first; none if it cannot be found."""
    loop = handler.f_locals.get("loop")
    if not isinstance(loop, asyncio.AbstractEventLoop):
        return []
    for task in asyncio.all_tasks(loop):
        chain = list(_suspended(task.get_coro()))
        if chain and _waits_for(chain[-1], handler):
            return chain[::-1]
    for running in sys._current_frames().values():  # it may not have come to its `await` yet
        chain = list(_outwards(running))
        for position, frame in enumerate(chain):
            if _waits_for(frame, handler):
                return chain[position:]
    return []


def _waits_for(frame: FrameType, handler: FrameType) -> bool:
    # One object of SyncToAsync may be awaited several times at once; each call has a list of its own.
    return frame.f_code is WAITS and all(
        frame.f_locals.get(name) is handler.f_locals.get(name) for name in ("self", "task_context")
    )


def _suspended(waiting: Any) -> Iterator[FrameType]:
    """From the outermost inwards, as each awaits the next."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "ag_frame", None)
        if frame is not None:
            yield frame
        waiting = _awaited_by(waiting)


def _awaited_by(waiting: Any) -> Any:
    if type(waiting).__name__ in WRAPPERS:
        return next(iter(gc.get_referents(waiting)), None)
    return getattr(waiting, "cr_await", None) or getattr(waiting, "ag_await", None)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back

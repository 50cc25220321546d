"""The calls of ``Store`` for coroutines: each runs the call of the same name without its ``a``, in a thread.

Django's connections belong to threads, so the calls go where Django's own asynchronous ORM sends its work
(``sync_to_async``, thread-sensitive): under an ASGI server to a thread of the request, under ``async_to_sync`` to
the thread that called it, elsewhere to one thread of the process. The loop is never blocked. Calls that share a
thread run one after the other: of two coroutines of a request, the second waits for the first's row lock too.

Django refuses ``transaction.atomic`` in a coroutine. Several calls in one transaction are a function that makes
them as they are in ``Store``, awaited whole with ``sync_to_async``. Under ``async_to_sync`` calls are part of the
caller's own transaction.

A call that is cancelled before its thread took it up does nothing. One that was taken up runs to its end there,
with nobody to tell: such a save is written whole, or not at all, as ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Protocol, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone.kvs.fencing import Fence, Fenced
from fieldstone.store.places import ExpectedRevisions, Place, Preferences, UserInfo
from fieldstone.store.reading import Wanted
from fieldstone.store.scan import Scanned
from fieldstone.store.scan_fields import ScannedFields, ScannedSummary
from fieldstone.store.states import Grade, Receipt, Revision, State, States

Row = TypeVar("Row")


class Calls(Protocol):
    """What is run. What the arguments are is said in ``Store``, and a test compares them with the ones here."""

    def read(self, *args: Any, **kwargs: Any) -> States: ...
    def save(self, *args: Any, **kwargs: Any) -> Receipt: ...
    def history(self, *args: Any, **kwargs: Any) -> list[Revision]: ...
    def at(self, *args: Any, **kwargs: Any) -> State: ...
    def restore(self, *args: Any, **kwargs: Any) -> Receipt: ...
    def states(self, *args: Any, **kwargs: Any) -> list[State]: ...
    def scan(self, *args: Any, **kwargs: Any) -> Iterator[Scanned]: ...
    def scan_fields(self, *args: Any, **kwargs: Any) -> Iterator[ScannedFields]: ...
    def scan_summaries(self, *args: Any, **kwargs: Any) -> Iterator[ScannedSummary]: ...


class AsyncCalls:
    """Mixed into ``Store``."""

    async def aread(self: Calls, learner: Any, places: Iterable[Place] | Wanted) -> States:
        return await sync_to_async(self.read)(learner, places)

    async def asave(
        self: Calls,
        learner: Any,
        changes: Mapping[Place, Mapping[str, Any]],
        *,
        grades: Mapping[UsageKey, Grade] | None = None,
        expected: ExpectedRevisions | None = None,
        token: UUID | None = None,
        fence: Fence | Fenced | None = None,
        origin: str = "",
        actor: Any = None,
    ) -> Receipt:
        return await sync_to_async(self.save)(
            learner,
            changes,
            grades=grades,
            expected=expected,
            token=token,
            fence=fence,
            origin=origin,
            actor=actor,
        )

    async def ahistory(self: Calls, learner: Any, usage_key: UsageKey) -> list[Revision]:
        return await sync_to_async(self.history)(learner, usage_key)

    async def astates(self: Calls, learner: Any, usage_key: UsageKey) -> list[State]:
        return await sync_to_async(self.states)(learner, usage_key)

    async def aat(
        self: Calls,
        learner: Any,
        usage_key: UsageKey,
        *,
        revision: int | None = None,
        moment: datetime | None = None,
    ) -> State:
        return await sync_to_async(self.at)(learner, usage_key, revision=revision, moment=moment)

    async def arestore(
        self: Calls,
        learner: Any,
        usage_key: UsageKey,
        *,
        revision: int,
        fence: Fence | Fenced | None = None,
        origin: str = "restore",
        actor: Any = None,
    ) -> Receipt:
        return await sync_to_async(self.restore)(
            learner, usage_key, revision=revision, fence=fence, origin=origin, actor=actor
        )

    async def ascan(
        self: Calls,
        *,
        context: LearningContextKey | None = None,
        usage_key: UsageKey | None = None,
        block_type: str | None = None,
        batch: int = 1000,
    ) -> AsyncIterator[Scanned]:
        # Begun in the thread, too: which alias is read depends on whether its connection is in a transaction.
        scan = sync_to_async(self.scan)
        rows = await scan(context=context, usage_key=usage_key, block_type=block_type, batch=batch)
        async for row in _in_batches(rows, batch):
            yield row

    async def ascan_fields(
        self: Calls, place: Preferences | UserInfo, *, batch: int = 1000
    ) -> AsyncIterator[ScannedFields]:
        async for row in _in_batches(await sync_to_async(self.scan_fields)(place, batch=batch), batch):
            yield row

    async def ascan_summaries(
        self: Calls, context: LearningContextKey, *, block_type: str | None = None, batch: int = 1000
    ) -> AsyncIterator[ScannedSummary]:
        rows = await sync_to_async(self.scan_summaries)(context, block_type=block_type, batch=batch)
        async for row in _in_batches(rows, batch):
            yield row


async def _in_batches(rows: Iterator[Row], size: int) -> AsyncIterator[Row]:
    """The rows, so many at a time from the thread."""
    while fetched := await sync_to_async(_next)(rows, size):
        for row in fetched:
            yield row


def _next(rows: Iterator[Row], size: int) -> list[Row]:
    return list(islice(rows, size))

"""``Runner``: makes the calls of a backend that operations want, for functions and for coroutines."""

from __future__ import annotations

import enum
import inspect
import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

from fieldstone.errors import ServiceUnavailable
from fieldstone.kvs.backends.base import Backend
from fieldstone.kvs.breaker import Breaker
from fieldstone.kvs.options import Options
from fieldstone.kvs.publishing import Publisher
from fieldstone.kvs.statistics import Statistics

T = TypeVar("T")


class _Raise(enum.Enum):
    RAISE = "RAISE"

    def __repr__(self) -> str:
        return "an error"


RAISE: Final = _Raise.RAISE
"""The default of a default: there is none, and what is missing is an error."""

Steps = Generator[tuple[Any, ...], Any, T]

CREATE = "create"
"""In the place of a method: call the function that follows, or await what it gives."""

_LOCKING = frozenset({"acquire", "release", "renew", "locked"})


class Runner:
    """Makes the calls of operations: counts them, times them, and tells a backend's errors as ours."""

    def __init__(self, region: str, backend: Backend, options: Options) -> None:
        self.region = region
        self.backend = backend
        self.statistics = Statistics()
        self.publisher = Publisher(region, backend, options, self.statistics)
        self.breaker = Breaker(region, options.breaker_failures, options.breaker_seconds)
        self.is_fail_open = options.fail == "open"
        self._unavailable = backend.unavailable

    def run(self, steps: Steps[T]) -> T:
        """Drive an operation to its end."""
        try:
            call = next(steps)
            while True:
                try:
                    result = self.call(*call)
                except BaseException as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    async def arun(self, steps: Steps[T]) -> T:
        """``run`` for a coroutine. One that is cancelled leaves as an operation leaves at an error."""
        try:
            call = next(steps)
            while True:
                try:
                    result = await self.acall(*call)
                except BaseException as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    def call(self, method: str, *args: Any) -> Any:
        """One call of the backend. Raises ``ServiceUnavailable``."""
        if method == CREATE:
            return args[0]()
        if self.breaker.is_open:
            self._ask_breaker()
        began = time.perf_counter()
        try:
            result = getattr(self.backend, method)(*args)
        except self._unavailable as error:
            raise self._failed(error) from error
        if self._succeeded(method, began) >= self.publisher.due:
            self.publisher.publish(self)
        return result

    async def acall(self, method: str, *args: Any) -> Any:
        if method == CREATE:
            created = args[0]()
            return await created if inspect.isawaitable(created) else created
        if self.breaker.is_open:
            self._ask_breaker()
        began = time.perf_counter()
        try:
            result = await self.backend.acall(method, *args)
        except self._unavailable as error:
            raise self._failed(error) from error
        if self._succeeded(method, began) >= self.publisher.due:
            await self.publisher.apublish(self)
        return result

    def _ask_breaker(self) -> None:
        if not self.breaker.admits():
            self.statistics.was_refused()
            raise ServiceUnavailable(self.region, self.backend.kind, "it has failed several times in a row")

    def _failed(self, error: BaseException) -> ServiceUnavailable:
        self.statistics.failed()
        reason = f"{type(error).__name__}: {error}"
        self.breaker.failed(reason)
        return ServiceUnavailable(self.region, f"{self.backend.kind} at {self.backend.address}", reason)

    def _succeeded(self, method: str, began: float) -> float:
        """The time, by ``perf_counter``; of calls for locks the one before."""
        if self.breaker.failures:
            self.breaker.succeeded()
        if method in _LOCKING:
            return began
        now = time.perf_counter()
        self.statistics.called(now - began)
        return now

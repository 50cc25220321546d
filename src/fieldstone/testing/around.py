"""What every tool that holds for a body of code has in common."""

from __future__ import annotations

import copy
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from asgiref.sync import sync_to_async

T = TypeVar("T")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Around(ABC, Generic[T]):
    """Holds for a body: ``with``, ``async with``, or a decorator of functions, coroutines and classes of tests.

    As a decorator it begins anew with each call; of a class it decorates each method whose name begins with
    ``test``. Of a generator (a fixture that yields) it holds to its end, and so while the test runs. In a
    coroutine it begins and ends in the thread that Django's database calls are made in, since that is where their
    connections are.
    """

    @abstractmethod
    def __enter__(self) -> T: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...

    async def __aenter__(self) -> T:
        return await sync_to_async(self.__enter__)()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        __tracebackhide__ = True
        return await sync_to_async(self.__exit__)(kind, error, trace)

    def __call__(self, decorated: Decorated) -> Decorated:
        if isinstance(decorated, type):
            for name, test in list(vars(decorated).items()):
                if name.startswith("test"):
                    setattr(decorated, name, self._of_method(test))
            return cast(Decorated, decorated)
        if inspect.isasyncgenfunction(decorated) or inspect.iscoroutinefunction(decorated):
            return cast(Decorated, functools.wraps(decorated)(self._of_coroutine(decorated)))
        return cast(Decorated, functools.wraps(decorated)(self._of_function(decorated)))

    def _of_method(self, method: Any) -> Any:
        if isinstance(method, staticmethod | classmethod):
            return type(method)(self(method.__func__))
        return self(method) if callable(method) and not isinstance(method, type) else method

    def _of_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def held(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            with self._anew():
                return function(*args, **kwargs)

        def held_to_its_end(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            with self._anew():
                return (yield from function(*args, **kwargs))

        return held_to_its_end if inspect.isgeneratorfunction(function) else held

    def _of_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def held(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            async with self._anew():
                return await function(*args, **kwargs)

        async def held_to_its_end(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            async with self._anew():
                async for each in function(*args, **kwargs):
                    yield each

        return held_to_its_end if inspect.isasyncgenfunction(function) else held

    def _anew(self) -> Self:
        """What ``__init__`` was told, and nothing of what a body left behind."""
        return copy.copy(self)

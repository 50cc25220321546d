"""Operations written once, as generators of exchanges, and driven by threads and by coroutines."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from fieldstone.kvs.backends.base import Backend
from fieldstone.kvs.backends.redis.links import Links, LoopLinks
from fieldstone.kvs.backends.redis.routing import Cluster, OneServer, Router, Steps
from fieldstone.kvs.backends.redis.scripts import Script
from fieldstone.kvs.backends.redis.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
Self = TypeVar("Self", bound="Driven")


def operation(steps: Callable[Concatenate[Self, P], Steps[T]]) -> Callable[Concatenate[Self, P], T]:
    """The method that drives these steps to their end; ``acall`` drives them for a coroutine."""

    def method(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(steps(self, *args, **kwargs))

    functools.update_wrapper(method, steps)  # __wrapped__: what acall drives
    return method


class Driven(Backend):
    def __init__(self, region: str, settings: Settings) -> None:
        self.settings = settings
        self.router: Router = Cluster(settings) if settings.cluster_nodes else OneServer(settings)
        self._links = Links(settings)
        self._loop_links = LoopLinks(settings)

    def run(self, steps: Steps[T]) -> T:
        exchange = self._links.exchange
        try:
            asked = next(steps)
            while True:
                try:
                    replies = exchange(*asked)
                except BaseException as error:
                    asked = steps.throw(error)
                else:
                    asked = steps.send(replies)
        except StopIteration as end:
            value: T = end.value
            return value

    async def arun(self, steps: Steps[T]) -> T:
        exchange = self._loop_links.here().exchange
        try:
            asked = next(steps)
            while True:
                try:
                    replies = await exchange(*asked)
                except GeneratorExit:
                    raise  # the loop is gone: there is nothing more to await
                except BaseException as error:
                    asked = steps.throw(error)
                else:
                    asked = steps.send(replies)
        except StopIteration as end:
            value: T = end.value
            return value

    async def acall(self, method: str, *args: Any) -> Any:
        steps = getattr(getattr(type(self), method), "__wrapped__", None)
        if steps is None:
            return await super().acall(method, *args)
        return await self.arun(steps(self, *args))

    def close(self) -> None:
        self._links.close()

    async def aclose(self) -> None:
        """Only the running loop's connections, and those of threads."""
        self._links.close()
        await self._loop_links.aclose()

    def script(self, script: Script, key: str, *args: str | bytes | int, write: bool = True) -> Steps[Any]:
        """The reply of a script that concerns one key."""
        command = ("EVALSHA", script.digest, 1, key, *args)
        return (yield from self.router.send(key, [command], write=write))[0]

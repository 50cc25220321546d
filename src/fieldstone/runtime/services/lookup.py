"""How a block gets a service: one for all blocks, or one made for the block; and what it asks for in vain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opaque_keys.edx.keys import UsageKey
from webob import Request
from xblock.core import XBlock
from xblock.exceptions import NoSuchHandlerError, NoSuchServiceError
from xblock.runtime import Runtime

from fieldstone.runtime.services.missing import MissingServiceError
from fieldstone.runtime.services.xqueue import is_refused


@dataclass(frozen=True)
class PerBlock:
    """Stands among the services of a runtime for one that is made anew for each block that asks."""

    make: Callable[[XBlock], Any]


class BlockServices(Runtime):  # type: ignore[misc]  # xblock publishes no types
    """A runtime that knows ``PerBlock``, and remembers what its blocks asked for in vain."""

    def service(self, block: XBlock, service_name: str) -> Any:
        """The service; ``None`` if it is only wanted, and nobody provides it.

        Raises ``MissingServiceError``, which names the service, if the block needs it or has not declared it.
        """
        try:
            service = super().service(block, service_name)
        except NoSuchServiceError as error:
            raise MissingServiceError(block, service_name) from error
        if service is None:
            self._in_vain.setdefault(block.scope_ids.usage_id, set()).add(service_name)
        return service.make(block) if isinstance(service, PerBlock) else service

    def handle(self, block: XBlock, handler_name: str, request: Request, suffix: str = "") -> Any:
        """XBlock's; for all but graders there is no handler for a grader's answer."""
        if is_refused(block, request, suffix):
            raise NoSuchHandlerError(f"{handler_name}/{suffix} is for external graders.")
        return super().handle(block, handler_name, request, suffix)

    def missing_services(self, block: XBlock) -> list[str]:
        """The names of services that the block wanted so far and did not get."""
        return sorted(self._in_vain.get(block.scope_ids.usage_id, ()))

    @property
    def _in_vain(self) -> dict[UsageKey, set[str]]:
        asked: dict[UsageKey, set[str]] = self.__dict__.setdefault("_services_asked_in_vain", {})
        return asked

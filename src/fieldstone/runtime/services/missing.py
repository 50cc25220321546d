"""A service that a block asks for and nobody provides, in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from xblock.core import XBlock
from xblock.exceptions import NoSuchServiceError

_TO_DO = 'A site provides services of its own with FIELDSTONE = {{"SERVICES": {{"{name}": "dotted.path"}}}}.'


class MissingServiceError(NoSuchServiceError):  # type: ignore[misc]  # xblock publishes no types
    """A block cannot have the service that it asks for; ``service`` and ``block_type`` say which and who."""

    def __init__(self, block: XBlock, service: str) -> None:
        self.service = service
        self.block_type = str(block.scope_ids.block_type)
        if block.service_declaration(service) is None:
            super().__init__(
                f"The block <{self.block_type}> asks for the service {service!r} without having declared it: its "
                f'class wants a decorator, @XBlock.needs("{service}") or @XBlock.wants("{service}").'
            )
        else:
            super().__init__(
                f"The block <{self.block_type}> asks for the service {service!r}, which this site does not "
                f"provide. {_TO_DO.format(name=service)}"
            )


class KnowsMissing(Protocol):
    """``BlockServices``, as far as it is asked here."""

    def missing_services(self, block: XBlock) -> list[str]: ...


def explanation(runtime: KnowsMissing, block: XBlock, error: BaseException) -> str | None:
    """The sentence of an error card if a missing service is, or may be, behind the error; else ``None``.

    A service that a block only wants is ``None`` to it, and blocks that do without it badly raise something else.
    """
    for known in _chain(error):
        if isinstance(known, MissingServiceError):
            return str(known)
    names = runtime.missing_services(block)
    if not names:
        return None
    listed = ", ".join(repr(name) for name in names)
    return (
        f"The block <{block.scope_ids.block_type}> wanted what this site does not provide, which may be why it "
        f"failed: {listed}. {_TO_DO.format(name=names[0])}"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__

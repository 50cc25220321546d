"""Telling learners why a problem's Python did not run.

The published problem catches whatever its script raises. Its view is then a paragraph that names no cause, and its
handlers fail with an error of its own, which would be the server's fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from xblock.exceptions import ProcessingError

from fieldstone.errors.base import FieldstoneError
from fieldstone.runtime.structure import BlockUnavailableError

_met: ContextVar[list[FieldstoneError] | None] = ContextVar("fieldstone_sandbox_errors", default=None)


def remember(error: FieldstoneError) -> None:
    """Note an error that is about to be raised into a block's code."""
    met = _met.get()
    if met is not None:
        met.append(error)


@contextmanager
def told_in_card() -> Iterator[None]:
    """Around a view: ``BlockUnavailableError`` if the sandbox failed in it, whatever the block made of that."""
    with _remembered() as met:
        try:
            yield
        finally:
            if met:
                raise BlockUnavailableError(str(met[0])) from met[0]


@contextmanager
def told_in_answer() -> Iterator[None]:
    """Around a handler: if it raises because the sandbox failed, ``ProcessingError``, whose text learners see."""
    with _remembered() as met:
        try:
            yield
        except Exception as error:
            if met:
                raise ProcessingError(str(met[0])) from error
            raise


@contextmanager
def _remembered() -> Iterator[list[FieldstoneError]]:
    met: list[FieldstoneError] = []
    before = _met.set(met)
    try:
        yield met
    finally:
        _met.reset(before)

"""The kit for plain test cases, of Django's or of ``unittest``: mix-ins, to be named before the test case.

Everything else of the kit needs no mix-in: use it with ``with``, as a decorator, or by ``self.enterContext(...)``.
"""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

from fieldstone.testing.clock import Clock, Moment, frozen
from fieldstone.testing.clock.clock import following, is_set
from fieldstone.testing.transactions import CommitCallbacks, commit_callbacks, explain_broken_transactions


class _Held(unittest.TestCase):
    """Each test, with its ``setUp`` and ``tearDown``, runs in what the mix-ins hold around it."""

    def _hold(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        with self._hold():
            return super().run(result)

    def debug(self) -> None:
        with self._hold():
            super().debug()


class ClockMixin(_Held):
    """Gives each test a clock of its own, ``self.clock``, and the time back after it."""

    frozen_at: ClassVar[Moment | None] = None
    """Where the clock stands when a test begins, ``setUp`` included; ``None``: time goes on as it was.

    What ``setUpTestData`` and ``setUpClass`` make is made before. A mark ``clock`` of pytest's on the test, which
    is nearer to it, goes before this.
    """
    clock: Clock

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A wrong moment is told here: raised by ``run``, it would end the whole run of Django's tests."""
        super().__init_subclass__(**kwargs)
        if cls.frozen_at is None:
            return
        try:
            frozen(cls.frozen_at)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{cls.__qualname__}.frozen_at: {error}") from None

    def _clock(self) -> AbstractContextManager[Clock]:
        marks = getattr(getattr(self, self._testMethodName), "pytestmark", [])
        is_marked = is_set() and any(mark.name == "clock" for mark in marks)
        return following() if self.frozen_at is None or is_marked else frozen(self.frozen_at)

    @contextmanager
    def _hold(self) -> Iterator[None]:
        with super()._hold(), self._clock() as self.clock:
            yield


class CommitCallbacksMixin(_Held):
    """Runs what ``on_commit`` is given when production would, and shows it as ``self.commit_callbacks``.

    What ``setUpTestData`` and ``setUpClass`` register is neither run nor shown.
    """

    commit_callbacks: CommitCallbacks

    @contextmanager
    def _hold(self) -> Iterator[None]:
        with super()._hold(), commit_callbacks() as self.commit_callbacks:
            yield


class ExplainedTransactionsMixin(_Held):
    """Names the first error and its line where a test's transaction was broken; under pytest that is so anyhow."""

    @contextmanager
    def _hold(self) -> Iterator[None]:
        with super()._hold(), explain_broken_transactions():
            yield


class TestKit(ExplainedTransactionsMixin, CommitCallbacksMixin, ClockMixin):
    """All of these."""

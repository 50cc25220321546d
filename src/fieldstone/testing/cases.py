"""The kit for plain test cases, of Django's or of ``unittest``: mix-ins, to be named before the test case.

Everything else of the kit needs no mix-in: use it with ``with``, as a decorator, or by ``self.enterContext(...)``.
"""

from __future__ import annotations

import unittest
from typing import ClassVar

from fieldstone.testing.clock import Clock, Moment, frozen, ticking
from fieldstone.testing.transactions import CommitCallbacks, commit_callbacks, explain_broken_transactions


class ClockMixin(unittest.TestCase):
    """Gives each test a clock of its own, ``self.clock``, and real time back after it."""

    frozen_at: ClassVar[Moment | None] = None
    """Where the clock stands when a test begins, ``setUp`` included; ``None``: it runs, at real time.

    What ``setUpTestData`` and ``setUpClass`` make is made before: at real time.
    """
    clock: Clock

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        with ticking() if self.frozen_at is None else frozen(self.frozen_at) as self.clock:
            return super().run(result)


class CommitCallbacksMixin(unittest.TestCase):
    """Runs what ``on_commit`` is given when production would, and shows it as ``self.commit_callbacks``."""

    commit_callbacks: CommitCallbacks

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        with commit_callbacks() as self.commit_callbacks:
            return super().run(result)


class ExplainedTransactionsMixin(unittest.TestCase):
    """Names the first error and its line where a test's transaction was broken; under pytest that is so anyhow."""

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        with explain_broken_transactions():
            return super().run(result)


class TestKit(ExplainedTransactionsMixin, CommitCallbacksMixin, ClockMixin):
    """All of these."""

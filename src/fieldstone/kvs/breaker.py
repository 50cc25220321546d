"""A circuit breaker: who has failed several times in a row is left alone for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("fieldstone.kvs")


class Breaker:
    """Opens after ``failures`` in a row. Every ``seconds`` from then on one call is let through, as a trial."""

    def __init__(
        self, region: str, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.is_open = False
        self.failures = 0
        """In a row, so far."""
        self._region = region
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._guard = threading.Lock()
        self._next_trial = 0.0

    def admits(self) -> bool:
        """Whether a call may be made. While it is open: one, once the time has come."""
        if not self.is_open:
            return True
        with self._guard:
            if self._clock() < self._next_trial:
                return False
            self._next_trial = self._clock() + self._seconds
            return True

    def failed(self, reason: object) -> None:
        with self._guard:
            self.failures += 1
            self._next_trial = self._clock() + self._seconds
            if self.failures >= self._limit and not self.is_open:
                self.is_open = True
                log.error(
                    "Region %r: %d calls in a row have failed, the last with: %s. It is tried every %g s.",
                    self._region, self.failures, reason, self._seconds,
                )  # fmt: skip

    def succeeded(self) -> None:
        with self._guard:
            self.failures = 0
            if self.is_open:
                self.is_open = False
                log.warning("Region %r answers again.", self._region)

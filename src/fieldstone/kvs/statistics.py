"""What a region has done in this process, counted."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the buckets of latencies, in seconds; what took longer is in one more."""


@dataclass(frozen=True)
class Snapshot:
    """The counts of one moment."""

    hits: int
    """Keys that had a value."""
    misses: int
    """Keys that had none."""
    writes: int
    """Entries sent: set, added, counted."""
    deletes: int
    """Keys that were asked to be deleted."""
    errors: int
    """Calls that the backend failed."""
    refused: int
    """Calls that were not made, since the circuit breaker was open."""
    bytes_read: int
    """Of entries, encoded."""
    bytes_written: int
    """Of entries, encoded."""
    calls: int
    """Calls that the backend answered, those for locks left out: a lock may wait for long."""
    seconds: float
    """How long these took in all."""
    buckets: tuple[int, ...]
    """How many of them took how long, by ``BOUNDS``."""

    @property
    def hit_ratio(self) -> float | None:
        """Between 0 and 1; ``None`` if nothing was read."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None

    def quantile(self, share: float) -> float | None:
        """The bound in seconds that this share of the calls stayed under; ``None`` without calls."""
        wanted, seen = share * self.calls, 0
        if not self.calls:
            return None
        for bound, count in zip((*BOUNDS, float("inf")), self.buckets, strict=True):
            seen += count
            if seen >= wanted:
                return bound
        return None


class Statistics:
    """Counts that threads share."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.reset()

    def begin_anew(self) -> None:
        """For a child after a fork: in the parent a thread may have held the lock, which nobody here releases."""
        self._guard = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._guard:
            self.hits = self.misses = self.writes = self.deletes = 0
            self.errors = self.refused = self.bytes_read = self.bytes_written = 0
            self.calls, self.seconds, self.buckets = 0, 0.0, [0] * (len(BOUNDS) + 1)

    def called(self, seconds: float) -> None:
        with self._guard:
            self.calls += 1
            self.seconds += seconds
            self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def read(self, hits: int, misses: int, size: int) -> None:
        with self._guard:
            self.hits += hits
            self.misses += misses
            self.bytes_read += size

    def wrote(self, entries: int, size: int) -> None:
        with self._guard:
            self.writes += entries
            self.bytes_written += size

    def deleted(self, keys: int) -> None:
        with self._guard:
            self.deletes += keys

    def failed(self) -> None:
        with self._guard:
            self.errors += 1

    def was_refused(self) -> None:
        with self._guard:
            self.refused += 1

    def snapshot(self) -> Snapshot:
        with self._guard:
            return Snapshot(
                self.hits, self.misses, self.writes, self.deletes, self.errors, self.refused,
                self.bytes_read, self.bytes_written, self.calls, self.seconds, tuple(self.buckets),
            )  # fmt: skip

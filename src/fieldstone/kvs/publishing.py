"""What the processes that use a region have done, each told by itself in the region's own server.

A process takes one of a fixed number of slots and writes its counts there now and then: not by a thread, but with an
operation that finds it is time. So they are found again on servers that cannot list their keys, and nothing has to
be kept in order: a process that is gone leaves a slot that expires.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import socket
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fieldstone.errors import ServiceUnavailable
from fieldstone.kvs.backends.base import Backend
from fieldstone.kvs.entries import Codec, version_of
from fieldstone.kvs.options import Options
from fieldstone.kvs.serializers import JSONSerializer
from fieldstone.kvs.statistics import BOUNDS, Snapshot, Statistics

log = logging.getLogger("fieldstone.kvs")

SLOTS = 256
"""So many processes of a region are seen at once; others count for themselves alone."""

KEPT = 300.0
"""For how many seconds counts are there after they were written, at least."""

_Publication = Generator[tuple[Any, ...], Any, None]
_codec = Codec(JSONSerializer())  # of the region's own, whatever that is: counts are no pickles


@dataclass(frozen=True)
class Published:
    """What one process has told."""

    host: str
    pid: int
    age: float
    """How many seconds ago, by the clocks of the two hosts; not below 0."""
    counts: Snapshot
    """Since the process began, or was forked."""


class Publisher:
    """Tells the counts of this process, at most once in ``publish_statistics`` seconds."""

    def __init__(self, region: str, backend: Backend, options: Options, statistics: Statistics) -> None:
        self.statistics = statistics
        self._region = region
        self._interval = _interval(backend, options)
        self._prefix = region if options.prefix is None else options.prefix
        self._begin()
        _publishers.add(self)

    def _begin(self) -> None:
        self.due = time.perf_counter() + self._interval
        """When it is time, by ``perf_counter``; infinity: never."""
        self._turn = threading.Lock()
        self._slot: str | None = None
        self._version = b""

    def begin_anew(self) -> None:
        """For a child after a fork: what its parent did is not its own, nor are locks that its threads held."""
        self.statistics.begin_anew()
        self._begin()

    def stop(self) -> None:
        """Tell nothing from now on."""
        self._interval = self.due = math.inf

    @property
    def names(self) -> list[str]:
        """Of the slots."""
        # With the region's name, for those that share a prefix. No name of a key has a ``%`` at this place, unless
        # the prefix is empty: a key that is there then is a slot taken, and one written over a slot loses the slot.
        return [f"{self._prefix}%{self._region}/{slot}" for slot in range(SLOTS)]

    @property
    def is_on(self) -> bool:
        return not math.isinf(self._interval)

    def publish(self, run: Callable[[_Publication], None]) -> None:
        """Raises nothing: what fails is counted as an error of the region, and tried again when it is time again."""
        with self._undisturbed() as is_due:
            if is_due:
                run(self._publication())

    async def apublish(self, arun: Callable[[_Publication], Awaitable[None]]) -> None:
        with self._undisturbed() as is_due:
            if is_due:
                await arun(self._publication())

    @contextmanager
    def _undisturbed(self) -> Iterator[bool]:
        """Whether it is this caller's turn, of all threads' and coroutines'."""
        turn = self._turn
        if not turn.acquire(blocking=False):
            yield False
            return
        try:
            now = time.perf_counter()
            is_due = now >= self.due
            if is_due:
                self.due = now + self._interval
            yield is_due
        except Exception as error:  # whatever it is: the operation that it came along with has succeeded
            if not isinstance(error, ServiceUnavailable):  # that has been counted where it was raised
                self.statistics.failed()
            log.debug("Region %r could not tell its counts: %s: %s", self._region, type(error).__name__, error)
        finally:
            turn.release()

    def _publication(self) -> _Publication:
        """Write to the slot that is ours, or to a free one."""
        entry, lasting = self._entry(), max(KEPT, 3 * self._interval)
        if self._slot is not None:
            if (yield ("compare_and_set", self._slot, entry, self._version, lasting)):
                self._version = version_of(entry)
                return
            self._slot = None  # it expired, or was evicted, and may be another's by now
        names = self.names
        taken = yield ("get_many", names)
        for name, found in zip(names, taken, strict=True):
            if found is None and (yield ("add", name, entry, lasting)):
                self._slot, self._version = name, version_of(entry)
                return
        log.debug("Region %r: all %d slots for counts are taken.", self._region, SLOTS)

    def _entry(self) -> bytes:
        counts = dataclasses.asdict(self.statistics.snapshot())
        told = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time(), "counts": counts}
        return _codec.encode(told)

    def read(self, found: Sequence[bytes | None]) -> list[Published]:
        """What was found under ``names``."""
        now = time.time()
        published = []
        for name, entry in zip(self.names, found, strict=True):
            if entry is not None:
                try:
                    published.append(_published(_codec.value(entry), now))
                except (ValueError, TypeError, KeyError, IndexError) as error:
                    log.warning(
                        "Region %r: what is kept under %r is no counts (%r). It expires by itself.",
                        self._region, name, error,
                    )  # fmt: skip
        return published


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of the counts of several processes."""
    added = [0] * (len(BOUNDS) + 1)
    sums: dict[str, Any] = dict.fromkeys(_NUMBERS, 0)
    for snapshot in snapshots:
        added = [one + other for one, other in zip(added, snapshot.buckets, strict=True)]
        for name in _NUMBERS:
            sums[name] += getattr(snapshot, name)
    return Snapshot(**sums, buckets=tuple(added))


_NUMBERS = tuple(field.name for field in dataclasses.fields(Snapshot) if field.name != "buckets")


def _interval(backend: Backend, options: Options) -> float:
    able = backend.abilities
    if options.publish_statistics is None or not (able.shared and able.add and able.compare_and_set):
        return math.inf
    return options.publish_statistics


def _published(told: Any, now: float) -> Published:
    """Raises ``ValueError``, ``TypeError`` or ``KeyError`` for what is not as ``_entry`` makes it."""
    counts = told["counts"]
    buckets = tuple(map(int, counts["buckets"]))
    if len(buckets) != len(BOUNDS) + 1:
        raise ValueError(f"{len(buckets)} buckets, and not {len(BOUNDS) + 1}: of another release")
    numbers = {name: counts[name] for name in _NUMBERS}
    if not all(isinstance(number, int | float) for number in numbers.values()):
        raise ValueError("counts that are no numbers")
    age = max(0.0, now - told["time"])
    return Published(str(told["host"]), int(told["pid"]), age, Snapshot(**numbers, buckets=buckets))


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher.begin_anew()


os.register_at_fork(after_in_child=_after_fork)

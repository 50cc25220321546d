"""What the processes that use a region have done, each told by itself in the region's own server.

A process takes one of a fixed number of slots and writes its counts there now and then: not by a thread, but with
an operation that finds it is time. So they are found again on servers that cannot list their keys, and nothing has
to be kept in order: a process that is gone leaves a slot that expires.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import socket
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fieldstone.errors import ServiceUnavailable
from fieldstone.kvs.backends.base import Backend
from fieldstone.kvs.entries import Codec, version_of
from fieldstone.kvs.options import Options
from fieldstone.kvs.serializers import JSONSerializer
from fieldstone.kvs.statistics import BOUNDS, Snapshot, Statistics

if TYPE_CHECKING:
    from fieldstone.kvs.region import Region
    from fieldstone.kvs.runner import Runner

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
        self._prefix = region if options.prefix is None else options.prefix
        able, interval = backend.abilities, options.publish_statistics or math.inf
        is_fitting = backend.check_key(self._name(SLOTS - 1)) is None
        self.is_able = (
            able.shared and able.add and able.compare_and_set and is_fitting and not math.isinf(interval)
        )
        """Whether the processes of this region tell their counts: its backend can, and nothing turns it off."""
        self._interval = interval if self.is_able else math.inf
        # Where entries are part of the caller's transaction: what is written there may be taken back, keeps others
        # waiting until its end, and may fail it.
        self._after_commit: Callable[[Callable[[], None]], None] | None = getattr(backend, "after_commit", None)
        self._begin()
        _publishers.add(self)

    def _begin(self) -> None:
        self.due = time.perf_counter() + self._interval
        """When it is time, by ``perf_counter``; infinity: never."""
        self._guard = threading.Lock()
        self._process = uuid.uuid4().hex
        self._slot: str | None = None
        self._version = b""

    def begin_anew(self) -> None:
        """For a child after a fork: what its parent did is not its own, nor are locks that its threads held."""
        self.statistics.begin_anew()
        self._begin()

    @property
    def names(self) -> list[str]:
        """Of the slots."""
        return [self._name(slot) for slot in range(SLOTS)]

    def _name(self, slot: int) -> str:
        # With the region's name, for those that share a prefix. No name of a key has a ``%`` at this place, unless
        # the prefix is empty: such a key is then a slot taken, or takes one away.
        return f"{self._prefix}%{self._region}/{slot}"

    def publish(self, runner: Runner) -> None:
        """Raises nothing: what fails is counted as an error of the region, and tried again when its time comes."""
        if self._is_turn():
            with self._undisturbed():
                if self._after_commit:
                    self._after_commit(partial(self._tell, runner))
                else:
                    self._tell(runner)

    async def apublish(self, runner: Runner) -> None:
        if self._is_turn():
            with self._undisturbed():
                if self._after_commit:
                    await runner.backend.acall("after_commit", partial(self._tell, runner))
                else:
                    await runner.arun(self._publication())

    def _is_turn(self) -> bool:
        """Whether it is this caller's, of all threads' and coroutines'."""
        with self._guard:
            if time.perf_counter() < self.due:
                return False
            self.due = math.inf
            return True

    def _tell(self, runner: Runner) -> None:
        with self._undisturbed():
            runner.run(self._publication())

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        self.due = math.inf  # the calls that tell find it is not time
        try:
            yield
        except Exception as error:  # whatever it is: the operation that it came along with has succeeded
            if not isinstance(error, ServiceUnavailable):  # that has been counted where it was raised
                self.statistics.failed()
            log.debug("Region %r could not tell its counts: %s: %s", self._region, type(error).__name__, error)
        finally:
            self.due = time.perf_counter() + self._interval

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
        process = {"process": self._process, "host": socket.gethostname(), "pid": os.getpid()}
        return _codec.encode({**process, "time": time.time(), "counts": counts})

    def read(self, found: Sequence[bytes | None]) -> list[Published]:
        """What was found under ``names``, of each process its newest."""
        now = time.time()
        newest: dict[str, Published] = {}  # one that did not learn that it had written has taken a second slot
        for name, entry in zip(self.names, found, strict=True):
            if entry is not None:
                try:
                    process, published = _published(_codec.value(entry), now)
                except (ValueError, TypeError, KeyError, IndexError) as error:
                    log.warning(
                        "Region %r: what is kept under %r is no counts (%r). It expires by itself.",
                        self._region, name, error,
                    )  # fmt: skip
                else:
                    newest[process] = min(newest.get(process, published), published, key=lambda one: one.age)
        return list(newest.values())


def published(region: Region) -> list[Published]:
    """What the processes that use this region have told lately. Raises ``ServiceUnavailable``."""
    runner = region._runner()
    publisher = runner.publisher
    return publisher.read(runner.call("get_many", publisher.names)) if publisher.is_able else []


async def apublished(region: Region) -> list[Published]:
    """``published`` for a coroutine."""
    runner = region._runner()
    publisher = runner.publisher
    return publisher.read(await runner.acall("get_many", publisher.names)) if publisher.is_able else []


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


def _published(told: Any, now: float) -> tuple[str, Published]:
    """What a process is known by, and what it told.

    Raises ``ValueError``, ``TypeError`` or ``KeyError`` for what is not as ``_entry`` makes it.
    """
    counts = told["counts"]
    buckets = tuple(map(int, counts["buckets"]))
    if len(buckets) != len(BOUNDS) + 1:
        raise ValueError(f"{len(buckets)} buckets, and not {len(BOUNDS) + 1}: of another release")
    numbers = {name: counts[name] for name in _NUMBERS}
    if not all(isinstance(number, int | float) for number in numbers.values()):
        raise ValueError("counts that are no numbers")
    age = max(0.0, now - told["time"])
    counted = Snapshot(**numbers, buckets=buckets)
    return str(told["process"]), Published(str(told["host"]), int(told["pid"]), age, counted)


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher.begin_anew()


os.register_at_fork(after_in_child=_after_fork)

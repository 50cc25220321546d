"""Locks held by processes, which are killed, or sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

from fieldstone.errors import LockTimeout
from fieldstone.kvs import Region
from fieldstone.testing.contracts.locks.base import OnLocks
from fieldstone.testing.contracts.locks.checks import LONG, token
from fieldstone.testing.contracts.processes import Barrier, Event, Value, Workers


class HeldByProcesses(OnLocks):
    """Locks held by processes, which are killed, or sleep."""

    def test_processes_are_kept_apart_and_their_fences_grow(self, shared: Region, workers: Workers) -> None:
        inside, start = Value("i", 0), Barrier(4)

        def work(number: int) -> Iterator[Any]:
            start.wait(self.patience)
            for _ in range(10):
                with shared.lock("key", timeout=LONG, blocking_timeout=self.patience) as lock:
                    inside.value += 1
                    time.sleep(0.001)  # for others to come in
                    assert inside.value == 1, "two were inside at once"
                    fence = lock.fence
                    inside.value -= 1
                yield fence

        fences = workers.all(4, work)
        assert len(list(chain.from_iterable(fences))) == 40
        if shared.abilities.fencing:
            assert len(set(chain.from_iterable(fences))) == 40
            assert all(told == sorted(told) for told in fences)

    def test_a_lock_that_a_killed_process_held_is_free_after_its_timeout(
        self, shared: Region, workers: Workers
    ) -> None:
        def hold(held: Any) -> Iterator[Any]:
            lock = shared.lock("key", timeout=self.brief).acquire()
            held.set()
            yield lock.fence
            threading.Event().wait()

        held = Event()
        worker = workers.start(hold, held)
        fence = worker.next()
        worker.kill()
        with shared.lock("key", blocking_timeout=self.patience) as lock:
            if shared.abilities.fencing:
                assert token(lock) > fence

    def test_a_process_that_slept_past_its_timeout_finds_its_lock_expired(
        self, shared: Region, workers: Workers
    ) -> None:
        def hold() -> Iterator[Any]:
            lock = shared.lock("key", timeout=self.brief).acquire()
            yield lock.fence
            self.eventually(lambda: lock.expired)
            try:
                shared.set("key", "late", lock)
            except LockTimeout:
                yield "refused"

        worker = workers.start(hold)
        fence = worker.next()
        worker.pause()
        with shared.lock("key", blocking_timeout=self.patience) as lock:
            if shared.abilities.fencing:
                assert token(lock) > fence
            shared.set("key", "mine", lock)
        worker.resume()
        assert worker.rest() == ["refused"]
        assert shared.get("key") == "mine"

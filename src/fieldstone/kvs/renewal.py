"""Prolonging a lock in the background, as long as it is held."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

from fieldstone.errors import LockNotHeldError, LockTimeout

if TYPE_CHECKING:
    from fieldstone.kvs.locks import KeyValueStoreLock

log = logging.getLogger("fieldstone.kvs")

SHARE = 1 / 3
"""Of the timeout, after which a lock is renewed: two more tries fit in before it is over."""


class Renewal:
    """Renews one lock, from a thread or from a task of the loop, until it is stopped or the lock is lost."""

    def __init__(self, lock: KeyValueStoreLock) -> None:
        self._lock = lock
        self._interval = (lock.lock_timeout or 0) * SHARE
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._stopped = threading.Event()
        name = f"renewing a lock of {self._lock.region}"
        self._thread = threading.Thread(target=self._renew, args=[self._stopped], name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()  # or its renewal would come after the release
        self._thread = None

    def astart(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._arenew())

    async def astop(self) -> None:
        if self._task and self._task is not asyncio.current_task():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def _renew(self, stopped: threading.Event) -> None:
        try:
            while not stopped.wait(self._interval) and self._is_renewed():
                pass
        finally:
            leave_thread = getattr(self._lock.mutex, "leave_thread", None)
            if leave_thread:
                leave_thread()

    def _is_renewed(self) -> bool:
        """Whether it is, or can still be."""
        try:
            self._lock.renew()
        except (LockTimeout, LockNotHeldError):
            return False
        except Exception as error:
            return not self._is_over(error)
        return True

    async def _arenew(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self._lock.arenew()
            except (LockTimeout, LockNotHeldError):
                return
            except Exception as error:
                if self._is_over(error):
                    return

    def _is_over(self, error: Exception) -> bool:
        """After a failure: whether the time that was left is over too, so that the lock is lost."""
        log.warning("A lock of region %r could not be renewed: %s", self._lock.region, type(error).__name__)
        if time.monotonic() + self._interval < self._lock.acquire_time + (self._lock.lock_timeout or 0):
            return False
        self._lock._lose()
        return True

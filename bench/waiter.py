"""A process that waits for locks, for the row ``lock-handoff``: it is told which, and says when it had it."""

from __future__ import annotations

import os
import time
import traceback
from multiprocessing.connection import Connection

import django


def wait(pipe: Connection, url: str) -> None:
    """Until the other end is closed."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.store_settings"
    django.setup()  # this is a new process

    from bench.regions.redis import waiting_lockers  # imports models, on its way

    lockers = {locker.title: locker for locker in waiting_lockers(url)}
    while True:
        try:
            title, name = pipe.recv()
        except EOFError:
            return
        locker = lockers[title]
        try:
            pipe.send(0.0)
            held = locker.acquire(name)
            acquired = time.monotonic()  # one clock for all processes
            locker.release(held)
            pipe.send(acquired)
        except Exception:
            pipe.send(traceback.format_exc())

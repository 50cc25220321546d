"""dogpile.cache's own lock on memcached, under the same checks: the suite can fail, and this is where."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from dogpile.cache import make_region

from fieldstone.kvs import KeyValueStoreLock
from fieldstone.testing.contracts.locks.checks import CHECKS, Locks
from tests.kvs.backends import MEMCACHED

SECONDS, AT_MOST = 3, 30
"""What has not ended by then waits without bound. What succeeds may take longer: its random pauses double."""

END = "that is all"

FAILED = {
    # It waits for as long as another holds it, itself too.
    "excludes_others",
    "waits_no_longer_than_it_was_told",
    "is_not_given_again_to_the_thread_that_holds_it",
    "is_not_let_go_by_who_never_had_it",
    # Whoever lets go deletes what is there, and is told nothing.
    "is_not_let_go_by_who_held_it_before",
    "tells_who_lets_go_too_late",
    # It has neither a number for its holder nor a way to stay.
    "gives_each_holder_a_greater_fence",
    "is_held_longer_when_it_is_renewed",
}
BY_CHANCE = {
    # It pauses for random times that double: several that wait may be through in time, or not.
    "gets_what_is_let_go_while_it_waits",
    "keeps_threads_apart",
    # memcached ends a second at its next tick, which may be sooner than the holder's own clock says.
    "authorises_nothing_after_its_timeout",
}


def foreign_locks(prefix: str) -> Locks:
    def make(key, timeout, blocking_timeout):
        arguments = {"url": os.environ[MEMCACHED.variable], "distributed_lock": True, "lock_timeout": int(timeout)}
        region = make_region().configure("dogpile.cache.pymemcache", arguments=arguments)
        return KeyValueStoreLock(region.backend.get_mutex(prefix + key), key, lock_timeout=timeout)

    return Locks(make, brief=1.0)


def attempt(checks) -> Iterator[str]:
    """The checks that end, and well: all at once, in threads that nobody waits for beyond the time."""
    passed: queue.SimpleQueue[str] = queue.SimpleQueue()

    def run(check):
        with contextlib.suppress(Exception, pytest.fail.Exception):
            check(foreign_locks(uuid.uuid4().hex))
            passed.put(check.__name__)

    for check in checks:
        threading.Thread(target=run, args=[check], daemon=True).start()
    begun, left = time.monotonic(), {check.__name__ for check in checks} - FAILED
    with contextlib.suppress(queue.Empty):
        while True:
            until = begun + (AT_MOST if left else SECONDS)
            name = passed.get(timeout=max(until - time.monotonic(), 0))
            left.discard(name)
            yield name
    yield END


def test_the_foreign_mutex_fails_what_it_cannot_do_and_passes_the_rest(workers):
    """In a process of its own, with which those end that wait without bound."""
    if MEMCACHED.obstacle:
        pytest.skip(MEMCACHED.obstacle)
    checks = [check for check in CHECKS if check.__name__ not in BY_CHANCE]
    passed = iter(workers.start(attempt, checks).next, END)
    assert set(passed) == {check.__name__ for check in checks} - FAILED


def test_every_failure_is_of_a_check_that_there_is():
    assert {check.__name__ for check in CHECKS} >= FAILED | BY_CHANCE

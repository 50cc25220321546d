"""dogpile.cache's own lock on memcached, under the same checks: the suite can fail, and this is where."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
import uuid

import pytest
from dogpile.cache import make_region

from fieldstone.kvs import KeyValueStoreLock
from tests.kvs.backends import MEMCACHED
from tests.kvs.contract.lock_checks import CHECKS, Locks

SECONDS = 6
"""What has not ended by then waits without bound: what succeeds is over before."""

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
BY_CHANCE = {"gets_what_is_let_go_while_it_waits", "keeps_threads_apart"}
"""It pauses for random times that double: several that wait may be through in time, or not."""


def foreign_locks(prefix: str) -> Locks:
    def make(key, timeout, blocking_timeout):
        arguments = {"url": os.environ[MEMCACHED.variable], "distributed_lock": True, "lock_timeout": int(timeout)}
        region = make_region().configure("dogpile.cache.pymemcache", arguments=arguments)
        return KeyValueStoreLock(region.backend.get_mutex(prefix + key), key, lock_timeout=timeout)

    return Locks(make, brief=1.0)


def passes(check, outcomes) -> None:
    with contextlib.suppress(Exception, pytest.fail.Exception):
        check(foreign_locks(uuid.uuid4().hex))
        outcomes.append(check.__name__)


# dogpile's clients leave their sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_foreign_mutex_fails_what_it_cannot_do_and_passes_the_rest():
    if MEMCACHED.obstacle:
        pytest.skip(MEMCACHED.obstacle)
    passed = []
    checks = [check for check in CHECKS if check.__name__ not in BY_CHANCE]
    # What waits without bound ends with the tests.
    threads = [threading.Thread(target=passes, args=[check, passed], daemon=True) for check in checks]
    for thread in threads:
        thread.start()
    until = time.monotonic() + SECONDS
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    gc.collect()  # the sockets, while their warnings are ignored
    assert set(passed) == {check.__name__ for check in checks} - FAILED


def test_every_failure_is_of_a_check_that_there_is():
    assert FAILED | BY_CHANCE <= {check.__name__ for check in CHECKS}

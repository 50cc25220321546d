"""dogpile.cache's own lock on memcached, under the same checks: the suite can fail, and this is where."""

from __future__ import annotations

import os
import threading
import uuid

import pytest
from dogpile.cache import make_region

from fieldstone.kvs import KeyValueStoreLock
from tests.kvs.backends import MEMCACHED
from tests.kvs.contract import lock_checks
from tests.kvs.contract.lock_checks import CHECKS, Locks

SECONDS = 4
"""What has not ended by then waits without bound: each check that succeeds is over before."""

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


@pytest.fixture
def foreign_locks():
    if MEMCACHED.obstacle:
        pytest.skip(MEMCACHED.obstacle)
    prefix = uuid.uuid4().hex

    def make(key, timeout, blocking_timeout):
        arguments = {
            "url": os.environ[MEMCACHED.variable],
            "distributed_lock": True,
            "lock_timeout": int(timeout),
        }
        mutex = make_region().configure("dogpile.cache.pymemcache", arguments=arguments).backend.get_mutex(prefix + key)
        return KeyValueStoreLock(mutex, key, lock_timeout=timeout)

    return Locks(make, brief=1.0)


def passes(check, locks) -> bool:
    """Whether it ends, and well."""
    outcome = []

    def run():
        try:
            check(locks)
        except (Exception, pytest.fail.Exception):
            outcome.append(False)
        else:
            outcome.append(True)

    thread = threading.Thread(target=run, daemon=True)  # what waits without bound ends with the tests
    thread.start()
    thread.join(SECONDS)
    return outcome == [True]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_foreign_mutex_fails_what_it_cannot_do(foreign_locks, check):
    assert passes(check, foreign_locks) is (check.__name__ not in FAILED)


def test_every_failure_is_of_a_check_that_there_is():
    assert FAILED <= {check.__name__ for check in lock_checks.CHECKS}

"""Regions of dogpile.cache on our backends."""

from __future__ import annotations

import logging
import pickle
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE

from fieldstone.errors import (
    BadSignatureError,
    InvalidEntryError,
    InvalidKeyError,
    LockNotAcquiredError,
    ServiceUnavailable,
)
from fieldstone.kvs.bridge import register
from fieldstone.kvs.serializers import JSONSerializer
from tests.kvs.backends import REDIS, each

from .conftest import FACED

SHARED_BY_REGIONS = [kind for kind in FACED if kind.store != "memory"]


def memory(**arguments):
    return make_region("r").configure("fieldstone.memory", arguments=arguments)


@each(FACED)
def test_values_are_kept_and_none_is_one(theirs):
    theirs.set_multi({"a": {"b": [1, "ü"]}, "b": None})
    assert theirs.get_multi(["b", "c", "a"]) == [None, NO_VALUE, {"b": [1, "ü"]}]
    theirs.delete("a")
    theirs.delete_multi(["b", "c"])
    assert theirs.get_multi(["a", "b", "c"]) == [NO_VALUE] * 3


@each(FACED)
def test_a_decorated_function_is_called_once_whatever_its_key_looks_like(theirs):
    calls = []

    @theirs.cache_on_arguments()
    def described(number, word):
        calls.append(number)
        return f"{number} {word}"

    described.invalidate(1, "line\nof words")
    assert described(1, "line\nof words") == described(1, "line\nof words") == "1 line\nof words"
    assert calls == [1]
    described.invalidate(1, "line\nof words")


@each(FACED)
def test_of_many_threads_one_creates_a_value(theirs):
    calls, all_here = [], threading.Barrier(6)

    def create():
        calls.append(1)
        return len(calls)

    def get(_):
        all_here.wait()
        return theirs.get_or_create("a", create)

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(get, range(6))) == {1}
    assert calls == [1]


@each(SHARED_BY_REGIONS)
def test_regions_share_values_and_locks(make_theirs):
    one, two = make_theirs(), make_theirs(blocking_timeout=0.05)
    one.set("a", 1)
    assert two.get("a") == 1
    held, wanted = one.backend.get_mutex("a"), two.backend.get_mutex("a")
    assert held.acquire()
    assert wanted.locked()
    assert wanted.acquire(False) is False
    with pytest.raises(LockNotAcquiredError):
        wanted.acquire()
    assert wanted.release() is False  # it is not the owner
    assert held.locked()
    assert held.release() is True
    assert wanted.acquire(False) is True
    assert wanted.release() is True


@each(FACED)
def test_a_pickle_that_somebody_planted_is_not_run(theirs):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the pickle was run",)

    theirs.backend.set_serialized("a", b'{"ct": 1, "v": 2}|' + pickle.dumps(Trap()))
    assert theirs.get("a") is NO_VALUE
    assert theirs.get_or_create("a", lambda: "anew") == "anew"


def test_a_shared_mutex_knows_its_holders_apart():
    """dogpile gives all threads one object for a key."""
    mutex = memory(lock_timeout=60, blocking_timeout=60).backend.get_mutex("a")
    order = []

    def hold(_):
        mutex.acquire()
        order.append("in")
        order.append("out")
        assert mutex.release() is True

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(hold, range(20)))
    assert order == ["in", "out"] * 20
    assert mutex.release() is False


def test_who_comes_too_late_does_not_release_the_next_holder_s_lock(caplog):
    region, now = memory(lock_timeout=10), 0.0
    region.backend.backend._clock = lambda: now
    mutex = region.backend.get_mutex("a")
    assert mutex.acquire()
    now = 11.0
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(mutex.acquire, False).result()
    assert mutex.release() is False
    assert mutex.locked()
    assert "its 10 s were over" in caplog.text


def test_who_comes_in_time_releases_its_own_though_an_earlier_holder_is_late():
    region, now = memory(lock_timeout=10), 0.0
    region.backend.backend._clock = lambda: now
    mutex = region.backend.get_mutex("a")
    assert mutex.acquire()
    now = 11.0
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(mutex.acquire, False).result()
        assert thread.submit(mutex.release).result() is True
    assert not mutex.locked()
    assert mutex.release() is False


def test_a_mutex_can_be_released_by_another_thread_as_asynchronous_creators_do():
    mutex = memory().backend.get_mutex("a")
    assert mutex.acquire()
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(mutex.release).result() is True
    assert not mutex.locked()


def test_a_mutex_is_renewed_by_its_holder():
    region, now = memory(lock_timeout=10), 0.0
    region.backend.backend._clock = lambda: now
    mutex = region.backend.get_mutex("a")
    assert mutex.renew() is False
    mutex.acquire()
    now = 9.0
    assert mutex.renew() is True
    now = 18.0
    assert mutex.locked()


def test_the_server_keeps_what_is_set_for_the_time_to_live():
    region, now = memory(ttl=10), 0.0
    region.backend.backend._clock = lambda: now
    region.set("a", 1)
    region.set_multi({"b": 2})
    now = 9.9
    assert region.get_multi(["a", "b"]) == [1, 2]
    now = 10.0
    assert region.get_multi(["a", "b"]) == [NO_VALUE, NO_VALUE]


@pytest.mark.parametrize("serializer", ["json", JSONSerializer()])
def test_another_serializer_can_be_named(serializer):
    region = memory(serializer=serializer)
    region.set("a", [1])
    assert region.backend.get_serialized("a").endswith(b"|[1]")
    assert region.get("a") == [1]


def test_pickle_has_to_be_named_and_is_signed():
    region = memory(serializer="pickle")
    region.set("a", {1, 2})
    assert region.get("a") == {1, 2}
    region.backend.set_serialized("a", b'{"ct": 1, "v": 2}|' + bytes(32) + pickle.dumps(1))
    with pytest.raises(BadSignatureError):
        region.get("a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"serializer": "yaml"}, "no serializer 'yaml'"),
        ({"ttl": 0}, "ttl is 0"),
        ({"lock_timeout": "long"}, "lock_timeout is 'long'"),
        ({"blocking_timeout": -1}, "blocking_timeout is -1"),
        ({"max_bytes": 0}, "max_bytes is 0"),
    ],
)
def test_wrong_arguments_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        memory(**arguments)


def test_arguments_that_are_not_known_are_passed_over_and_named_without_their_values(caplog):
    caplog.set_level(logging.DEBUG)
    region = memory(max_bytes=1000, passwort="hunter2")
    region.set("a", 1)
    assert "passwort" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("key", ["", 1])
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(InvalidKeyError):
        memory().get(key)


def test_what_is_too_long_is_refused_and_nothing_is_lost():
    region = memory(max_bytes=100)
    region.set("a", 1)
    for call in (lambda: region.set("b", "x" * 100), lambda: region.set_multi({"a": 2, "b": "x" * 100})):
        with pytest.raises(InvalidEntryError, match="100 are allowed"):
            call()
    assert region.get("a") == 1


@each([REDIS])
def test_a_server_that_does_not_answer_is_told_in_our_words(kind):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://:hunter2@127.0.0.1:{unused.getsockname()[1]}/0"
        region = make_region("r").configure("fieldstone.redis", arguments={"url": url})
        for call in (lambda: region.get("a"), lambda: region.set("a", 1), region.backend.get_mutex("a").acquire):
            with pytest.raises(ServiceUnavailable) as caught:
                call()
            assert "hunter2" not in str(caught.value)
        region.backend.close()


def test_registering_twice_is_harmless():
    register()
    register()
    assert memory().get("a") is NO_VALUE

"""Backends of dogpile.cache under our regions."""

from __future__ import annotations

import os
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from dogpile.cache import register_backend
from dogpile.cache.api import CachedValue
from dogpile.cache.backends.memory import MemoryBackend

from fieldstone.errors import (
    NotFound,
    RegionConfigurationError,
    ServiceUnavailable,
    UnexpectedError,
    UnsupportedError,
)
from fieldstone.kvs import Region
from fieldstone.kvs.backends import polling as polling_module
from fieldstone.kvs.bridge import DogpileBackend, backend_named
from fieldstone.kvs.bridge import foreign as foreign_module

ENTRY = b"m12345678\x01"


class LockingMutex:
    """Of a server that takes a lock away after a time, which the test's clock tells."""

    def __init__(self, held, key):
        self._held, self._key = held, key

    def acquire(self, wait=True):
        assert not wait  # a wait of dogpile's has no end
        return self._held.setdefault(self._key, self) is self

    def release(self):
        self._held.pop(self._key, None)

    def locked(self):
        return self._key in self._held


class Locking(MemoryBackend):
    def __init__(self, arguments):
        super().__init__(arguments)
        self.held = {}
        self.times_out = arguments.get("times_out", False)

    def get_mutex(self, key):
        return LockingMutex(self.held, key)

    def has_lock_timeout(self):
        return self.times_out


register_backend("tests.locking", __name__, "Locking")


@pytest.fixture(
    params=["dogpile.cache.memory", "dogpile.cache.memory_pickle", "dogpile.cache.dbm", "tests.locking"]
)
def backend(request, tmp_path):
    arguments = {"filename": str(tmp_path / "file.dbm")} if request.param.endswith("dbm") else {}
    return DogpileBackend("r", dogpile_name=request.param, **arguments)


@pytest.fixture
def clock(monkeypatch):
    """What the bridge takes for the time: ``clock.now``, in seconds."""

    class Clock:
        now = 1000.0

        def time(self):
            return self.now

        monotonic = time

        def time_ns(self):
            return int(self.now * 1e9)

        def sleep(self, seconds):
            self.now += seconds

    clock = Clock()
    for module in (foreign_module, polling_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def nobody():
    """An address where no server answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{unused.getsockname()[1]}"


def test_entries_are_kept_as_they_are(backend):
    backend.set_many({"a": ENTRY, "b": b""}, None)
    assert backend.get_many(["b", "c", "a"]) == [b"", None, ENTRY]
    assert backend.get("a") == ENTRY
    assert backend.delete("a") is True
    assert backend.delete("a") is False
    assert backend.delete_many(["b", "b", "c"]) == 1
    assert backend.get_many([]) == []
    backend.set_many({}, None)


def test_an_entry_expires_though_the_backend_keeps_no_times(backend, clock):
    backend.set("brief", ENTRY, 10)
    backend.set("lasting", ENTRY, None)
    clock.now += 9.9
    assert backend.get_many(["brief", "lasting"]) == [ENTRY, ENTRY]
    clock.now += 0.1
    assert backend.get_many(["brief", "lasting"]) == [None, ENTRY]
    assert backend.delete("brief") is False


def test_what_another_wrote_under_the_name_is_no_entry(backend):
    short = b"1234567"
    if backend._is_for_bytes:
        backend.foreign.set_serialized("a", short)
    else:
        backend.foreign.set("a", CachedValue(short, {}))
    assert backend.get("a") is None


def test_a_region_works_on_it(backend, tmp_path):
    arguments = {"filename": str(tmp_path / "other.dbm")} if backend.dogpile_name.endswith("dbm") else {}
    region = Region(f"r{uuid.uuid4().hex}").configure(backend.dogpile_name, ttl=60, **arguments)
    region.set_multi({"a": {"b": [1]}, "n": None})
    region.get("a")["b"].append(2)
    assert region.get_multi(["n", "a"]) == [None, {"b": [1]}]
    with region.get_lock("a") as lock:
        region.delete("a", lock)
    with pytest.raises(NotFound):
        region.get("a")
    assert region.get_or_create("a", lambda: "made") == "made"
    for call in (lambda: region.incr("i"), lambda: region.add("i", 1), region.clear, lambda: region.touch("a")):
        with pytest.raises(UnsupportedError):
            call()


def test_a_lock_excludes_others_until_its_owner_releases_it(backend):
    fence = backend.acquire("a", "one", 60, 0)
    assert fence > 0
    assert backend.locked("a")
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(backend.acquire, "a", "two", 60, 0.02).result() is None
        assert thread.submit(backend.release, "a", "two").result() is False
    assert backend.release("a", "one") is True
    assert backend.release("a", "one") is False
    assert not backend.locked("a")
    assert backend.acquire("a", "three", 60, 0) > fence
    assert backend.release("a", "three") is True


def test_a_lock_that_becomes_free_is_had_by_who_waits(clock):
    backend = DogpileBackend("r", dogpile_name="tests.locking")
    assert backend.acquire("a", "one", 60, 0)
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            assert backend.release("a", "one")

    clock.sleep = sleep
    assert backend.acquire("a", "two", 60, 10)
    assert len(waits) == 3


def test_waiting_takes_no_longer_than_allowed(clock):
    backend = DogpileBackend("r", dogpile_name="tests.locking")
    assert backend.acquire("a", "one", 60, 0)
    began = clock.now
    assert backend.acquire("a", "two", 60, 3) is None
    assert clock.now == pytest.approx(began + 3)


def test_a_lock_that_the_server_took_away_is_not_released_for_the_next_holder(clock):
    backend = DogpileBackend("r", dogpile_name="tests.locking", times_out=True)
    assert backend.acquire("a", "one", 5, 0)
    assert backend.renew("a", "one", 5) is False  # dogpile has no call for it
    clock.now += 6
    backend.foreign.held["a"] = "another process"
    assert backend.release("a", "one") is False
    assert backend.foreign.held == {"a": "another process"}


def test_a_lock_that_no_server_takes_away_is_let_go_late_and_its_owner_is_told(clock):
    backend = DogpileBackend("r", dogpile_name="tests.locking")
    assert backend.acquire("a", "one", 5, 0)
    clock.now += 4
    assert backend.renew("a", "one", 5) is True
    clock.now += 4
    assert backend.acquire("a", "two", 5, 0) is None
    clock.now += 2
    assert backend.renew("a", "one", 5) is False
    assert backend.release("a", "one") is False
    assert backend.acquire("a", "two", 5, 0)


def test_threads_are_kept_apart_where_the_backend_has_no_lock():
    region = Region(f"r{uuid.uuid4().hex}").configure("dogpile.cache.memory")
    with region.get_lock("a"), ThreadPoolExecutor(1) as thread, pytest.raises(UnexpectedError):
        thread.submit(region.lock("a", blocking_timeout=0.02).acquire).result()


def test_the_abilities_promise_nothing_that_is_not_so(backend):
    abilities = backend.abilities
    assert abilities.shared is (backend.dogpile_name in ("dogpile.cache.dbm", "tests.locking"))
    for name in ("add", "incr", "compare_and_set", "touch", "iterate", "fair_locks", "honest_locks", "fencing"):
        assert getattr(abilities, name) is False


def test_a_name_that_dogpile_does_not_know_is_told():
    assert backend_named("dogpile.cache.nowhere") is None
    with pytest.raises(ValueError, match=r"no backend 'dogpile\.cache\.nowhere'"):
        DogpileBackend("r", dogpile_name="dogpile.cache.nowhere")
    with pytest.raises(RegionConfigurationError, match=r"no backend 'dogpile\.cache\.nowhere'"):
        Region("r").configure("dogpile.cache.nowhere")


def test_an_argument_that_is_missing_is_named():
    with pytest.raises(RegionConfigurationError, match="wants the argument 'filename'"):
        Region("r").configure("dogpile.cache.dbm")


def test_dogpile_s_own_redis_backend_works_and_its_errors_are_told(nobody):
    region = Region("r").configure("dogpile.cache.redis", url=f"redis://{nobody}/0")
    with pytest.raises(ServiceUnavailable):
        region.get("a")
    if "FIELDSTONE_REDIS_URL" not in os.environ:
        pytest.skip("FIELDSTONE_REDIS_URL is not set: scripts/with_servers.py starts the server")
    url, name = os.environ["FIELDSTONE_REDIS_URL"], f"r{uuid.uuid4().hex}"
    region = Region(name).configure("dogpile.cache.redis", url=url, distributed_lock=True, thread_local_lock=False)
    region.set("a", [None], ttl=60)
    assert region.get("a") == [None]
    with region.get_lock("a") as lock:
        region.delete("a", lock)
    region.backend.foreign.reader_client.close()

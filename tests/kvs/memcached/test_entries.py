"""Entries on a real memcached."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from pymemcache import Client

from fieldstone.kvs.backends.memcached import DRIVERS, MemcachedBackend
from fieldstone.kvs.backends.memcached.drivers import Pymemcache, Timing
from fieldstone.kvs.entries import integer_entry, version_of
from tests.kvs.workers import Workers, eventually, in_threads


def test_what_is_set_comes_back_and_is_deleted_once(backend, name):
    entry = bytes(range(256))
    backend.set(name, entry, None)
    assert backend.get(name) == entry
    assert backend.delete(name)
    assert not backend.delete(name)
    assert backend.get(name) is None


def test_thousands_are_set_read_and_deleted_in_one_call(backend, name):
    entries = {f"{name}-{n}": b"x" * 300 for n in range(5000)}
    backend.set_many(entries, 60)
    assert backend.get_many([*entries, f"{name}-absent"]) == [*entries.values(), None]
    assert backend.delete_many([*entries, f"{name}-absent", f"{name}-1"]) == 5000


def test_an_entry_is_there_all_its_time_and_not_longer(backend, name):
    """Though the server counts whole seconds: one it took for a second would be gone at its clock's next tick."""
    until = time.time() + 1.0
    backend.set(name, b"entry", 1.0)
    seen = []
    while (now := time.time()) < until + 0.05:
        seen.append((now, backend.get(name)))
    assert [entry for moment, entry in seen if moment < until - 0.05].count(None) == 0
    assert seen[-1][1] is None


def test_parts_of_a_second_count(backend, name):
    backend.set(name, b"entry", 0.05)
    eventually(lambda: backend.get(name) is None)
    assert not backend.delete(name)
    assert backend.delete_many([name]) == 0
    assert not backend.touch(name, 60)
    assert not backend.compare_and_set(name, integer_entry(1), bytes(8), None)
    assert backend.add(name, b"another", 0.05)
    eventually(lambda: backend.get(name) is None)
    assert backend.incr(name, 1, 10, None) == 11


@pytest.mark.parametrize("days", [29.999, 30, 30.001, 365, 10**9])
def test_more_than_thirty_days_are_no_date_in_the_past(backend, name, days):
    backend.set(name, b"entry", days * 86400)
    assert backend.get(name) == b"entry"
    assert backend.touch(name, days * 86400)
    assert backend.get(name) == b"entry"


def test_the_server_itself_lets_go_of_what_has_ended(url, backend, name):
    """Not only we: otherwise what is never read again would keep its room."""
    backend.set(name, b"entry", 0.1)
    client = Client(url)
    eventually(lambda: client.get(name) is None)
    client.close()


def test_counting_and_replacing_keep_what_they_should(backend, name):
    backend.set(name, integer_entry(1), 0.4)
    assert backend.incr(name, 2, 0, None) == 3
    stored = backend.get(name)
    eventually(lambda: backend.get(name) is None)
    backend.set(name, stored, None)
    assert not backend.compare_and_set(name, integer_entry(9), bytes(8), None)
    assert backend.compare_and_set(name, integer_entry(4), version_of(stored), None)
    assert backend.incr(name, 0, 0, None) == 4
    assert not backend.add(name, b"other", None)


def test_a_value_over_the_servers_limit_is_refused_and_what_was_there_stays(backend, name):
    """The server would delete it."""
    limit = 2**20  # its default
    backend.set(name, b"before", None)
    for write in (
        lambda: backend.set(name, b"x" * limit, None),
        lambda: backend.set_many({name: b"x" * limit}, 60),
        lambda: backend.add(name, b"x" * limit, None),
        lambda: backend.compare_and_set(name, b"x" * limit, bytes(8), None),
    ):
        with pytest.raises(ValueError, match="takes"):
            write()
    assert backend.get(name) == b"before"
    largest = b"x" * (limit - 64 - len(name) - 8)
    backend.set(name, largest, 60)
    assert backend.get(name) == largest


def test_what_the_server_itself_refuses_is_the_same_error(url, name):
    driver = Pymemcache(("127.0.0.1", int(url.rpartition(":")[2])), Timing(3, 3, 1))
    with pytest.raises(ValueError, match="too large"):
        driver.set(name, b"x" * 2**20, 0)
    driver.set(name, b"after", 0)
    assert driver.get(name) == b"after"
    driver.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 251, "250"),
        ("with space", "printable"),
        ("tab\t", "printable"),
        ("line\n", "printable"),
        ("\x7f", "printable"),
        ("é", "ASCII"),
        ("", "one character"),
        ("fieldstone-lock:x", "locks"),
        ("fieldstone-fence:x", "locks"),
    ],
)
def test_names_that_memcached_cannot_keep_are_refused_with_the_reason(name, reason):
    backend = MemcachedBackend("region")
    assert reason in backend.check_key(name)
    assert backend.check_key("x" * 250) is None
    assert backend.check_key("any!thing~else{}") is None


# Which keys do not expire


def test_all_but_some_keys_expire(url, name):
    backend = MemcachedBackend(
        "region", url=url, memcached_expire_time=0.1, no_expiry_keys=[f"{name}-lasting", "catalog"]
    )
    backend.set(f"{name}-lasting", b"entry", None)
    backend.set_many({f"{name}-a": b"entry", f"{name}-lasting": b"another"}, None)
    backend.set(f"{name}-b", b"entry", 1000)
    eventually(lambda: backend.get(f"{name}-a") is None)
    assert backend.get_many([f"{name}-lasting", f"{name}-b"]) == [b"another", b"entry"]
    backend.close()


def test_setting_the_mangler_finds_the_names_anew():
    backend = MemcachedBackend("region", no_expiry_keys=["a", "b"])
    assert backend.no_expiry_hashed_keys == {"a", "b"}
    backend.key_mangler = lambda key: f"region:{key}"
    assert backend.no_expiry_hashed_keys == {"region:a", "region:b"}
    backend.key_mangler = None
    assert backend.no_expiry_hashed_keys == {"a", "b"}
    assert backend.no_expiry_keys == ["a", "b"]


# Many at once


def count(number, backend, name, times):
    for _ in range(times):
        yield backend.incr(name, 1, 0, None)


def test_eight_processes_that_count_lose_nothing(backend, name):
    with Workers() as workers:
        sums = workers.all(8, count, backend, name, 200)
    assert sorted(sum_ for sums_ in sums for sum_ in sums_) == list(range(1, 1601))


def test_of_those_who_replace_the_same_version_one_does(backend, name):
    backend.set(name, integer_entry(0), None)
    for _ in range(20):
        version = version_of(backend.get(name))

        def replace(number, version=version):
            return backend.compare_and_set(name, integer_entry(number), version, None)

        assert sorted(in_threads(4, replace)) == [False, False, False, True]


def read(backend, name, entry, times):
    yield "begun"
    for _ in range(times):
        assert backend.get(name) == entry
    yield "done"


def test_a_forked_process_shares_no_socket_with_its_parent(backend, name):
    """Each would read answers that are the other's."""
    backend.set_many({f"{name}-{n}": b"%d" % n for n in range(3)}, None)
    assert backend.get(f"{name}-0") == b"0"
    with Workers() as workers:
        others = [workers.start(read, backend, f"{name}-{n}", b"%d" % n, 300) for n in (1, 2)]
        for _ in range(300):
            assert backend.get(f"{name}-0") == b"0"
        assert [other.rest() for other in others] == [["begun", "done"]] * 2


def test_threads_wait_for_a_connection_when_all_are_in_use(url, name):
    backend = MemcachedBackend("region", url=url, max_pool_size=2)
    backend.set(name, b"entry", None)
    assert in_threads(8, lambda _: {backend.get(name) for _ in range(100)}) == [{b"entry"}] * 8
    client = Client(url)
    assert len(backend._only._free) <= 2
    client.close()
    backend.close()


# Servers that fail


class Mute:
    """Takes connections, and answers nothing."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self):
        self._socket.close()


@pytest.fixture
def mute():
    mute = Mute()
    yield mute
    mute.close()


def test_a_server_that_does_not_answer_is_unavailable_after_the_timeout(mute):
    backend = MemcachedBackend("region", url=mute.url, timeout=0.05)
    for call in (lambda: backend.get("a"), lambda: backend.set("a", b"entry", None), lambda: backend.delete("a")):
        with pytest.raises(backend.unavailable):
            call()
    backend.close()


def test_a_pool_that_is_used_up_says_what_to_raise(mute):
    backend = MemcachedBackend("region", url=mute.url, timeout=0.2, max_pool_size=1)
    driver = backend._only
    taken = driver._take()
    with pytest.raises(TimeoutError, match="max_pool_size"):
        backend.get("a")
    driver._give(taken)
    backend.close()


def test_a_server_that_is_not_there_is_unavailable(mute):
    mute.close()
    backend = MemcachedBackend("region", url=mute.url)
    with pytest.raises(backend.unavailable):
        backend.get("a")


def test_an_interrupted_call_leaves_no_half_read_answer_behind(url, backend, name):
    """Whoever used that connection next would get it for its own."""
    backend.set_many({f"{name}-a": b"a", f"{name}-b": b"b"}, None)
    driver, interrupted = backend._only, threading.Event()

    def interrupt(client):
        client.sock.sendall(f"get {name}-a\r\n".encode())
        interrupted.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver._do(interrupt)
    assert interrupted.is_set()
    assert backend.get(f"{name}-b") == b"b"


def test_names_stay_on_their_server_and_those_of_a_server_that_is_down_raise(url, mute, name):
    mute.close()
    backend = MemcachedBackend("region", url=f"{url}, {mute.url}")
    where = {f"{name}-{n}": backend._hasher.get_node(f"{name}-{n}") for n in range(50)}
    up = [each for each, server in where.items() if server == url]
    down = [each for each in where if each not in up]
    assert up
    assert down
    backend.set_many(dict.fromkeys(up, b"entry"), None)
    for _ in range(5):  # also when it has failed often
        with pytest.raises(backend.unavailable):
            backend.set(down[0], b"entry", None)
        with pytest.raises(backend.unavailable):
            backend.get_many([*up, down[0]])
    assert backend.get_many(up) == [b"entry"] * len(up)
    assert backend.delete_many(up) == len(up)
    backend.close()


# Configuration


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"memcached_backend": "bmemcached"}, "bmemcached.*pymemcache"),
        ({"url": "http://host/"}, "host:port"),
        ({"url": ""}, "host:port"),
        ({"url": []}, "host:port"),
        ({"url": "host:port"}, "host:port"),
        ({"url": "host:0"}, "host:port"),
        ({"url": ["a:1", "a:1"]}, "twice"),
        ({"timeout": 0}, "timeout"),
        ({"connect_timeout": "3"}, "connect_timeout"),
        ({"memcached_expire_time": -1}, "memcached_expire_time"),
        ({"max_pool_size": 0}, "max_pool_size"),
        ({"no_expiry_keys": "key"}, "no_expiry_keys"),
    ],
)
def test_wrong_options_are_told(options, named):
    with pytest.raises(ValueError, match=named):
        MemcachedBackend("region", **options)


def test_servers_may_be_a_list_or_a_text(url):
    for several in ("a:1,b:2", "a:1, b:2", ["a:1", "b:2"], ("a:1", "b:2")):
        assert MemcachedBackend("region", url=several).address == "a:1, b:2"
    assert MemcachedBackend("region", url="a").address == "a:11211"
    assert MemcachedBackend("region", url="[::1]:1").address == "::1:1"


def test_another_driver_joins_by_its_name(url, name, monkeypatch):
    used = []

    def make(address, timing):
        used.append(address)
        return Pymemcache(address, timing)

    monkeypatch.setitem(DRIVERS, "ours", make)
    backend = MemcachedBackend("region", url=url, memcached_backend="ours")
    backend.set(name, b"entry", None)
    assert used
    backend.close()


def test_the_table_shows_what_the_server_says(backend):
    shown = backend.server_statistics()
    assert shown["version"][0].isdigit()
    assert {"entries", "bytes", "evictions"} <= set(shown)

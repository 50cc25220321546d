"""What the backend keeps, on one server and on a Cluster, for threads and for coroutines."""

from __future__ import annotations

import os

import pytest

from fieldstone.kvs.backends.redis import RedisBackend
from fieldstone.kvs.entries import MAXIMUM, MINIMUM, integer_entry
from tests.kvs.workers import Barrier, Workers, eventually

ENTRY = b"m" + bytes(range(8)) + bytes(range(256)) + b"\r\n$-1\r\n"
OTHER = b"m" + b"\xff" * 8 + b"other"


def extended(number: int) -> bytes:
    return b"I" + os.urandom(8) + b"f" * 16 + b"%d" % number


@pytest.fixture
def names(name: str) -> list[str]:
    """On a Cluster they are on all its servers."""
    return [f"{name}-{number}" for number in range(40)]


@pytest.fixture
def left_ms(backend, name):
    """How long the server is going to keep the entry, -1 for ever, -2 if it is not there."""
    return lambda: backend.run(backend.router.send(name, [("PTTL", name)]))[0]


@pytest.fixture
def found(call):
    """Names that begin so, from one call of ``scan`` after another."""

    def of(prefix: str) -> list[str]:
        names, cursor = call("scan", prefix, None, 50)
        while cursor is not None:
            more, cursor = call("scan", prefix, cursor, 50)
            names += more
        return names

    return of


def test_an_entry_comes_back_as_it_was(call, name):
    assert call("get", name) is None
    call("set", name, ENTRY, None)
    assert call("get", name) == ENTRY


@pytest.mark.parametrize("odd", ["", " ", "{", "}", "{}", "{a}b", "}{", "ключ", "a\0b", "*", "x" * 60_000])
def test_any_text_is_a_name(call, found, name, odd):
    call("set", name + odd, ENTRY, 60)
    assert call("get_many", [name + odd, name + odd + "!"]) == [ENTRY, None]
    assert set(found(name + odd)) == {name + odd}
    assert call("acquire", odd + name, "owner", 5, 0)
    assert call("release", odd + name, "owner")
    assert call("delete", name + odd)


def test_many_entries_come_in_the_order_of_their_names(call, names):
    entries = {name: ENTRY + name.encode() for name in names}
    call("set_many", entries, None)
    wanted = [*reversed(names), "missing", names[3], names[3]]
    assert list(call("get_many", wanted)) == [entries.get(name) for name in wanted]
    assert call("delete_many", [*names[:5], names[0], "missing"]) == 5
    assert list(call("get_many", names[:6])) == [None] * 5 + [entries[names[5]]]


def test_nothing_is_asked_for_no_names(call):
    assert list(call("get_many", [])) == []
    assert call("delete_many", []) == 0
    call("set_many", {}, None)


def test_deleting_tells_whether_it_was_there(call, name):
    call("set", name, ENTRY, None)
    assert call("delete", name) is True
    assert call("delete", name) is False


def test_a_time_to_live_counts_in_milliseconds_and_is_never_none(call, name, left_ms):
    for set_it in (
        lambda ttl: call("set", name, ENTRY, ttl),
        lambda ttl: call("set_many", {name: ENTRY}, ttl),
        lambda ttl: call("touch", name, ttl),
        lambda ttl: call("compare_and_set", name, ENTRY, ENTRY[1:9], ttl),
    ):
        set_it(59.5)
        assert 0 < left_ms() <= 59_500
        set_it(None)
        assert left_ms() == -1
    call("set", name, ENTRY, 0.000_001)
    eventually(lambda: call("get", name) is None)
    call("set", name, ENTRY, 1e300)
    assert left_ms() > 0


def test_setting_anew_ends_the_former_time_to_live(call, name, left_ms):
    call("set", name, ENTRY, 60)
    call("set", name, OTHER, None)
    assert left_ms() == -1


def test_adding_sets_only_what_is_not_there(call, name, left_ms):
    assert call("add", name, ENTRY, 60) is True
    assert call("add", name, OTHER, None) is False
    assert call("get", name) == ENTRY
    assert left_ms() > 0


def test_touching_tells_whether_it_was_there(call, name):
    assert call("touch", name, 5) is False
    assert call("touch", name, None) is False
    call("set", name, ENTRY, None)
    assert call("touch", name, None) is True
    assert call("touch", name, 5) is True
    assert call("get", name) == ENTRY


def test_an_entry_is_replaced_only_if_its_version_is_the_one_known(call, name):
    assert call("compare_and_set", name, OTHER, ENTRY[1:9], None) is False
    call("set", name, ENTRY, None)
    assert call("compare_and_set", name, OTHER, b"another!", None) is False
    assert call("get", name) == ENTRY
    assert call("compare_and_set", name, OTHER, ENTRY[1:9], None) is True
    assert call("get", name) == OTHER


def test_counting_begins_at_the_initial_number_and_keeps_the_time_to_live(call, name, left_ms):
    assert call("incr", name, 5, 37, 60) == 42
    first = call("get", name)
    assert (first[:1], first[9:]) == (b"i", b"42")
    assert call("incr", name, -43, 0, None) == -1
    second = call("get", name)
    assert second[9:] == b"-1"
    assert second[1:9] != first[1:9], "another version at each write"
    assert 0 < left_ms() <= 60_000


def test_counting_leaves_what_stands_before_the_digits(call, name):
    call("set", name, extended(41), None)
    assert call("incr", name, 1, 0, None) == 42
    changed = call("get", name)
    assert (changed[:1], changed[9:]) == (b"I", b"f" * 16 + b"42")


@pytest.mark.parametrize(
    ("before", "by", "after"),
    [
        (MAXIMUM - 1, 1, MAXIMUM),
        (MINIMUM + 1, -1, MINIMUM),
        (2**53, 1, 2**53 + 1),
        (MINIMUM, MAXIMUM, -1),
        (0, MINIMUM, MINIMUM),
    ],
)
def test_counting_is_exact_to_64_bits(call, name, before, by, after):
    for entry in (integer_entry(before), extended(before), None):
        call("delete", name)
        if entry is not None:
            call("set", name, entry, None)
        assert call("incr", name, by, before, None) == after
        assert call("get", name).endswith(b"%d" % after)


@pytest.mark.parametrize(
    ("before", "by"), [(MAXIMUM, 1), (MINIMUM, -1), (0, MAXIMUM + 1), (MAXIMUM + 1, 0), (MINIMUM, MINIMUM)]
)
def test_a_sum_beyond_64_bits_is_refused_and_changes_nothing(call, name, left_ms, before, by):
    entry = integer_entry(before)
    call("set", name, entry, 60)
    with pytest.raises(ValueError, match="64 bits"):
        call("incr", name, by, 0, None)
    assert call("get", name) == entry
    assert left_ms() > 0
    call("delete", name)
    with pytest.raises(ValueError, match="64 bits"):
        call("incr", name, by, before, None)
    assert call("get", name) is None


def test_what_is_no_integer_cannot_be_counted_up_and_stays(call, name):
    call("set", name, ENTRY, None)
    with pytest.raises(ValueError, match="no integer"):
        call("incr", name, 1, 0, None)
    assert call("get", name) == ENTRY


def test_all_names_that_begin_so_are_found_and_no_lock(call, found, names, name):
    beginning = f"{name}*?[a]\\"
    wanted = {f"{beginning}{number}" for number in range(300)}
    call("set_many", dict.fromkeys([*wanted, *names], ENTRY), 60)
    call("acquire", beginning, "owner", 5, 0)
    assert set(found(beginning)) == wanted
    assert wanted <= set(found(""))
    assert not [name for name in found("") if name.startswith("fieldstone.lock:")]


def test_names_of_locks_are_refused(backend):
    assert "those of locks" in backend.check_key("fieldstone.lock:{=a}")
    assert "takes 65536" in backend.check_key("x" * 70_000)
    assert backend.check_key("x" * 65_536) is None


def test_a_script_that_the_server_has_forgotten_is_sent_again(call, backend, name):
    for master in backend.run(backend.router.masters()):
        backend.run(backend.router.exchange(master, [("SCRIPT", "FLUSH")], write=False))
    assert call("incr", name, 1, 0, None) == 1


def test_the_server_says_how_it_is(call, backend, name):
    call("set", name, ENTRY, None)
    told = call("server_statistics")
    assert list(told) == ["version", "memory", "keys", "hits", "misses", "evicted", "eviction"]
    assert int(told["keys"].replace(",", "")) > 0


def counting(number, backend, name, barrier):
    barrier.wait(30)
    for _ in range(100):
        backend.incr(name, 1, 0, None)
    yield number


def replacing(number, backend, name, barrier):
    barrier.wait(30)
    for _ in range(50):
        while True:
            entry = backend.get(name)
            raised = integer_entry(int(entry[9:]) + 1)
            if backend.compare_and_set(name, raised, entry[1:9], None):
                break
    yield number


@pytest.mark.parametrize(("work", "total"), [(counting, 400), (replacing, 200)])
def test_no_change_of_several_processes_is_lost(backend, name, work, total):
    backend.set(name, integer_entry(0), None)
    with Workers() as workers:
        workers.all(4, work, backend, name, Barrier(4))
    assert backend.get(name)[9:] == b"%d" % total


def setting_together(number, backend, names):
    yield number
    while True:
        backend.set_many(dict.fromkeys(names, b"%d" % number), None)


def test_of_several_entries_that_are_set_at_once_all_are_seen_or_none_on_one_server(url, names):
    backend = RedisBackend("tested", url=url)
    assert backend.abilities.atomic_bulk
    with Workers() as workers:
        for number in range(2):
            workers.start(setting_together, number, backend, names).next()
        seen = [tuple(backend.get_many(names)) for _ in range(300)]
    backend.close()
    assert all(len(set(entries)) == 1 for entries in seen)
    assert len(set(seen)) > 1, "nothing was set meanwhile"

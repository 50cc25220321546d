"""dogpile.cache's proxies around our backends."""

from __future__ import annotations

import json
import math

import pytest
from dogpile.cache.api import NO_VALUE, CachedValue
from dogpile.cache.proxy import ProxyBackend

from fieldstone.errors import InvalidEntryError, NotFound, RegionConfigurationError, UnsupportedError
from fieldstone.kvs import Region
from fieldstone.kvs.backends.memory import MemoryBackend
from fieldstone.kvs.bridge import ProxiedBackend
from fieldstone.kvs.entries import Codec
from fieldstone.kvs.serializers import MessagePackSerializer
from tests.kvs.backends import each

from .conftest import FACED

CODEC = Codec(MessagePackSerializer())


class Counting(ProxyBackend):
    """Counts what passes, call by call."""

    def __init__(self):
        self.calls = []

    def get(self, key):
        self.calls.append("get")
        return self.proxied.get(key)

    def get_multi(self, keys):
        self.calls.append("get_multi")
        return self.proxied.get_multi(keys)

    def set(self, key, value):
        self.calls.append("set")
        self.proxied.set(key, value)

    def set_multi(self, mapping):
        self.calls.append("set_multi")
        self.proxied.set_multi(mapping)

    def delete(self, key):
        self.calls.append("delete")
        self.proxied.delete(key)

    def delete_multi(self, keys):
        self.calls.append("delete_multi")
        self.proxied.delete_multi(keys)


class Changing(ProxyBackend):
    """Changes values on their way in, and back on their way out."""

    def changed(self, payload):
        raise NotImplementedError

    def changed_back(self, payload):
        raise NotImplementedError

    def get(self, key):
        return self._out(self.proxied.get(key))

    def get_multi(self, keys):
        return [self._out(value) for value in self.proxied.get_multi(keys)]

    def set(self, key, value):
        self.proxied.set(key, self._in(value))

    def set_multi(self, mapping):
        self.proxied.set_multi({key: self._in(value) for key, value in mapping.items()})

    def _in(self, value):
        return CachedValue(self.changed(value.payload), value.metadata)

    def _out(self, value):
        return value if value is NO_VALUE else CachedValue(self.changed_back(value.payload), value.metadata)


class Wrapping(Changing):
    def changed(self, payload):
        return {"wrapped": payload}

    def changed_back(self, payload):
        return payload["wrapped"]


class Encrypting(Changing):
    """As far as bytes go: what is stored is no MessagePack of the value."""

    def changed(self, payload):
        return bytes(byte ^ 0x5A for byte in json.dumps(payload).encode())

    def changed_back(self, payload):
        return json.loads(bytes(byte ^ 0x5A for byte in payload))


class Unwritable(Changing):
    def changed(self, payload):
        return object()

    def changed_back(self, payload):
        return payload


class Growing(Changing):
    def changed(self, payload):
        return payload * 1000

    def changed_back(self, payload):
        return payload


class Forgetful(Changing):
    """Makes metadata of its own, as dogpile knows it."""

    def _in(self, value):
        return CachedValue(value.payload, {"ct": 1.0, "v": 2})

    def _out(self, value):
        return value


class Swallowing(ProxyBackend):
    def delete(self, key):
        pass


@pytest.fixture
def inner():
    return MemoryBackend("r")


def proxied(inner, *proxies):
    return ProxiedBackend(inner, proxies, CODEC, region="r")


@each(FACED)
@pytest.mark.parametrize("proxies", [[Wrapping, Encrypting], (f"{__name__}.Encrypting", Wrapping())])
def test_what_proxies_change_comes_back_as_it_was(make, proxies):
    region = make(proxy_list=proxies)
    region.set("a", {"b": [1, None]})
    region.set_multi({"n": None, "number": 7})
    assert region.get("a") == {"b": [1, None]}
    assert region.get_multi(["number", "n", "a"]) == [7, None, {"b": [1, None]}]
    assert region.get_or_create("made", lambda: "new", ttl=60, stale=60) == "new"
    assert region.get("made") == "new"
    with region.get_lock("a") as lock:
        region.delete("a", lock)
    with pytest.raises(NotFound):
        region.delete("a")
    assert region.delete_multi(["n", "number", "a", "made"]) == 3


@each(FACED)
def test_the_server_has_what_the_innermost_proxy_made(make):
    region = make(proxy_list=[Wrapping, Encrypting], prefix="")
    region.set("secret-key", "a secret")
    entry = region.backend.inner.get("secret-key")
    assert b"a secret" not in entry
    assert isinstance(CODEC.value(entry), bytes)
    region.delete("secret-key")


def test_the_first_proxy_is_outermost(inner):
    backend = proxied(inner, Wrapping, Encrypting)
    assert isinstance(backend.outermost, Wrapping)
    assert isinstance(backend.outermost.proxied, Encrypting)


def test_each_call_passes_the_proxies_once(inner):
    counting = Counting()
    backend = proxied(inner, counting)
    backend.set("a", CODEC.encode(1), None)
    backend.set_many({"b": CODEC.encode(2)}, None)
    backend.get("a")
    backend.get_many(["a", "b"])
    assert backend.delete("a") is True
    assert backend.delete_many(["a", "b"]) == 1
    assert counting.calls == ["set", "set_multi", "get", "get_multi", "delete", "delete_multi"]


def test_what_an_entry_has_beside_its_value_passes_through(inner):
    backend = proxied(inner, Wrapping)
    plain = CODEC.encode("value")
    extended = CODEC.extended(plain, 1234.5, b"12345678")
    for entry in (plain, extended, CODEC.extended(plain, math.inf, b"12345678"), CODEC.encode(2**40)):
        backend.set("a", entry, None)
        assert backend.get("a") == entry
        assert CODEC.decode(inner.get("a"))[1:] == CODEC.decode(entry)[1:]
        backend.set_many({"a": entry}, None)
        assert backend.get_many(["a", "b"]) == [entry, None]


def test_the_time_to_live_passes_through(inner):
    now = 0.0
    inner._clock = lambda: now
    backend = proxied(inner, Wrapping, Counting)
    entry = CODEC.encode(1)
    backend.set("brief", entry, 10)
    backend.set_many({"short": entry}, 10)
    backend.set("lasting", entry, None)
    now = 9.9
    assert backend.get_many(["brief", "short", "lasting"]) == [entry] * 3
    now = 10.0
    assert backend.get_many(["brief", "short", "lasting"]) == [None, None, entry]


def test_proxies_see_what_they_would_see_with_dogpile(inner):
    seen = []

    class Seeing(Changing):
        def _in(self, value):
            seen.append(value)
            return value

        _out = _in

    backend = proxied(inner, Seeing)
    backend.set("a", CODEC.encode([1]), 60)
    backend.get("a")
    for value in seen:
        assert type(value) is CachedValue
        assert value.payload == [1]
        assert 0 <= value.age < 60
        assert json.loads(json.dumps(value.metadata)) == value.metadata
    assert backend.get("b") is None
    assert seen[-1] is NO_VALUE


def test_metadata_that_a_proxy_makes_itself_is_enough(inner):
    backend = proxied(inner, Forgetful)
    backend.set("a", CODEC.encode([1]), 60)
    assert CODEC.value(backend.get("a")) == [1]


def test_a_proxy_may_keep_a_deletion_to_itself(inner):
    backend = proxied(inner, Swallowing)
    backend.set("a", CODEC.encode(1), None)
    assert backend.delete("a") is False
    assert backend.get("a") is not None


@pytest.mark.parametrize(
    ("proxy", "value", "reason"),
    [(Unwritable, "a", "what a proxy made of it"), (Growing, "abc" * 10, "after the proxies it takes 30,")],
)
def test_what_a_proxy_makes_of_a_value_is_checked_before_it_is_set(proxy, value, reason):
    region = Region("r").configure("memory", max_bytes=10_000, proxy_list=[proxy])
    for call in (lambda: region.set("a", value), lambda: region.set_multi({"a": value})):
        with pytest.raises(InvalidEntryError, match=reason):
            call()
    with pytest.raises(NotFound):
        region.get("a")


def test_what_would_pass_the_proxies_by_is_refused(inner):
    region = Region("r").configure("memory", proxy_list=[Wrapping])
    for call in (
        lambda: region.add("a", 1),
        lambda: region.incr("a"),
        lambda: region.compare_and_set("a", 1, b"12345678"),
    ):
        with pytest.raises(UnsupportedError):
            call()
    assert region.abilities.fencing is inner.abilities.fencing
    assert region.abilities.iterate


def test_keys_and_locks_are_the_backend_s_own():
    region = Region("r").configure("memory", proxy_list=[Wrapping])
    region.set_multi({"a": 1, "b": 2})
    region.touch("a", ttl=60)
    assert sorted(region.keys()) == ["a", "b"]
    fences = []
    for _ in range(2):
        with region.get_lock("a") as lock:
            lock.renew()
            fences.append(lock.fence)
    assert fences[0] < fences[1]
    assert region.clear() == 2
    region.close()


@pytest.mark.parametrize(
    ("proxies", "error", "message"),
    [
        ([dict], TypeError, "<class 'dict'> is no subclass of dogpile.cache.proxy.ProxyBackend"),
        ([Wrapping, 7], TypeError, "proxy 7 is no subclass"),
        (["json.dumps"], TypeError, "'json.dumps' is no subclass"),
        (["no.such.Proxy"], RegionConfigurationError, "no proxy 'no.such.Proxy'"),
        (["Proxy"], RegionConfigurationError, "no proxy 'Proxy'"),
        ("a.b.Proxy", TypeError, "should be a sequence"),
        (Wrapping, TypeError, "should be a sequence"),
    ],
)
def test_a_proxy_that_is_none_is_named(inner, proxies, error, message):
    with pytest.raises(error, match=message):
        ProxiedBackend(inner, proxies, CODEC, region="r")


def test_coroutines_pass_the_proxies_too():
    import asyncio

    region = Region("r").configure("memory", proxy_list=[Wrapping])

    async def use():
        await region.aset("a", [1])
        return await region.aget("a")

    assert asyncio.run(use()) == [1]
    assert CODEC.value(region.backend.inner.get("r:a")) == {"wrapped": [1]}

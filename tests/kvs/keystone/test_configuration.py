"""Configuring Keystone's stores: backends, manglers, proxies, and what happens to wrong ones."""

from __future__ import annotations

import logging
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from dogpile.cache import make_region
from dogpile.cache.util import sha1_mangle_key

from fieldstone.errors import AlreadyConfiguredError, NotConfiguredError, NotFound, RegionConfigurationError
from fieldstone.kvs.keystone import core
from fieldstone.kvs.keystone.backends import inmemdb

from . import others

PROXIES = [f"{others.__name__}.First", f"{others.__name__}.Second"]


# Names and regions


def test_a_name_stands_for_one_store_whichever_thread_asks_first(new_store):
    name = uuid.uuid4().hex
    with ThreadPoolExecutor(8) as threads:
        stores = set(threads.map(lambda _: core.get_key_value_store(name), range(40)))
    assert len(stores) == 1
    assert stores.pop()._region.name == name


def test_a_store_can_be_made_on_a_region_of_dogpile_and_stays_on_it():
    region, name = make_region(name="theirs"), uuid.uuid4().hex
    store = core.get_key_value_store(name, region)
    assert store._region is region
    assert core.get_key_value_store(name) is store
    with pytest.raises(RegionConfigurationError, match="another dogpile region"):
        core.get_key_value_store(name, make_region())


def test_a_region_that_was_configured_before_is_a_configured_store():
    store = core.KeyValueStore(make_region(name="r").configure("dogpile.cache.memory"))
    store.set("a", [1])
    assert store.get("a") == [1]
    with pytest.raises(AlreadyConfiguredError):
        store.configure("openstack.kvs.Memory")


def test_backends_of_others_are_named_in_the_settings_and_get_their_arguments(new_store):
    store = new_store()
    store.configure("openstack.kvs.Mangling", test_arg=100)
    assert isinstance(store._region.backend, others.Mangling)
    assert store._region.backend.test_arg == 100


def test_the_memory_backend_is_the_one_of_the_old_module(store):
    assert isinstance(store._region.backend, inmemdb.MemoryBackend)


def test_registering_twice_changes_nothing(store):
    core._register_backends()
    core._register_backends()
    store.set("a", 1)
    assert store.get("a") == 1


def test_the_prefix_of_the_options_is_a_setting(new_store, fieldstone):
    fieldstone(KEYSTONE_CONFIG_PREFIX="some.prefix")
    store = new_store()
    store.configure("openstack.kvs.Mangling", test_arg="x")
    assert store._region.backend.test_arg == "x"


def test_a_setting_that_names_no_path_is_told(fieldstone):
    fieldstone(KEYSTONE_BACKENDS=["Nowhere"])
    with pytest.raises(RegionConfigurationError, match="'Nowhere', which is no dotted path"):
        core.get_key_value_store(uuid.uuid4().hex)


# Once, and again after a failure


def test_configuring_twice_is_an_error(store):
    with pytest.raises(AlreadyConfiguredError) as caught:
        store.configure("openstack.kvs.Memory")
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (RegionConfigurationError, {"backing_store": "openstack.kvs.Nowhere"}),
        (ValueError, {"backing_store": "openstack.kvs.Memory", "lock_timeout": "soon"}),
        (ValueError, {"backing_store": "openstack.kvs.Memory", "lock_timeout": -1}),
        (ValueError, {"backing_store": "openstack.kvs.Memory", "max_lock_attempts": True}),
        (ValueError, {"backing_store": "openstack.kvs.Memcached", "memcached_backend": "FakeDriver"}),
        (TypeError, {"backing_store": "openstack.kvs.Memory", "key_mangler": "sha1"}),
        (TypeError, {"backing_store": "openstack.kvs.Memory", "proxy_list": [others.First, dict]}),
        (TypeError, {"backing_store": "openstack.kvs.Memory", "proxy_list": PROXIES[0]}),
        (ValueError, {"backing_store": "openstack.kvs.Memory", "proxy_list": ["no.such.Proxy"]}),
    ],
)
def test_a_store_that_was_configured_wrongly_is_as_before_and_can_be_tried_again(new_store, error, arguments):
    store = new_store()
    before = dict(vars(store._region))
    with pytest.raises(error):
        store.configure(**arguments)
    assert not store.is_configured
    assert vars(store._region) == before
    store.configure("openstack.kvs.Memory")
    store.set("a", 1)
    assert store.get("a") == 1
    assert store._lock_timeout == 5


def test_a_setting_of_a_class_that_is_not_there_is_a_configuration_error(fieldstone):
    fieldstone(KEYSTONE_BACKENDS=["tests.kvs.keystone.others.NoSuchClass"])
    store = core.get_key_value_store(uuid.uuid4().hex)
    with pytest.raises(RegionConfigurationError, match="NoSuchClass"):
        store.configure("openstack.kvs.NoSuchClass")


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get("a"),
        lambda store: store.get_multi(["a"]),
        lambda store: store.set("a", 1),
        lambda store: store.set_multi({"a": 1}),
        lambda store: store.delete("a"),
        lambda store: store.delete_multi(["a"]),
        lambda store: store.get_lock("a"),
        lambda store: store._mutex("a"),
    ],
)
def test_a_store_that_is_not_configured_says_so_and_what_to_do(new_store, call):
    store = new_store()
    with pytest.raises(NotConfiguredError, match=r"is not configured.*configure\(") as caught:
        call(store)
    assert caught.value.region == store._region.name
    assert isinstance(caught.value, RuntimeError)


# Manglers


def test_without_any_mangler_keys_are_hashed_and_the_backend_knows(store):
    assert store._region.key_mangler is sha1_mangle_key
    assert store._region.backend.key_mangler is sha1_mangle_key
    store.set("a", 1)
    assert list(store._region.backend._db) == [sha1_mangle_key("a")]


def test_a_given_mangler_is_taken_and_the_backend_knows(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memory", key_mangler=str.upper)
    store.set("a", 1)
    assert list(store._region.backend._db) == ["A"]
    assert store._region.backend.key_mangler == str.upper


def test_the_backend_s_own_mangler_stands_in_and_where_it_insists_comes_first(new_store):
    own, given, insisting = new_store(), new_store(), new_store()
    own.configure("openstack.kvs.Mangling")
    assert own._region.key_mangler("a") == "own_a"
    given.configure("openstack.kvs.Mangling", key_mangler=str.upper)
    assert given._region.key_mangler("a") == "A"
    insisting.configure("openstack.kvs.Insisting", key_mangler=str.upper)
    assert insisting._region.key_mangler("a") == "own_a"


def test_disabled_by_setting_no_key_is_mangled_at_all(new_store, fieldstone):
    fieldstone(KEY_MANGLING=False)
    for backend in ("openstack.kvs.Memory", "openstack.kvs.Insisting"):
        store = new_store()
        store.configure(backend, key_mangler=str.upper)
        assert store._region.key_mangler is None
        assert store._region.backend.key_mangler is None
        store.set("a", 1)
        assert list(store._region.backend._db) == ["a"]


def test_a_mangler_can_be_set_later_and_taken_back(new_store):
    store = new_store()
    store.configure("openstack.kvs.Mangling")
    store._set_key_mangler(str.upper)
    assert store._region.key_mangler("a") == "A"
    store._set_key_mangler(None)
    assert store._region.key_mangler("a") == "own_a"
    with pytest.raises(TypeError, match="should be a function"):
        store._set_key_mangler("upper")
    assert store._region.key_mangler("a") == "own_a"


def test_a_mangler_reaches_the_backend_through_proxies(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memory", proxy_list=PROXIES)
    store._set_key_mangler(str.upper)
    assert store._region.backend.proxied.proxied.key_mangler == str.upper


def test_a_backend_that_takes_no_mangler_is_used_all_the_same(new_store):
    store = new_store()
    store.configure("openstack.kvs.ReadOnlyMangler", key_mangler=str.upper)
    store.set("a", 1)
    assert list(store._region.backend._db) == ["A"]


# Proxies


@pytest.mark.parametrize(
    "proxies",
    [PROXIES, tuple(PROXIES), [others.First, others.Second], iter([others.First(), PROXIES[1]])],
    ids=["paths", "tuple", "classes", "iterator of an object and a path"],
)
def test_the_first_proxy_is_outermost_in_any_sequence(new_store, proxies):
    store = new_store()
    store.configure("openstack.kvs.Memory", proxy_list=proxies)
    outermost = store._region.backend
    assert isinstance(outermost, others.First)
    assert isinstance(outermost.proxied, others.Second)
    assert isinstance(outermost.proxied.proxied, inmemdb.MemoryBackend)
    store.set("a", {"b": 1})
    assert store.get("a") == {"b": 1}
    with store.get_lock("a") as lock:
        store.delete("a", lock)
    with pytest.raises(NotFound):
        store.get("a")


def test_proxies_work_with_the_memcached_backend(new_store):
    store = new_store()
    store.configure("openstack.kvs.Memcached", memcached_backend="Driver", proxy_list=PROXIES)
    store.set("a", 1)
    client = store._region.backend.proxied.proxied.driver.client
    assert [value.payload for value in client.kept.values()] == [1]


# Secrets


def test_nothing_secret_is_logged_not_even_at_the_finest_level(new_store, caplog):
    caplog.set_level(logging.DEBUG)
    store = new_store()
    store.configure(
        "openstack.kvs.Memcached",
        memcached_backend="ReadingDriver",
        url="memcached://user:hunter2@host",
        password="hunter2",
        no_expiry_keys=["hunter2-key"],
        proxy_list=PROXIES,
    )
    with store.get_lock("hunter2-key") as lock:
        store.set("hunter2-key", "hunter2", lock)
    wrong = new_store()
    with pytest.raises(ValueError, match="FakeDriver"):
        wrong.configure("openstack.kvs.Memcached", memcached_backend="FakeDriver", password="hunter2")
    assert "password" in caplog.text  # its name: there is something to read
    assert "hunter2" not in caplog.text

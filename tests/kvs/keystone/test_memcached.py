"""Keystone's memcached backend: drivers, keys that never expire, locks; also on a server."""

from __future__ import annotations

import os
import pickle
import uuid

import pytest
from dogpile.cache.util import sha1_mangle_key

from fieldstone.errors import (
    FieldstoneError,
    InvalidEntryError,
    NotFound,
    RegionConfigurationError,
    UnexpectedError,
)
from fieldstone.kvs.keystone.backends import memcached

from . import others


@pytest.fixture
def configured(new_store):
    """Makes a store on the driver of the test."""

    def configure(**arguments):
        made = new_store()
        made.configure("openstack.kvs.Memcached", **{"memcached_backend": "Driver", **arguments})
        return made

    return configure


@pytest.fixture
def served(new_store):
    """Makes stores on the real server, which begins empty for each as its keys are new."""
    if "FIELDSTONE_MEMCACHED_URL" not in os.environ:
        pytest.skip("FIELDSTONE_MEMCACHED_URL is not set: scripts/with_servers.py starts the server")
    made = []

    def configure(**arguments):
        store = new_store()
        store.configure("openstack.kvs.Memcached", url=os.environ["FIELDSTONE_MEMCACHED_URL"], **arguments)
        made.append(store)
        return store

    yield configure
    for store in made:
        store._region.actual_backend.driver.close()


# Drivers


def test_a_driver_is_chosen_by_name_and_sites_add_their_own(configured):
    assert isinstance(configured()._region.backend.driver, others.Driver)
    by_path = configured(memcached_backend="ManglingDriver")
    assert isinstance(by_path._region.backend.driver, others.ManglingDriver)


def test_an_unknown_driver_is_named(new_store):
    with pytest.raises(ValueError, match="FakeDriver"):
        memcached.MemcachedBackend({"url": "somewhere", "memcached_backend": "FakeDriver"})
    with pytest.raises(RegionConfigurationError, match="FakeDriver"):
        new_store().configure("openstack.kvs.Memcached", memcached_backend="FakeDriver")


def test_the_arguments_that_were_given_are_not_changed():
    arguments = {"url": "x", "memcached_backend": "Driver", "no_expiry_keys": ["a"], "lock_timeout": 3}
    before = dict(arguments)
    with pytest.raises(ValueError, match="Driver"):  # it is not registered here
        memcached.MemcachedBackend(arguments)
    assert arguments == before


def test_what_only_the_driver_has_is_had_through_the_backend(configured):
    assert configured()._region.backend.client.kept == {}


def test_what_the_client_does_not_store_raises(configured):
    store = configured()
    store._region.backend.driver.client.failed = ["a"]
    with pytest.raises(UnexpectedError, match="did not store 1 of 2 values"):
        store.set_multi({"a": 1, "b": 2})
    store._region.backend.driver.client.failed = False
    with pytest.raises(UnexpectedError, match="did not store 1 of 1 values"):
        store.set("a", 1)


# Keys that never expire


def test_the_time_to_live_is_for_all_keys_but_those_that_never_expire(configured, fieldstone):
    fieldstone(KEY_MANGLING=False)
    store = configured(memcached_expire_time=86_400, no_expiry_keys=["lasting"], some_other_arg="x")
    backend, client = store._region.backend, store._region.backend.driver.client
    assert backend._get_set_arguments_driver_attr() == {"time": 86_400}
    assert backend._get_set_arguments_driver_attr(exclude_expiry=True) == {}
    for key, arguments in (("brief", {"time": 86_400}), ("lasting", {})):
        for call in (lambda key: store.set(key, "value"), lambda key: store.set_multi({key: "value"})):
            client.kept, client.arguments = {}, None
            call(key)
            assert client.arguments == arguments
            assert {name: value[0] for name, value in client.kept.items()} == {key: "value"}


def test_what_the_backend_gives_as_arguments_is_a_copy(configured):
    backend = configured(memcached_expire_time=10)._region.backend
    backend._get_set_arguments_driver_attr()["time"] = 0
    assert backend._get_set_arguments_driver_attr() == {"time": 10}


def test_a_mangler_works_out_anew_which_names_never_expire(configured):
    backend = configured(no_expiry_keys={"a"})._region.backend
    assert backend.key_mangler is sha1_mangle_key
    assert backend.no_expiry_hashed_keys == {sha1_mangle_key("a")}
    backend.key_mangler = str.upper
    assert backend.no_expiry_hashed_keys == {"A"}
    assert backend.raw_no_expiry_keys == {"a"}


def test_without_a_mangler_the_raw_keys_never_expire(configured):
    for driver in ("Driver", "ManglingDriver"):
        backend = configured(no_expiry_keys={"a"}, memcached_backend=driver)._region.backend
        backend.key_mangler = None
        assert backend.no_expiry_hashed_keys == backend.raw_no_expiry_keys == {"a"}
        assert backend.key_mangler is None


def test_the_driver_s_own_mangler_stands_in(configured):
    store = configured(memcached_backend="ManglingDriver", no_expiry_keys={"a"})
    assert store._region.key_mangler("a") == "driver_a"
    assert store._region.backend.no_expiry_hashed_keys == {"driver_a"}


def test_a_mangler_that_cannot_be_called_is_refused_and_nothing_changes(configured):
    backend = configured(no_expiry_keys={"a"})._region.backend
    with pytest.raises(TypeError, match="should be a function"):
        backend.key_mangler = "Non-Callable"
    assert backend.key_mangler is sha1_mangle_key


def test_one_text_is_not_taken_for_many_keys(configured):
    with pytest.raises(RegionConfigurationError, match="should be a set of keys"):
        configured(no_expiry_keys="abc")


# Locks


def test_a_lock_within_a_lock_fails_after_the_allowed_attempts(configured):
    store = configured(max_lock_attempts=1)
    assert store._region.backend.max_lock_attempts == 1
    with store.get_lock("a") as lock:
        store.set("a", 1, lock)
    with store.get_lock("a"), pytest.raises(UnexpectedError):
        store.get_lock("a").acquire()


# On the server


@pytest.mark.parametrize("driver", [None, "memcached", "pooled_memcached", "pymemcache"])
def test_values_are_kept_by_the_server(served, driver):
    store, key = served(memcached_backend=driver), uuid.uuid4().hex
    store.set_multi({f"{key} 1": {"b": [1, None]}, f"{key} 2": None})
    assert store.get_multi([f"{key} 2", f"{key} 1"]) == [None, {"b": [1, None]}]
    store.delete(f"{key} 1")
    store.delete_multi([f"{key} 1", f"{key} 2"])
    with pytest.raises(NotFound) as caught:
        store.get_multi([f"{key} 1", f"{key} 2"])
    assert len(caught.value.target) == 2


def test_a_value_over_the_server_s_limit_raises(served):
    store, key = served(), uuid.uuid4().hex
    store.set(key, 1)
    with pytest.raises(InvalidEntryError, match="bytes"):
        store.set(key, "x" * 2_000_000)
    assert store.get(key) == 1


def test_only_keys_that_may_expire_are_set_with_a_time_to_live(served, monkeypatch):
    store, key = served(memcached_expire_time=3600, no_expiry_keys=["lasting"]), uuid.uuid4().hex
    times = {}
    set_many = store._region.backend.driver.backend.set_many

    def noted(entries, ttl):
        times.update(dict.fromkeys(entries, ttl))
        set_many(entries, ttl)

    monkeypatch.setattr(store._region.backend.driver.backend, "set_many", noted)
    store.set_multi({key: 1, "lasting": 2})
    assert times == {sha1_mangle_key(key): 3600, sha1_mangle_key("lasting"): None}
    store.delete_multi([key, "lasting"])


def test_a_planted_pickle_is_not_run(served):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the pickle was run",)

    store, key = served(), uuid.uuid4().hex
    name = store._region.key_mangler(key)
    store._region.backend.driver.backend.set(name, b'{"ct": 1, "v": 2}|' + pickle.dumps(Trap()), 60)
    try:
        store.get(key)
    except (NotFound, FieldstoneError):
        pass
    else:
        pytest.fail("it was taken for a value")


def test_locks_of_two_stores_exclude_each_other_and_owners_are_checked(served, new_store):
    one, two, key = served(blocking_timeout=0.05), served(blocking_timeout=0.05), uuid.uuid4().hex
    with one.get_lock(key) as lock:
        one.set(key, 1, lock)
        with pytest.raises(UnexpectedError):
            two.get_lock(key).acquire()
        assert two._mutex(key).release() is False
        with pytest.raises(UnexpectedError):
            two.get_lock(key).acquire()
    with two.get_lock(key) as lock:
        two.delete(key, lock)

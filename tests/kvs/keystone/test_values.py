"""What Keystone's stores keep."""

from __future__ import annotations

import datetime

import pytest

from fieldstone.errors import InvalidEntryError, InvalidKeyError, NotFound

BACKENDS = ["openstack.kvs.Memory", "openstack.kvs.Bare", "openstack.kvs.Unlockable", "dogpile.cache.memory"]


@pytest.fixture(params=BACKENDS)
def any_store(request, new_store):
    made = new_store()
    made.configure(request.param)
    return made


def test_a_value_is_there_until_it_is_deleted(any_store):
    any_store.set("a", {"b": [1]})
    assert any_store.get("a") == {"b": [1]}
    any_store.delete("a")
    with pytest.raises(NotFound) as caught:
        any_store.get("a")
    assert caught.value.target == "a"


def test_deleting_what_is_not_there_is_told(any_store):
    with pytest.raises(NotFound) as caught:
        any_store.delete("a")
    assert caught.value.target == "a"


def test_none_is_a_value(any_store):
    any_store.set_multi({"a": None, "b": 1})
    assert any_store.get("a") is None
    assert any_store.get_multi(["b", "a"]) == [1, None]


def test_values_in_and_out_are_copies(any_store):
    value = {"a": [1]}
    any_store.set("one", value)
    any_store.set_multi({"many": value})
    value["a"].append(2)
    any_store.get("one")["a"].append(3)
    any_store.get_multi(["many"])[0]["a"].append(3)
    assert any_store.get_multi(["one", "many"]) == [{"a": [1]}, {"a": [1]}]


def test_several_values_come_in_the_order_of_their_keys_or_all_that_are_missing_are_named(any_store):
    any_store.set_multi({"a": 1, "b": 2})
    assert any_store.get_multi(iter(["b", "a"])) == [2, 1]
    assert any_store.get_multi([]) == []
    with pytest.raises(NotFound) as caught:
        any_store.get_multi(["x", "a", "y"])
    assert caught.value.target == ["x", "y"]


def test_deleting_several_passes_over_those_that_are_not_there(any_store):
    any_store.set_multi({"a": 1, "b": 2})
    any_store.delete_multi(["a", "nowhere", "b"])
    with pytest.raises(NotFound):
        any_store.get("a")


def test_values_keep_their_types_as_they_did_in_keystone(store):
    value = {"expires": datetime.datetime(2026, 1, 1), "roles": ("a", {"b"})}
    store.set("token", value)
    assert store.get("token") == value


def test_a_value_that_cannot_be_copied_is_refused_and_none_of_several_is_set(store):
    with pytest.raises(InvalidEntryError, match="cannot be copied"):
        store.set_multi({"good": 1, "bad": lambda: None})
    with pytest.raises(NotFound):
        store.get("good")


@pytest.mark.parametrize("key", [b"a", 1, None])
def test_a_key_that_is_no_text_is_refused(store, key):
    for call in (store.get, store.delete, store.get_lock, lambda key: store.set_multi({key: 1})):
        with pytest.raises(InvalidKeyError):
            call(key)

"""What is set is there, as it was; what is not is a ``KeyError``: in each scope, on every engine."""

from __future__ import annotations

import pytest
from xblock.runtime import KeyValueStore

from fieldstone.xblock import DjangoKeyValueStore
from tests.conftest import each_engine
from tests.xblock.blocks import FIELDS, LEARNER_SCOPES, VALUES, Page, key_of, keyed, stored

BEFORE, AFTER = VALUES

each_scope = pytest.mark.parametrize("scope", LEARNER_SCOPES, ids=lambda scope: scope.name)


@each_engine
@pytest.mark.parametrize("name", BEFORE)
def test_a_value_that_was_set_is_there_for_the_next_request(user, alias, page, name):
    key = key_of(page.add(), name)
    for value in (BEFORE[name], AFTER[name]):
        page.kvs.set(key, value)
        assert page.kvs.get(key) == value
        assert page.kvs.has(key)
        assert stored(user, alias) == {name: value}


@each_engine
@each_scope
def test_none_is_a_value(user, alias, page, scope):
    name = FIELDS[scope][0]
    page.kvs.set(key_of(page.add(), name), None)
    again = Page(user, alias)
    key = key_of(again.add(), name)
    assert again.kvs.has(key)
    assert again.kvs.get(key) is None


@each_engine
@each_scope
def test_a_missing_field_is_a_key_error_that_names_it(page, scope):
    name = FIELDS[scope][0]
    key = key_of(page.add(), name)
    for is_deleted in (False, True):
        if is_deleted:
            page.kvs.set(key, 1)
            page.kvs.delete(key)
        assert not page.kvs.has(key)
        for call in (page.kvs.get, page.kvs.delete):
            with pytest.raises(KeyError, match=name):
                call(key)


@each_engine
@each_scope
def test_a_deleted_field_is_gone_and_the_others_stay(user, alias, page, scope):
    block = page.add()
    page.kvs.set_many(keyed(block, BEFORE))
    gone, kept = FIELDS[scope]
    page.kvs.delete(key_of(block, gone))
    left = {name: value for name, value in BEFORE.items() if name != gone}
    assert page.values(block) == left
    assert stored(user, alias) == left
    assert kept in left


@each_engine
@each_scope
def test_what_is_read_is_a_copy_and_so_is_what_is_stored(user, alias, page, scope):
    name = FIELDS[scope][1]
    key = key_of(page.add(), name)
    value = {"a": [1]}
    page.kvs.set(key, value)
    value["a"].append(2)
    page.kvs.get(key)["a"].append(3)
    assert page.kvs.get(key) == {"a": [1]}
    page.cache.get(key)["b"] = 4
    assert page.kvs.get(key) == {"a": [1]}
    fetched = Page(user, alias)
    fetched.add()
    fetched.kvs.get(key)["a"].append(5)
    assert fetched.kvs.get(key) == {"a": [1]}


@each_engine
def test_a_value_comes_back_from_the_cache_as_it_does_from_the_database(user, alias, page):
    """Tuples as lists, the keys of objects as strings: a block sees no difference after the next request."""
    block = page.add()
    page.kvs.set_many(keyed(block, {"answers": {1: (2, 3)}, "votes": (1,), "shown": {None: 1}, "badges": ((),)}))
    expected = {"answers": {"1": [2, 3]}, "votes": [1], "shown": {"null": 1}, "badges": [[]]}
    assert page.values(block) == expected
    assert stored(user, alias) == expected


@each_engine
def test_the_cache_has_the_calls_of_the_key_value_store(user, alias, page):
    block = page.add()
    page.cache.set_many(keyed(block, BEFORE))
    assert all(page.cache.has(key) and page.cache.get(key) == value for key, value in keyed(block, BEFORE).items())
    for key in keyed(block, BEFORE):
        page.cache.delete(key)
        assert not page.cache.has(key)
        with pytest.raises(KeyError, match=key.field_name):
            page.cache.delete(key)
    assert stored(user, alias) == {}


def test_it_is_a_key_value_store_of_xblock():
    assert issubclass(DjangoKeyValueStore, KeyValueStore)
    assert DjangoKeyValueStore.Key is KeyValueStore.Key


@each_engine
def test_xblocks_own_default_is_left_to_the_field(page):
    block = page.add()
    with pytest.raises(KeyError):
        page.kvs.default(key_of(block, "attempts"))
    assert (block.attempts, block.speed, block.language) == (0, 1.0, None)

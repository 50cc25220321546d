"""A region as a cache of Django's: what Django's documentation says of caches."""

from __future__ import annotations

import uuid

import pytest
from django.core.cache import caches
from django.test import override_settings

from fieldstone.errors import UnsupportedError
from fieldstone.kvs import regions
from fieldstone.kvs.django_cache import RegionCache
from tests.kvs.workers import eventually, in_threads


@pytest.fixture
def cache(kind, region, monkeypatch):
    monkeypatch.setitem(regions._known, region.name, region)
    return RegionCache(region.name, {"KEY_PREFIX": "site"})


def test_values_are_set_read_and_deleted(cache):
    assert cache.get("a") is None
    assert cache.get("a", "none") == "none"
    cache.set("a", {"x": [1, None]})
    assert cache.get("a") == {"x": [1, None]}
    assert "a" in cache
    assert cache.delete("a") is True
    assert cache.delete("a") is False
    assert "a" not in cache


def test_none_is_a_value(cache):
    cache.set("a", None)
    assert cache.get("a", "none") is None
    assert cache.get_or_set("a", "other") is None


def test_many_at_once(cache):
    assert cache.set_many({"a": 1, "b": None}) == []
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": None}
    cache.delete_many(["a", "c"])
    assert cache.get_many(["a", "b"]) == {"b": None}


def test_versions_are_kept_apart(cache):
    cache.set("a", 1)
    cache.set("a", 2, version=2)
    assert (cache.get("a"), cache.get("a", version=2)) == (1, 2)


def test_what_is_not_to_be_kept_is_not(cache):
    cache.set_many({"a": 1, "b": 1})
    cache.set("a", 2, timeout=0)
    cache.set_many({"b": 2}, timeout=-1)
    assert cache.get_many(["a", "b"]) == {}
    assert cache.get_or_set("a", lambda: 3, timeout=0) == 3
    assert cache.get("a") is None


def test_a_value_ends_when_its_time_is_up(cache, brief):
    cache.set("short", 1, timeout=brief)
    cache.set("ever", 1, timeout=None)
    eventually(lambda: cache.get("short") is None)
    assert cache.get("ever") == 1


def test_add_touch_and_incr_where_the_backend_can(cache, region):
    if not region.abilities.add:
        with pytest.raises(UnsupportedError):
            cache.add("a", 1)
        return
    assert cache.add("a", 1) is True
    assert cache.add("a", 2) is False
    assert cache.incr("a", 4) == 5
    assert cache.decr("a") == 4
    with pytest.raises(ValueError, match="not found"):
        cache.incr("b")
    assert cache.get("b") is None
    assert cache.touch("a", 60) is True
    assert cache.touch("b") is False
    assert cache.touch("a", 0) is True
    assert cache.get("a") is None


def test_of_many_threads_one_makes_what_is_missing(cache):
    made = []

    def make():
        made.append(1)
        return "made"

    assert in_threads(6, lambda _: cache.get_or_set("a", make)) == ["made"] * 6
    assert len(made) == 1


def test_clear_empties_it_where_keys_can_be_listed(cache, region):
    cache.set("a", 1)
    if region.abilities.iterate:
        cache.clear()
        assert cache.get("a") is None
    else:
        with pytest.raises(UnsupportedError):
            cache.clear()


def test_coroutines_do_the_same(cache, run):
    async def use():
        await cache.aset("a", 1)
        await cache.aset("b", 2, timeout=0)
        found = await cache.aget_many(["a", "b"])
        return found, await cache.adelete("a"), await cache.adelete("a"), await cache.aget("a", "gone")

    assert run(use()) == ({"a": 1}, True, False, "gone")


def test_django_finds_it_by_its_settings():
    name = f"cache-{uuid.uuid4().hex[:8]}"
    regions[name].configure("memory")
    backend = "fieldstone.kvs.django_cache.RegionCache"
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": name}}):
        caches["default"].set("a", 1)
        assert regions[name].get(caches["default"].make_key("a")) == 1
    regions.forget(name)

"""What a region says that wants a package which is not installed."""

from __future__ import annotations

import sys

import pytest

from fieldstone.errors import RegionConfigurationError
from fieldstone.kvs import Region


@pytest.mark.parametrize(
    ("missing", "arguments", "remedy"),
    [
        ("redis", {"backing_store": "redis"}, "redis"),
        ("pymemcache", {"backing_store": "memcached"}, "memcached"),
        ("dogpile", {"backing_store": "dogpile.cache.memory"}, "dogpile"),
        ("dogpile", {"backing_store": "memory", "proxy_list": ["tests.kvs.proxies.Passing"]}, "dogpile"),
    ],
    ids=["redis", "memcached", "dogpile's backend", "dogpile's proxy"],
)
def test_a_missing_package_is_told_with_the_extra_that_has_it(monkeypatch, missing, arguments, remedy):
    importers = tuple(f"fieldstone.kvs.{name}" for name in ("backends.redis", "backends.memcached", "bridge"))
    for name in list(sys.modules):
        if name.split(".")[0] == missing or name.startswith(importers):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    region = Region("wanting")
    with pytest.raises(RegionConfigurationError, match=rf"pip install 'fieldstone\[{remedy}\]'"):
        region.configure(**arguments)
    assert not region.is_configured

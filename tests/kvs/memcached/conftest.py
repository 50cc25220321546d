"""The backend on a real memcached, under names that no other test has."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

pytest.importorskip("pymemcache")
from fieldstone.kvs.backends.memcached import MemcachedBackend  # it needs pymemcache


@pytest.fixture
def url() -> str:
    if "FIELDSTONE_MEMCACHED_URL" not in os.environ:
        pytest.skip("FIELDSTONE_MEMCACHED_URL is not set: `make test` starts the server")
    return os.environ["FIELDSTONE_MEMCACHED_URL"]


@pytest.fixture
def backend(url: str) -> Iterator[MemcachedBackend]:
    backend = MemcachedBackend("region", url=url)
    yield backend
    backend.close()


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex}"

"""The suites that dogpile.cache publishes for backends, on all of ours."""

from __future__ import annotations

import pytest
from dogpile.testing.fixtures import (
    _GenericBackendFixture,
    _GenericBackendTestSuite,
    _GenericMutexTestSuite,
    _GenericSerializerTestSuite,
)

from .conftest import arguments


class Suite:
    """What names the backend, and how to reach it."""

    config_args: dict = {}

    @classmethod
    def setup_class(cls):
        cls.config_args = {"arguments": arguments(cls.backend)}
        super().setup_class()


class Memory(Suite):
    backend = "fieldstone.memory"


class Redis(Suite):
    backend = "fieldstone.redis"


class Memcached(Suite):
    backend = "fieldstone.memcached"


@pytest.mark.django_db(transaction=True)
class Database(Suite):
    backend = "fieldstone.database"


class TestMemoryBackend(Memory, _GenericBackendTestSuite): ...


class TestMemoryMutex(Memory, _GenericMutexTestSuite): ...


class TestMemorySerializer(Memory, _GenericSerializerTestSuite, _GenericBackendFixture): ...


class TestRedisBackend(Redis, _GenericBackendTestSuite): ...


class TestRedisMutex(Redis, _GenericMutexTestSuite): ...


class TestRedisSerializer(Redis, _GenericSerializerTestSuite, _GenericBackendFixture): ...


class TestMemcachedBackend(Memcached, _GenericBackendTestSuite):
    # The suite's takes the place of the backend's own, and memcached takes no spaces; dogpile's tests do the same.
    region_args = {"key_mangler": lambda key: key.replace(" ", "_")}


class TestMemcachedMutex(Memcached, _GenericMutexTestSuite): ...


class TestMemcachedSerializer(Memcached, _GenericSerializerTestSuite, _GenericBackendFixture): ...


class TestDatabaseBackend(Database, _GenericBackendTestSuite): ...


class TestDatabaseMutex(Database, _GenericMutexTestSuite): ...


class TestDatabaseSerializer(Database, _GenericSerializerTestSuite, _GenericBackendFixture): ...

"""The suites that dogpile.cache publishes for backends, on all of ours."""

from __future__ import annotations

import pytest
from dogpile.testing.fixtures import (
    _GenericBackendFixture,
    _GenericBackendTestSuite,
    _GenericMutexTestSuite,
    _GenericSerializerTestSuite,
)

from tests.kvs.backends import DATABASES, MEMCACHED, MEMORY, REDIS, Kind, params

from .conftest import arguments


def marks(kind: Kind) -> list[pytest.Mark]:
    """Skips what is not there, and opens what is a database."""
    return list(params([kind])[0].marks)


class Suite:
    """What says to the suites which backend it is, and how to reach it."""

    kind: Kind

    @classmethod
    def setup_class(cls):
        cls.backend = f"fieldstone.{cls.kind.store}"
        cls.config_args = {"arguments": {**arguments(cls.kind), "region": cls.kind.name}}
        super().setup_class()


class Memory(Suite):
    kind = MEMORY
    pytestmark = marks(MEMORY)


class Redis(Suite):
    kind = REDIS
    pytestmark = marks(REDIS)


class Memcached(Suite):
    kind = MEMCACHED
    pytestmark = marks(MEMCACHED)


class SQLite(Suite):
    kind = DATABASES[0]
    pytestmark = marks(DATABASES[0])


class PostgreSQL(Suite):
    kind = DATABASES[1]
    pytestmark = marks(DATABASES[1])


class MariaDB(Suite):
    kind = DATABASES[2]
    pytestmark = marks(DATABASES[2])


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


class TestSQLiteBackend(SQLite, _GenericBackendTestSuite): ...


class TestSQLiteMutex(SQLite, _GenericMutexTestSuite): ...


class TestSQLiteSerializer(SQLite, _GenericSerializerTestSuite, _GenericBackendFixture): ...


class TestPostgreSQLBackend(PostgreSQL, _GenericBackendTestSuite): ...


class TestPostgreSQLMutex(PostgreSQL, _GenericMutexTestSuite): ...


class TestPostgreSQLSerializer(PostgreSQL, _GenericSerializerTestSuite, _GenericBackendFixture): ...


class TestMariaDBBackend(MariaDB, _GenericBackendTestSuite): ...


class TestMariaDBMutex(MariaDB, _GenericMutexTestSuite): ...


class TestMariaDBSerializer(MariaDB, _GenericSerializerTestSuite, _GenericBackendFixture): ...

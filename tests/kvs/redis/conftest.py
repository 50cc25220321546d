"""A Redis server, a Cluster and Sentinel; backends on them, called from threads and from coroutines."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kvs.redis import servers

redis = pytest.importorskip("redis")
from fieldstone.kvs.backends.redis import RedisBackend  # noqa: E402  # it needs redis


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """One that the servers' user can pass through. The run without servers starts none of these either."""
    if "FIELDSTONE_REDIS_URL" not in os.environ:
        pytest.skip("FIELDSTONE_REDIS_URL is not set: `make test` starts servers")
    with tempfile.TemporaryDirectory(prefix="fieldstone-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def cluster(servers_folder: Path) -> Iterator[servers.Cluster]:
    """Who kills a node of it starts it again."""
    with servers.cluster(servers_folder) as cluster:
        yield cluster


@pytest.fixture
def sentinel(servers_folder: Path) -> Iterator[servers.Sentinel]:
    """Of one test: sentinels take long to see that a server is back."""
    with servers.sentinel(servers_folder) as sentinel:
        yield sentinel


@pytest.fixture
def node(servers_folder: Path) -> Iterator[Callable[..., servers.Node]]:
    """Starts servers with these options."""
    with servers.stopping([]) as started:

        def ready(*options: str) -> servers.Node:
            node = started(servers.Node, servers_folder, *options)
            node.wait()
            return node

        yield ready


@pytest.fixture
def url() -> str:
    if "FIELDSTONE_REDIS_URL" not in os.environ:
        pytest.skip("FIELDSTONE_REDIS_URL is not set: `make test` starts the server")
    return os.environ["FIELDSTONE_REDIS_URL"]


@pytest.fixture(params=["server", "cluster"])
def backend(request: pytest.FixtureRequest) -> Iterator[RedisBackend]:
    """On one server, and on a Cluster."""
    if request.param == "server":
        options = {"url": request.getfixturevalue("url")}
    else:
        options = {"cluster_nodes": request.getfixturevalue("cluster").places}
    backend = RedisBackend("tested", **options)
    yield backend
    backend.close()


@pytest.fixture(params=["threads", "coroutines"])
def call(request: pytest.FixtureRequest, backend: RedisBackend) -> Iterator[Callable[..., Any]]:
    """Calls a method by its name, as a thread does and as a coroutine does."""
    if request.param == "threads":
        yield lambda method, *arguments: getattr(backend, method)(*arguments)
        return
    with asyncio.Runner() as runner:
        yield lambda method, *arguments: runner.run(backend.acall(method, *arguments))
        runner.run(backend.aclose())


@pytest.fixture
def name() -> str:
    """One that no other test uses."""
    return f"test-{uuid.uuid4().hex}"

"""A master is killed while it is written to: what it acknowledged is there, and the backend finds the next one."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from redis.crc import key_slot

from fieldstone.kvs.backends.redis import RedisBackend
from tests.kvs.redis import servers
from tests.kvs.workers import SECONDS, eventually

AFTERWARDS = 50  # writes of each writer after its last error


class Writer:
    """Writes one entry after another; errors of ``unavailable`` are noted, others end it."""

    def __init__(self, backend: RedisBackend, name: Callable[[int], str]) -> None:
        self.backend, self._name = backend, name
        self.acknowledged: list[str] = []
        self.errors: list[BaseException] = []
        self.last_error = 0.0
        self.in_a_row = 0
        self.is_to_stop = False

    def write(self) -> None:
        while not self.is_to_stop:
            name = self._name(len(self.acknowledged) + len(self.errors))
            try:
                self.backend.set(name, name.encode(), None)
            except self.backend.unavailable as error:
                self._failed(error)
            else:
                self._acknowledge(name)

    def write_as_coroutine(self) -> None:
        async def main() -> None:
            while not self.is_to_stop:
                name = self._name(len(self.acknowledged) + len(self.errors))
                try:
                    await self.backend.acall("set", name, name.encode(), None)
                except self.backend.unavailable as error:
                    self._failed(error)
                else:
                    self._acknowledge(name)
            await self.backend.aclose()

        asyncio.run(main())

    def _failed(self, error: BaseException) -> None:
        self.errors.append(error)
        self.last_error, self.in_a_row = time.monotonic(), 0
        time.sleep(0.005)  # a refused connection is no load

    def _acknowledge(self, name: str) -> None:
        self.acknowledged.append(name)
        self.in_a_row += 1


@contextmanager
def writing(backend: RedisBackend, name: Callable[[int, int], str]) -> Iterator[list[Writer]]:
    """Two threads and a loop that write, once all have begun; they are stopped after the block."""
    writers = [Writer(backend, lambda count, number=number: name(number, count)) for number in range(3)]
    works = [writers[0].write, writers[1].write, writers[2].write_as_coroutine]
    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(work) for work in works]
        try:
            eventually(lambda: _all_wrote(writers, AFTERWARDS))
            yield writers
        finally:
            for writer in writers:
                writer.is_to_stop = True
        for future in futures:
            future.result(SECONDS)


def _all_wrote(writers: list[Writer], count: int) -> bool:
    return all(writer.in_a_row >= count for writer in writers)


def recovered(writers: list[Writer], killed: float) -> float:
    """How many seconds after that moment the last error was, once all write again."""
    eventually(lambda: any(writer.errors for writer in writers))
    eventually(lambda: _all_wrote(writers, AFTERWARDS))
    return max(writer.last_error for writer in writers) - killed


def lost(backend: RedisBackend, writers: list[Writer]) -> list[str]:
    return [name for writer in writers for name in writer.acknowledged if backend.get(name) != name.encode()]


def test_a_cluster_that_loses_a_master_keeps_what_was_acknowledged(cluster: servers.Cluster, name: str):
    backend = RedisBackend("tested", cluster_nodes=cluster.places[:3], wait_replicas=1, wait_ms=1000)
    slot = key_slot(f"{name}-0".encode())
    lock = f"{name}-lock"
    while cluster.master_of(key_slot(f"{{={lock}}}".encode())) is not cluster.master_of(slot):
        lock += "'"
    before = backend.acquire(lock, "holder", 60, 0)
    master = cluster.master_of(slot)
    # Names of the slot whose master is killed, and of all others.
    with writing(
        backend, lambda writer, count: f"{{{name}-0}}{writer} {count}" if count % 2 else f"{name}{writer} {count}"
    ) as writers:
        killed = time.monotonic()
        master.kill()
        eventually(lambda: cluster.master_of(slot) is not master)
        promoted = time.monotonic() - killed
        eventually(lambda: _writes(RedisBackend("tested", cluster_nodes=cluster.places), f"{name}-0"))
        writable = time.monotonic() - killed
        # Its slots have no replica until it is back, so nothing is acknowledged there.
        master.start()
        whole = recovered(writers, killed)
    cluster.wait()
    print(f"\ncluster: promoted after {promoted:.2f} s, writable {writable:.2f} s, acknowledging {whole:.2f} s")
    assert lost(backend, writers) == []
    assert backend.acquire(lock, "another", 60, 0) is None, "its holder still holds it"
    assert backend.release(lock, "holder")
    assert backend.acquire(lock, "another", 60, 0) > before
    backend.close()


def test_sentinel_that_replaces_the_master_keeps_what_was_acknowledged(sentinel: servers.Sentinel, name: str):
    options = {"sentinels": sentinel.places, "service_name": servers.SERVICE}
    backend = RedisBackend("tested", **options, wait_replicas=1, wait_ms=1000)
    before = backend.acquire(name, "holder", 60, 0)
    master = sentinel.master()
    with writing(backend, lambda writer, count: f"{name} {writer} {count}") as writers:
        killed = time.monotonic()
        master.kill()
        whole = recovered(writers, killed)
    print(f"\nsentinel: acknowledging {whole:.2f} s after the kill")
    assert sentinel.master() is not master
    assert lost(backend, writers) == []
    assert backend.acquire(name, "another", 60, 0) is None, "its holder still holds it"
    assert backend.release(name, "holder")
    assert backend.acquire(name, "another", 60, 0) > before
    backend.close()


def _writes(backend: RedisBackend, name: str) -> bool:
    try:
        backend.set(name, b"entry", 60)
    except backend.unavailable:
        return False
    finally:
        backend.close()
    return True


def test_a_master_that_was_demoted_is_left(sentinel: servers.Sentinel, name: str):
    """By an operator, with all servers alive: connections lead to what is a replica now."""
    backend = RedisBackend("tested", sentinels=sentinel.places, service_name=servers.SERVICE)
    backend.set(name, b"before", None)
    master = sentinel.master()
    sentinel.sentinels[0].ask("SENTINEL", "FAILOVER", servers.SERVICE)
    eventually(lambda: sentinel.master() is not master)
    # Until it is told, the former master goes on taking what is lost then.
    eventually(lambda: _writes(backend, name) and sentinel.master().ask("GET", name) == b"entry")


def test_a_server_that_is_not_there_is_unavailable_and_found_when_it_is_back(node):
    server = node()
    backend = RedisBackend("tested", url=f"redis://{server.place}/0")
    backend.set("key", b"entry", None)
    server.kill()
    for call in (lambda: backend.get("key"), lambda: backend.acquire("lock", "owner", 5, 5)):
        with pytest.raises(backend.unavailable):
            call()
    server.start()
    server.wait()
    assert backend.get("key") == b"entry"
    assert backend.acquire("lock", "owner", 5, 0) > 0
    backend.close()


def test_a_server_that_stands_still_is_unavailable_and_its_late_replies_reach_nobody(node):
    server = node()
    backend = RedisBackend("tested", url=f"redis://{server.place}/0", socket_timeout=0.3)
    backend.set("one", b"first", None)
    backend.set("other", b"second", None)
    with server.paused(), pytest.raises(backend.unavailable):
        backend.get("one")
    assert backend.get("other") == b"second"
    backend.close()


def test_what_was_sent_is_not_sent_again_after_a_timeout(node):
    """The server had it all the time, and does it late: once."""
    server = node()
    backend = RedisBackend("tested", url=f"redis://{server.place}/0", socket_timeout=0.3)
    assert backend.incr("key", 1, 0, None) == 1
    with server.paused(), pytest.raises(backend.unavailable):
        backend.incr("key", 1, 0, None)
    eventually(lambda: backend.get("key").endswith(b"2"))
    assert backend.incr("key", 1, 0, None) == 3
    backend.close()


def test_a_server_that_becomes_a_replica_is_unavailable_until_it_is_none(node):
    server, master = node(), node()
    backend = RedisBackend("tested", url=f"redis://{server.place}/0")
    backend.set("key", b"entry", None)
    server.ask("REPLICAOF", servers.HOST, master.port)
    with pytest.raises(backend.unavailable, match="read only"):
        backend.set("key", b"entry", None)
    server.ask("REPLICAOF", "NO", "ONE")
    backend.set("key", b"entry", None)
    backend.close()


def test_a_server_without_memory_is_unavailable_for_writes(node):
    server = node("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    backend = RedisBackend("tested", url=f"redis://{server.place}/0")
    for write in (
        lambda: backend.set("key", b"entry", None),
        lambda: backend.set_many({"key": b"entry"}, None),
        lambda: backend.incr("key", 1, 0, None),
        lambda: backend.acquire("key", "owner", 5, 0),
    ):
        with pytest.raises(backend.unavailable):
            write()
    assert backend.get("key") is None
    backend.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_ended_without_closing_is_forgotten_when_the_next_begins(node):
    """Python warns of what it left open, when it is collected; so that happens here."""
    server = node()
    backend = RedisBackend("tested", url=f"redis://{server.place}/0")
    for _ in range(3):
        asyncio.run(backend.acall("get", "key"))
    assert len(backend._loop_links._of) == 1
    del backend
    gc.collect()
    eventually(lambda: server.says("connected_clients:1\r", "INFO", "clients"))

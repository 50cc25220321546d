"""What only a Cluster does: slots that move from one server to another, servers that are asked for the map."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from fieldstone.kvs.backends.redis import RedisBackend
from fieldstone.kvs.backends.redis.locks import lock_key
from tests.kvs.redis import servers
from tests.kvs.workers import Background, eventually


@pytest.fixture
def backend(cluster):
    """It knows only one of the nodes at first."""
    backend = RedisBackend("tested", cluster_nodes=[cluster.nodes[4].place])
    yield backend
    backend.close()


class Move:
    """A slot goes from its master to another."""

    def __init__(self, cluster: servers.Cluster, slot: int) -> None:
        self.cluster, self.slot = cluster, slot
        self.source = cluster.master_of(slot)
        self.target = cluster.master_of((slot + servers.SLOTS // servers.MASTERS) % servers.SLOTS)
        self.identities = [node.ask("CLUSTER", "MYID") for node in (self.source, self.target)]

    def begin(self) -> None:
        """Now the source sends on, with ASK, for what it does not have."""
        source, target = self.identities
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", source)
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", target)

    def end(self) -> None:
        """Now it sends on, with MOVED, for good."""
        keys = self.source.ask("CLUSTER", "GETKEYSINSLOT", self.slot, 1000)
        if keys:
            self.source.ask("MIGRATE", servers.HOST, self.target.port, "", 0, 5000, "KEYS", *keys)
        for node in (self.target, self.source):
            node.ask("CLUSTER", "SETSLOT", self.slot, "NODE", self.identities[1])
        eventually(lambda: {self._master_by(node) for node in self.cluster.nodes} == {self.target.port})

    def _master_by(self, node: servers.Node) -> int:
        slots = node.ask("CLUSTER", "SLOTS")
        return next(master[1] for first, last, master, *_ in slots if first <= self.slot <= last)


def test_entries_are_found_while_their_slot_moves_and_after(cluster, backend, name):
    tagged = [f"{{{name}}}{number}" for number in range(4)]
    elsewhere = f"{name} elsewhere"
    backend.set_many(dict.fromkeys([*tagged[:2], elsewhere], b"before"), None)
    move = Move(cluster, key_slot(tagged[0].encode()))
    move.begin()
    backend.set(tagged[2], b"meanwhile", None)
    assert backend.get(tagged[0]) == b"before"
    assert backend.get(tagged[2]) == b"meanwhile"
    assert backend.touch(tagged[2], None) is True
    assert backend.get_many([*tagged, elsewhere]) == [b"before", b"before", b"meanwhile", None, b"before"]
    assert backend.incr(tagged[3], 1, 0, None) == 1
    assert backend.delete_many([tagged[3], elsewhere]) == 2
    move.end()
    assert backend.get_many(tagged) == [b"before", b"before", b"meanwhile", None]
    assert backend.delete(tagged[0]) is True


def test_a_lock_is_had_while_its_slot_moves_and_after(cluster, backend, name):
    move = Move(cluster, key_slot(lock_key(name).encode()))
    move.begin()
    first = backend.acquire(name, "first", 30, 0)
    waiting = Background(lambda: backend.acquire(name, "second", 30, 30))
    queue = f"{lock_key(name)}:queue"
    eventually(lambda: backend.run(backend.router.send(queue, [("LLEN", queue)])) == [1])
    assert backend.release(name, "first")
    assert waiting.result() > first
    move.end()
    assert backend.acquire(name, "third", 30, 0) is None
    assert backend.release(name, "second")
    assert backend.acquire(name, "third", 30, 0) > first


def test_nodes_that_are_all_gone_are_unavailable():
    backend = RedisBackend("tested", cluster_nodes=["127.0.0.1:1", "127.0.0.1:2"])
    with pytest.raises(backend.unavailable, match="refused"):
        backend.get("key")


def test_a_server_that_is_no_cluster_says_so(node):
    backend = RedisBackend("tested", cluster_nodes=[node().place])
    with pytest.raises(Exception, match="cluster support disabled"):
        backend.get("key")
    backend.close()


def test_entries_that_one_replica_of_several_does_not_acknowledge_are_an_error(cluster, name):
    backend = RedisBackend("tested", cluster_nodes=cluster.places, wait_replicas=1, wait_ms=50)
    names = [f"{name}-{number}" for number in range(40)]
    backend.set_many(dict.fromkeys(names, b"entry"), 60)
    replica = next(node for node in cluster.nodes if node.says("role:slave", "INFO", "replication"))
    with replica.paused(), pytest.raises(backend.unavailable, match="0 of 1 replicas"):
        backend.set_many(dict.fromkeys(names, b"another"), 60)
    cluster.wait()
    backend.set_many(dict.fromkeys(names, b"third"), 60)
    backend.close()

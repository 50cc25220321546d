"""Redis servers of the tests' own: one with options, a Cluster of three masters and three replicas, Sentinel."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from scripts.servers.catalogue import NEEDS
from scripts.servers.system import HOST, demotion, follow_parent, free_port, tail
from tests.kvs.workers import eventually

NEED = NEEDS["redis"]
MASTERS = 3
SLOTS = 16384
SERVICE = "tested"
NODE_TIMEOUT_MS = 1000  # after which the others believe that a node is gone, in a Cluster and for Sentinel


class Node:
    """One server. Its data outlives it: it can be killed and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        if NEED.program is None:
            pytest.skip(f"needs redis-server: {NEED.remedy}")
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.port}-", dir=folder))  # ports come again
        self._as_user = demotion(NEED.user)
        if self._as_user:
            os.chown(self._folder, self._as_user["user"], self._as_user["group"])
        self._command = [str(NEED.program), *self._configuration(), *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _configuration(self) -> list[str]:
        return [
            *("--port", str(self.port), "--bind", HOST, "--dir", str(self._folder), "--save", ""),
            *("--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
        ]

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def place(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        with (self._folder.parent / f"{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=follow_parent(NEED.stop),
                **self._as_user,
            )

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still; the system goes on taking what is sent to it."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def ask(self, *command: Any) -> Any:
        """The reply as it came. Raises ``redis.RedisError``."""
        with redis.Redis(HOST, self.port, protocol=2) as client:
            connection = client.connection_pool.get_connection()
            try:
                connection.send_command(*command)
                return connection.read_response()
            finally:
                client.connection_pool.release(connection)

    def says(self, text: str, *command: Any) -> bool:
        """Whether it replies and this is in the reply."""
        try:
            return text in self.ask(*command).decode()
        except redis.AuthenticationError:
            raise
        except redis.RedisError:
            return False

    def wait(self) -> None:
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "it has ended" + tail(self._folder.parent / f"{self.port}.log")
        try:
            return self.says("PONG", "PING")
        except redis.AuthenticationError:
            return True  # it wants a password first


class SentinelNode(Node):
    def __init__(self, folder: Path, master: Node) -> None:
        self._master = master
        super().__init__(folder, "--sentinel")

    def _configuration(self) -> list[str]:
        file = self._folder / "sentinel.conf"  # which it rewrites
        file.write_text(
            f"port {self.port}\nbind {HOST}\ndir {self._folder}\n"
            f"sentinel monitor {SERVICE} {HOST} {self._master.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {NODE_TIMEOUT_MS}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        if self._as_user:
            os.chown(file, self._as_user["user"], self._as_user["group"])
        return [str(file)]


class Cluster:
    """Three masters, each with a replica."""

    def __init__(self, nodes: list[Node], bus: dict[Node, int]) -> None:
        self.nodes = nodes
        for number, node in enumerate(nodes):
            node.wait()
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for other in nodes[1:]:
            nodes[0].ask("CLUSTER", "MEET", HOST, other.port, bus[other])
        bounds = [SLOTS * number // MASTERS for number in range(MASTERS + 1)]
        for node, first, end in zip(nodes[:MASTERS], bounds, bounds[1:], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node in nodes:
            eventually(lambda node=node: node.says("cluster_known_nodes:6", "CLUSTER", "INFO"))
        for master, replica in zip(nodes[:MASTERS], nodes[MASTERS:], strict=True):
            identity = master.ask("CLUSTER", "MYID").decode()
            eventually(lambda identity=identity, replica=replica: replica.says(identity, "CLUSTER", "NODES"))
            replica.ask("CLUSTER", "REPLICATE", identity)
        self.wait()

    @property
    def places(self) -> list[str]:
        return [node.place for node in self.nodes]

    def wait(self) -> None:
        """Until all is well: each slot served, each replica in step."""
        for node in self.nodes:
            eventually(lambda node=node: node.says("cluster_state:ok", "CLUSTER", "INFO"))
        eventually(lambda: sum(map(_is_replica_in_step, self.nodes)) == MASTERS)
        eventually(lambda: all(_knows_replicas(node) for node in self.nodes))

    def master_of(self, slot: int) -> Node:
        alive = next(node for node in self.nodes if node.says("PONG", "PING"))
        for first, last, master, *_ in alive.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise LookupError(f"nobody serves slot {slot}")


class Sentinel:
    """A master with two replicas, and three sentinels."""

    def __init__(self, nodes: list[Node], sentinels: list[Node]) -> None:
        self.nodes, self.sentinels = nodes, sentinels
        self.wait()

    @property
    def places(self) -> list[str]:
        return [node.place for node in self.sentinels]

    def wait(self) -> None:
        for node in [*self.nodes, *self.sentinels]:
            node.wait()
        eventually(lambda: sum(map(_is_replica_in_step, self.nodes)) == len(self.nodes) - 1)
        for sentinel in self.sentinels:
            eventually(lambda sentinel=sentinel: sentinel.says("OK 3", "SENTINEL", "CKQUORUM", SERVICE))
            eventually(lambda sentinel=sentinel: _sees_replicas(sentinel, len(self.nodes) - 1))

    def master(self) -> Node:
        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(node for node in self.nodes if node.port == int(port))


def _is_replica_in_step(node: Node) -> bool:
    return node.says("role:slave", "INFO", "replication") and node.says(
        "master_link_status:up", "INFO", "replication"
    )


def _knows_replicas(node: Node) -> bool:
    """A Cluster serves before gossip has told each of all replicas; a master killed then would not be replaced."""
    return all(len(found) == 4 for found in node.ask("CLUSTER", "SLOTS"))


def _sees_replicas(sentinel: Node, count: int) -> bool:
    replicas = sentinel.ask("SENTINEL", "REPLICAS", SERVICE)
    return len(replicas) == count and all(
        dict(zip(fields[::2], fields[1::2], strict=True)).get(b"master-link-status") == b"ok"
        and fields[fields.index(b"flags") + 1] == b"slave"
        for fields in replicas
    )


@contextmanager
def stopping(nodes: list[Node]) -> Iterator[Callable[..., Node]]:
    """Starts nodes, which end with the block."""

    def started(make: Callable[..., Node], *arguments: Any) -> Node:
        nodes.append(make(*arguments))
        return nodes[-1]

    try:
        yield started
    finally:
        for node in nodes:
            node.kill()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    with stopping([]) as started:
        bus: dict[Node, int] = {}
        for _ in range(2 * MASTERS):
            port = free_port()
            node = started(
                *(Node, folder, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                *("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-port", str(port)),
            )
            bus[node] = port
        yield Cluster(list(bus), bus)


@contextmanager
def sentinel(folder: Path) -> Iterator[Sentinel]:
    with stopping([]) as started:
        master = started(Node, folder)
        nodes = [master, *(started(Node, folder, "--replicaof", HOST, str(master.port)) for _ in range(2))]
        master.wait()
        yield Sentinel(nodes, [started(SentinelNode, folder, master) for _ in range(3)])
